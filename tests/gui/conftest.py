"""The editor's tests draw off screen, where no display is and none is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication
    from pytestqt.qtbot import QtBot

    from tests.gui.desk import Desk


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The off-screen plugin says so at every change of a window's least size, and at every menu."""
    for item in items:
        item.add_marker(pytest.mark.qt_log_ignore("plugin does not support"))


@pytest.fixture
def desk(
    qapp: QApplication, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    """The program with a worker that is told what to say; nothing of the user's is read or written."""
    from tests.gui import desk as desks

    monkeypatch.setenv("STUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STUDIO_MODELS", str(tmp_path / "models"))
    with desks.desk(qapp, tmp_path, qtbot) as made:
        yield made
