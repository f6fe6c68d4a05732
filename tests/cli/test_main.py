"""The grammar, the streams, and what a user's mistakes look like."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from studio.cli import main
from studio.cli.arguments import size
from studio.cli.writing import line, size_text, table
from studio.errors import StudioError
from tests.cli.workflows import COPY, write

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("arguments", [["--help"], ["help"], ["run", "--help"], ["help", "run"]])
def test_help_goes_to_stdout_and_is_no_mistake(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: studio")
    assert err == ""


def test_help_names_every_command(capsys: Captured) -> None:
    main(["--help"])
    out = capsys.readouterr().out
    for command in (
        "run",
        "plan",
        "check",
        "replay",
        "diff",
        "migrate",
        "nodes",
        "models",
        "cache",
        "doctor",
    ):
        assert f"\n    {command} " in out


def test_the_version_is_printed(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "studio 0.1.0\n"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """What the editor was asked to open, in place of the editor."""
    files: list[Path | None] = []

    def main_(path: Path | None) -> int:
        files.append(path)
        return 0

    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setitem(sys.modules, "studio.gui.app", types.SimpleNamespace(main=main_))
    return files


def test_without_a_command_the_editor_opens(opened: list[Path | None]) -> None:
    assert main([]) == 0
    assert opened == [None]


@pytest.mark.parametrize("name", ["scene.json", "./scene", "scene"])
def test_a_file_without_a_command_opens_in_the_editor(name: str, opened: list[Path | None]) -> None:
    Path(name).touch()
    assert main([name]) == 0
    assert opened == [Path(name)]


def test_a_file_that_is_missing_opens_no_editor(
    opened: list[Path | None], capsys: Captured
) -> None:
    assert main(["scene.json"]) == 2
    assert opened == []
    assert capsys.readouterr().err == "studio: scene.json: there is no such file\n"


def test_without_a_display_the_editor_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    Path("scene.json").touch()
    assert main(["scene.json"]) == 2
    err = capsys.readouterr().err
    assert "there is no display" in err
    assert "studio run scene.json" in err
    assert err.count("\n") == 1


def test_a_library_that_qt_misses_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def fail(name: str) -> object:
        raise ImportError("libEGL.so.1: cannot open shared object file: No such file", path="x.so")

    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setattr("studio.cli.editor.import_module", fail)
    assert main([]) == 2
    assert "libEGL.so.1 is missing; evaluate a workflow without it: studio run FILE" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu", "a.json"], 'there is no command "rnu"; did you mean "run"?'),
        (["models", "lst"], 'models: there is no command "lst"; did you mean "list"?'),
        (["run", "a.json", "--outptu", "x"], 'run: there is no option --outptu; did you mean "--output"?'),
        (["run"], "run: give FILE; see studio run --help"),
        (["cache"], "cache: give COMMAND; see studio cache --help"),
        (["check", "a.json", "b.json"], 'check: "b.json" is one argument too many; see studio check --help'),
        (["run", "a.json", "--set", "x"], "a.json: there is no such file"),
        (["run", "a.json", "--threads", "0"], 'run: argument --threads: "0" is not a whole number from 1; '
         'see studio run --help'),
        (["cache", "prune", "--size", "big"], 'cache prune: argument --size: "big" is not a size such as 8GB; '
         'see studio cache prune --help'),
        (["--debugg"], 'there is no option --debugg; did you mean "--debug"?'),
    ],
)  # fmt: skip
def test_a_mistake_in_the_arguments_is_one_line_with_its_remedy(
    arguments: list[str], message: str, capsys: Captured
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"studio: {message}\n")


def test_an_abbreviated_option_is_refused(capsys: Captured) -> None:
    assert main(["run", "a.json", "--out", "x"]) == 2
    assert "there is no option --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--debug", "check", "no.json"], ["check", "no.json", "--debug"]]
)
def test_debug_shows_the_traceback_and_keeps_the_exit_code(
    arguments: list[str], capsys: Captured
) -> None:
    assert main(arguments) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_fault_of_our_own_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def fail(options: object) -> int:
        raise KeyError("gone")

    monkeypatch.setattr("studio.cli.nodes.nodes", fail)
    assert main(["nodes"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "KeyError: 'gone'" in err
    assert "--debug" in err


def test_an_interruption_outside_a_run_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("studio.cli.nodes.nodes", interrupted)
    assert main(["nodes"]) == 130
    assert capsys.readouterr().err == ""


def test_every_problem_of_an_error_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    write(
        Path("w.json"),
        {
            **COPY,
            "nodes": {
                "save": {"type": "save_image", "version": 1, "params": {"name": 1, "colour": 2}}
            },
        },
    )
    assert main(["run", "w.json"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 3
    assert all(text.startswith("studio: save.") for text in err)


# --- streams


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_goes_away_is_no_traceback(options: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "studio", "nodes", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (1, b"")


class _Full(io.TextIOBase):
    """A file on a disk without room."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_behind_stdout_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(sys, "stdout", _Full())
    assert main(["nodes"]) == 1
    assert capsys.readouterr().err == (
        f"studio: the output cannot be written ({os.strerror(errno.ENOSPC)})\n"
    )


def test_output_into_a_pipe_is_utf8_in_any_locale() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "studio", "nodes", "guidance_interval"],
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert "Kynkäänniemi" in done.stdout.decode("utf-8")


# --- odd files

FILE_COMMANDS = ["check", "run", "plan", "replay", "migrate", "diff"]


@pytest.mark.parametrize("command", FILE_COMMANDS)
@pytest.mark.parametrize(
    "content",
    [b"", b"\0\xff\xfe", b"[]", b"{", b"null", '{"a":"ä"}'.encode("latin-1"), b"[" * 100_000, b"\x89PNG\r\n\x1a\n",
     b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF____WEBP"],
)  # fmt: skip
def test_garbage_is_refused_in_one_line(command: str, content: bytes, capsys: Captured) -> None:
    Path("odd").write_bytes(content)
    names = ["odd", "odd"] if command == "diff" else ["odd"]
    assert main([command, *names]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("studio: odd: ")


@pytest.mark.parametrize("command", FILE_COMMANDS)
@pytest.mark.parametrize("name", [".", "missing.json", "a\0b", "\udcff.json", ""])
def test_what_is_no_file_is_refused_in_one_line(command: str, name: str, capsys: Captured) -> None:
    names = [name, name] if command == "diff" else [name]
    assert main([command, *names]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "should not have happened" not in err


def test_a_file_from_a_stranger_cannot_steer_the_terminal(capsys: Captured) -> None:
    nodes = {"a": {"type": "\x1b]0;evil\x07\n", "version": 1}}
    write(Path("w.json"), {"format": "studio.workflow", "version": 1, "nodes": nodes})  # type: ignore[dict-item]  # nested
    assert main(["check", "w.json"]) == 1
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\\x1b]0;evil\\x07\\n" in out


# --- wording


@pytest.mark.parametrize(
    ("text", "number"),
    [("1000", 1000), ("500MB", 5 * 10**8), ("8G", 8 * 10**9), ("1.5 kb", 1500), ("2GiB", 2 * 2**30), ("1T", 10**12)],
)  # fmt: skip
def test_sizes_are_read_as_people_write_them(text: str, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (19_700_000, "19.7 MB"), (123_456_789, "123 MB"),
     (10**10, "10.0 GB"), (999_999, "1.0 MB"), (5 * 10**13, "50.0 TB")],
)  # fmt: skip
def test_sizes_are_written_as_people_read_them(number: int, text: str) -> None:
    assert size_text(number) == text


def test_a_table_is_aligned_and_drops_columns_without_content() -> None:
    assert table([("a", "", "x"), ("long", "", "y\n")], indent=" ") == [" a     x", " long  y\\n"]


def test_printable_text_of_any_script_stays_as_it_is() -> None:
    assert line("Größe 漢字 … σ") == "Größe 漢字 … σ"


def test_errors_have_a_place_and_a_remedy() -> None:
    assert str(StudioError("is odd", where="a.b", remedy="mend it")) == "a.b: is odd; mend it"
