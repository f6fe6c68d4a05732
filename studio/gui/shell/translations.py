"""Words in the language of the system, where there are some: ours and those of the toolkit."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from studio.resources import resource


def install(
    app: QCoreApplication, locale: QLocale | None = None, folder: Path | None = None
) -> list[QTranslator]:
    """Let texts be shown in the language of a locale, the system's by itself; what has no translation stays English.

    Ours are ``resources/translations/emulsion_LANGUAGE.qm``. Returns those that were found, the toolkit's first.
    """
    locale = locale or QLocale.system()
    places = (
        ("qtbase", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)),
        ("emulsion", str(folder or resource("translations"))),
    )
    found = []
    for name, path in places:
        translator = QTranslator(app)
        if translator.load(locale, name, "_", path):
            app.installTranslator(translator)
            found.append(translator)
    return found
