"""The command line: arguments in, output and exit codes as the contract says, no traceback for a user's mistakes."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence

from studio import __version__
from studio.cli.arguments import parse
from studio.cli.writing import complain, prepare_streams, report_error
from studio.errors import StudioError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: done; 1: a node failed, or a difference or problem was found; 2: the file or the arguments are bad;
    130: interrupted.
    """
    # nothing is ever fetched unless a command says so; libraries read these when they are imported
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    prepare_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _guarded(given)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # whoever read our output has gone, which is no fault of anybody's
        _silence_stdout()
        return 1
    except OSError as error:
        _silence_stdout()
        complain(f"the output cannot be written ({error.strerror or error})")
        return 1
    return code


def _guarded(given: Sequence[str]) -> int:
    """The exit code of a command; what it raises becomes a message."""
    is_debug = "--debug" in given
    try:
        return _dispatch(given)
    except StudioError as error:
        if is_debug:
            traceback.print_exc()
        else:
            report_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        if is_debug:
            traceback.print_exc()
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if is_debug:
            traceback.print_exc()
            return 1
        if isinstance(error, OSError) and error.filename is None:
            raise  # of a stream: only our own output has no name
        if isinstance(error, OSError):
            complain(f"{os.fsdecode(error.filename)}: {error.strerror}")
        else:
            text = " ".join(str(error).split())
            complain(
                f"this should not have happened ({type(error).__name__}: {text}); run with --debug and report it"
            )
        return 1


def _dispatch(given: Sequence[str]) -> int:
    from importlib import import_module

    try:
        options = parse(given)
    except SystemExit as stop:  # how argparse ends --help and --version
        return stop.code if isinstance(stop.code, int) else 0
    module = import_module(f"studio.cli.{options.module}")
    code = getattr(module, options.function)(options)
    assert isinstance(code, int)
    return code


def _silence_stdout() -> None:
    """Keep the interpreter from complaining at exit about output that nobody takes."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


__all__ = ["__version__", "main"]
