"""``studio [FILE]``: the editor."""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import socket
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from studio.errors import ArgumentError, FileError, StudioError

_PLUGIN_LIBRARIES = (
    "libxcb-cursor.so.0",
    "libxkbcommon-x11.so.0",
    "libxcb-icccm.so.4",
    "libxcb-keysyms.so.1",
    "libxcb-shape.so.0",
)
"""What Qt's X11 plugin needs beyond what PySide6 brings along; without one of them Qt aborts the process."""


def editor(options: argparse.Namespace) -> int:
    """Open the editor on a file, if there is one; returns when its last window is closed."""
    file: Path | None = options.file
    remedy = f"evaluate a workflow without it: studio run {file or 'FILE'}"
    if file is not None and not file.is_file():
        what = "is a folder" if file.is_dir() else "there is no such file"
        raise FileError(what, where=str(file))
    problem = display_problem(os.environ) if sys.platform.startswith("linux") else ""
    if problem:
        raise ArgumentError(f"the editor cannot be shown: {problem}", remedy=remedy)
    try:
        # by name: no import leads from the command line to the toolkit
        app = import_module("studio.gui.app")
    except ImportError as error:
        raise _not_loaded(error, remedy) from error
    code = app.main(file)
    assert isinstance(code, int)
    return code


def _not_loaded(error: ImportError, remedy: str) -> StudioError:
    """Name the library that is missing."""
    if error.name is not None and error.name.partition(".")[0] == "PySide6" and not error.path:
        return ArgumentError("the editor needs PySide6-Essentials, which is missing", remedy=remedy)
    found = re.match(r"(\S+\.so[.\d]*): ", str(error))
    what = f"the library {found[1]} is missing" if found else str(error)
    return ArgumentError(f"the editor cannot be shown: {what}", remedy=remedy)


def display_problem(environment: Mapping[str, str]) -> str:
    """Why Qt would find no display on Linux, in a few words; "" if nothing is known to be wrong.

    Qt ends the process where its plugin fails, so it is asked for beforehand.
    """
    if environment.get("QT_QPA_PLATFORM"):
        return ""
    if environment.get("WAYLAND_DISPLAY"):
        return ""
    display = environment.get("DISPLAY", "")
    if not display:
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    for library in _PLUGIN_LIBRARIES:
        try:
            ctypes.CDLL(library)
        except OSError:
            return f"the library {library} is missing"
    local = re.fullmatch(r":(\d+)(?:\.\d+)?", display)
    return "" if local is None or _answers(int(local[1])) else f"display {display} does not answer"


def _answers(number: int) -> bool:
    for address in (f"\0/tmp/.X11-unix/X{number}", f"/tmp/.X11-unix/X{number}"):
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.connect(address)
            except OSError:
                continue
            return True
    return False
