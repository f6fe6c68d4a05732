"""Where the files lie that ship with the program: models, family configs, example workflows."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """Return the path of a shipped file or folder, such as ``resource("starter", "unet")``.

    A wheel carries ``resources`` inside the package; a checkout has it beside the package. Nothing is read, and a
    path is returned even if nothing is there, so that whoever opens it can say what is missing.
    """
    inside = _PACKAGE / "resources"
    folder = inside if inside.is_dir() else _PACKAGE.parent / "resources"
    return folder.joinpath(*parts)
