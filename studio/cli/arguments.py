"""The grammar of the command line."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from studio import __version__
from studio.errors import ArgumentError

if TYPE_CHECKING:
    from studio.session import Settings

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
DISK_BYTES = 10 * 10**9
"""Default cap of the cache on disk."""


def size(text: str) -> int:
    """Read a number of bytes such as ``500MB``, ``8G`` or ``1000``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f'"{text}" is not a size such as 8GB')
    unit = UNITS[match[2].upper()]
    if match[3] and match[2]:
        unit = 1024 ** " KMGT".index(match[2].upper())
    return int(float(match[1]) * unit)


def count(text: str) -> int:
    """Read a whole number from 1."""
    if not text.isdecimal() or not 0 < len(text) < 10 or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from 1')
    return int(text)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are of our tree, so that ``main`` words them like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise ArgumentError."""
        _, _, command = self.prog.partition(" ")
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.+)\)", message)
        if choice:
            from studio.graph import nearest

            known = re.findall(r"[\w-]+", choice[2])
            raise ArgumentError(
                f'there is no command "{choice[1]}"',
                where=command,
                remedy=nearest(choice[1], known),
            )
        message = message.replace("the following arguments are required:", "give")
        raise ArgumentError(message, where=command, remedy=f"see {self.prog} --help")


def parse(given: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; raises ArgumentError, with the nearest name where one is misspelt.

    Raises SystemExit, as argparse does, after printing for ``--help`` and ``--version``.
    """
    root, commands = _grammar()
    words = list(given)
    position = next((i for i, word in enumerate(words) if not word.startswith("-")), None)
    if position is not None and words[position] == "help":
        words = [*words[position + 1 :], "--help"]
        position = 0 if len(words) > 1 else None
    if position is not None and words[position] not in commands.choices:
        file = _file_to_edit(words[position], commands.choices)
        options, unknown = root.parse_known_args(words[:position] + words[position + 1 :])
        if unknown:
            raise _unknown(unknown[0], root, root)
        return _editor(options, file)
    options, unknown = root.parse_known_args(words)
    command = commands.choices[words[position]] if position is not None else root
    if unknown:
        raise _unknown(unknown[0], root, command)
    return _editor(options, None) if position is None else options


def _file_to_edit(word: str, commands: Iterable[str]) -> Path:
    is_file = os.path.exists(word) or Path(word).suffix.lower() in (".json", ".png")
    if is_file or Path(word).name != word:
        return Path(word)
    from studio.graph import nearest

    raise ArgumentError(f'there is no command "{word}"', remedy=nearest(word, commands))


def _editor(options: argparse.Namespace, file: Path | None) -> argparse.Namespace:
    options.module = options.function = "editor"
    options.file = file
    return options


def _unknown(
    word: str, root: argparse.ArgumentParser, command: argparse.ArgumentParser
) -> ArgumentError:
    where = command.prog.removeprefix(root.prog).strip()
    if not word.startswith("-"):
        return ArgumentError(
            f'"{word}" is one argument too many', where=where, remedy=f"see {command.prog} --help"
        )
    from studio.graph import nearest

    name = word.partition("=")[0]
    known = [text for text in command._option_string_actions if text.startswith("--")]
    return ArgumentError(f"there is no option {name}", where=where, remedy=nearest(name, known))


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    return _grammar()[0]


_Commands = argparse._SubParsersAction
"""What argparse gives for commands: the parsers of them by name; it has no public name."""


def _grammar() -> tuple[argparse.ArgumentParser, _Commands[argparse.ArgumentParser]]:
    root: argparse.ArgumentParser = _Parser(
        prog="studio",
        usage="studio [FILE]\n       studio COMMAND …",
        description="A node-graph studio for diffusion images: every step kept, every edit resumed.",
        epilog="Exit codes: 0 done, 1 a node failed or a difference was found, 2 bad file or "
        "arguments, 130 interrupted. `studio COMMAND --help` tells more.",
        allow_abbrev=False,
    )
    root.add_argument("--version", action="version", version=f"studio {__version__}")
    root.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = root.add_subparsers(metavar="COMMAND", title="commands", prog="studio")
    _evaluation(commands)
    _files(commands)
    _inventory(commands)
    return root, commands


def _evaluation(commands: _Commands[argparse.ArgumentParser]) -> None:
    run = _command(commands, "run", "evaluate a workflow headless")
    _file(run)
    _edits(run)
    run.add_argument(
        "--output",
        type=Path,
        default=Path("output"),
        metavar="DIR",
        help="where output nodes write (default: ./output)",
    )
    run.add_argument(
        "--json", action="store_true", help="events as JSON lines on stdout instead of file names"
    )
    _engine(run)
    _cache(run)

    plan = _command(
        commands, "plan", "what would run, what is stored, why, how long, how much memory"
    )
    _file(plan)
    _edits(plan)
    plan.add_argument("--json", action="store_true", help="the plan as one JSON object")
    _engine(plan)
    _cache(plan)

    # without a summary it is not listed: the editor starts it, and speaks with it by stdin and stdout
    worker = _command(commands, "worker", "")
    worker.add_argument("--scratch", type=Path, required=True, metavar="DIR")
    _engine(worker)
    _cache(worker)

    replay = _command(
        commands, "replay", "run again what made a picture and compare: identical, or what differs"
    )
    replay.add_argument("file", type=Path, metavar="PICTURE", help="a .png that studio run wrote")
    replay.add_argument("--json", action="store_true", help="the verdict as one JSON object")
    replay.add_argument(
        "--base",
        type=Path,
        default=None,
        metavar="DIR",
        help="the folder that files in the workflow are relative to (default: the picture's, the one above, or ./)",
    )
    _engine(replay, device="the picture's", dtype="the picture's", threads="the picture's")


def _files(commands: _Commands[argparse.ArgumentParser]) -> None:
    check = _command(commands, "check", "say what is wrong with a workflow, a line each")
    _file(check)
    check.add_argument("--json", action="store_true", help="the problems as one JSON object")

    diff = _command(
        commands, "diff", "compare two workflows or pictures: graph, parameters and pixels"
    )
    diff.add_argument("first", type=Path, metavar="A", help="a workflow or a picture")
    diff.add_argument("second", type=Path, metavar="B", help="a workflow or a picture")
    diff.add_argument("--json", action="store_true", help="the differences as one JSON object")

    migrate = _command(commands, "migrate", "rewrite an older workflow in today's format")
    _file(migrate)
    migrate.add_argument(
        "--output",
        type=Path,
        default=None,
        metavar="FILE",
        help="write a new file and leave the old one as it is",
    )


def _inventory(commands: _Commands[argparse.ArgumentParser]) -> None:
    nodes = _command(commands, "nodes", "the node types with ports, parameters and help")
    nodes.add_argument(
        "name", nargs="?", default=None, metavar="NAME", help="a node type, alias or category"
    )
    nodes.add_argument("--json", action="store_true", help="as one JSON object")

    models = _group(commands, "models", "the model library ($STUDIO_MODELS)")
    listing = _command(models, "list", "the models by name", "models", "list_models")
    listing.add_argument("--json", action="store_true", help="as one JSON object")
    show = _command(models, "show", "what a model consists of", "models", "show_model")
    show.add_argument("name", metavar="NAME", help="as `studio models list` shows it")
    show.add_argument("--json", action="store_true", help="as one JSON object")
    add = _command(models, "add", "copy a model into the library", "models", "add_model")
    add.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="a safetensors file or a folder in diffusers' layout",
    )
    add.add_argument("--name", default="", metavar="NAME", help="what to call it there")
    add.add_argument("--link", action="store_true", help="link it there instead of copying")
    found = _command(
        models, "check", "read every model anew and say what is wrong", "models", "check_models"
    )
    found.add_argument("--json", action="store_true", help="as one JSON object")

    cache = _group(commands, "cache", "the result store")
    stats = _command(cache, "stats", "what is stored and how large it is", "cache", "stats")
    stats.add_argument("--json", action="store_true", help="as one JSON object")
    _cache_folder(stats)
    _cache_folder(_command(cache, "clear", "remove every stored result", "cache", "clear"))
    prune = _command(
        cache, "prune", "remove the least recently used results over a size", "cache", "prune"
    )
    prune.add_argument(
        "--size",
        type=size,
        default=DISK_BYTES,
        metavar="SIZE",
        help="what may be left, such as 5GB (default: 10GB)",
    )
    _cache_folder(prune)

    doctor = _command(commands, "doctor", "versions, devices, folders, and what is wrong with them")
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
    doctor.add_argument(
        "--full", action="store_true", help="also import torch and Qt, each in a process of its own"
    )


def _group(
    commands: _Commands[argparse.ArgumentParser], name: str, summary: str
) -> _Commands[argparse.ArgumentParser]:
    group = commands.add_parser(
        name, help=summary, description=_sentence(summary), allow_abbrev=False
    )
    return group.add_subparsers(metavar="COMMAND", title="commands", required=True)


def _command(
    commands: _Commands[argparse.ArgumentParser],
    name: str,
    summary: str,
    module: str = "",
    function: str = "",
) -> argparse.ArgumentParser:
    if summary:
        command = commands.add_parser(
            name, help=summary, description=_sentence(summary), allow_abbrev=False
        )
    else:
        command = commands.add_parser(name, allow_abbrev=False)
    command.set_defaults(module=module or name, function=function or name)
    # SUPPRESS: the default of a command would undo what stands before it
    command.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )
    command.add_argument("--safe", action="store_true", help="load the core nodes only, no packs")
    return command


def _sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:] + "."


def _file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", type=Path, metavar="FILE", help="a workflow .json, or a .png that carries one"
    )


def _edits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="edits",
        metavar="NODE.PARAM=VALUE",
        help="override a parameter (repeatable); VALUE is JSON, or plain text where the type is text",
    )
    command.add_argument(
        "--target",
        action="append",
        default=[],
        dest="targets",
        metavar="NODE",
        help="evaluate only these nodes and what they need (repeatable; default: all output nodes)",
    )


def _engine(
    command: argparse.ArgumentParser,
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: str = "physical cores - 1",
) -> None:
    command.add_argument(
        "--device",
        default="auto",
        metavar="auto|cpu|cuda[:N]|mps",
        help=f"where to compute (default: {device})",
    )
    command.add_argument(
        "--dtype",
        default="auto",
        metavar="auto|float32|bfloat16|float16",
        help=f"precision of the networks (default: {dtype})",
    )
    command.add_argument(
        "--threads",
        type=count,
        default=None,
        metavar="N",
        help=f"CPU threads of torch (default: {threads})",
    )
    command.add_argument(
        "--memory",
        type=size,
        default=None,
        metavar="SIZE",
        help="budget for loaded models (default: half of the device's memory)",
    )


def _cache(command: argparse.ArgumentParser) -> None:
    _cache_folder(command)
    command.add_argument(
        "--cache-size",
        type=size,
        default=DISK_BYTES,
        metavar="SIZE",
        help="cap of the cache on disk (default: 10GB)",
    )
    command.add_argument(
        "--no-cache", action="store_true", help="keep nothing on disk and read nothing from it"
    )


def _cache_folder(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache",
        type=Path,
        default=None,
        metavar="DIR",
        help="where intermediate results live (default: $STUDIO_CACHE, or the user's cache folder)",
    )


def settings(options: argparse.Namespace) -> Settings:
    """The settings that the engine's options ask for."""
    from studio.session import Settings

    return Settings(
        cache=options.cache,
        is_cached=not options.no_cache,
        device=options.device,
        dtype=options.dtype,
        threads=options.threads,
        memory_bytes=options.memory,
        disk_bytes=options.cache_size,
        is_safe=options.safe,
    )
