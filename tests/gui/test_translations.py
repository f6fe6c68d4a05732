"""Words of another language, where there are some."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QLocale, QTranslator
from PySide6.QtWidgets import QApplication

from studio.gui.shell.translations import install
from tests.gui.desk import Desk

TS = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de">
<context><name>Commands</name>
<message><source>&amp;Run</source><translation>&amp;Rechnen</translation></message>
</context>
<context><name>Menus</name>
<message><source>&amp;File</source><translation>&amp;Datei</translation></message>
</context>
</TS>
"""


@pytest.fixture
def german(qapp: QApplication, tmp_path: Path) -> Iterator[list[QTranslator]]:
    """A few words, made into what the program reads, and installed as it installs them."""
    (tmp_path / "emulsion_de.ts").write_text(TS, encoding="utf-8")
    lrelease = Path(sys.executable).with_name("pyside6-lrelease")
    made = tmp_path / "emulsion_de.qm"
    subprocess.run(
        [lrelease, tmp_path / "emulsion_de.ts", "-qm", made], check=True, capture_output=True
    )
    found = install(qapp, QLocale("de_DE"), tmp_path)
    yield found
    for one in found:
        qapp.removeTranslator(one)


def test_texts_are_shown_in_the_language_of_the_system(
    german: list[QTranslator], desk: Desk
) -> None:
    assert german
    window = desk.window()
    assert window.actions_["run.run"].text() == "&Rechnen"
    assert window.menus.menus["File"].title() == "&Datei"
    # what has no translation stays as it is
    assert window.actions_["run.cancel"].text() == "&Cancel"


def test_a_language_without_translations_changes_nothing(
    qapp: QApplication, tmp_path: Path
) -> None:
    assert [one for one in install(qapp, QLocale("mi_NZ"), tmp_path) if not one.isEmpty()] == []
