"""What the user prefers: kept in a small file of the user's config folder, changed in a small dialog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import platformdirs
from PySide6.QtCore import QByteArray, QObject, QSettings, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from studio.gui.keys.keymap import NAMES, Keymap, Keys, Preset, preset

if TYPE_CHECKING:
    from studio.session import Settings

APP = "emulsion"
RECENT = 12
DISK_GB = 10.0
MAX_THREADS = 256

ThemeName = Literal["dark", "light"]


@dataclass(frozen=True)
class Options:
    """What the dialog sets."""

    theme: ThemeName = "dark"
    output: Path = Path()
    """Where pictures are written."""
    device: str = "auto"
    threads: int = 0
    """Of torch on a CPU; 0: as many as suit the machine."""
    preset: Preset = "emulsion"
    """Whose keys."""
    cache_gb: float = DISK_GB
    """Cap of the results on disk, in 10^9 bytes."""

    def arguments(self) -> list[str]:
        """The options that concern computing, as the command line takes them."""
        given = ["--device", self.device, "--cache-size", f"{self.cache_gb:g}GB"]
        return [*given, "--threads", str(self.threads)] if self.threads else given

    def session(self) -> Settings:
        """The same for a session of this process."""
        from studio.session import Settings

        return Settings(
            device=self.device,
            threads=self.threads or None,
            disk_bytes=int(self.cache_gb * 10**9),
        )


def default_output() -> Path:
    """The folder of pictures of somebody who said nothing."""
    return platformdirs.user_pictures_path() / APP.capitalize()


class Preferences(QObject):
    """The file of preferences; a damaged or missing one means defaults."""

    recent_changed = Signal()

    def __init__(self, path: Path | None = None, parent: QObject | None = None) -> None:
        """``path``: another file than the user's."""
        super().__init__(parent)
        path = path or platformdirs.user_config_path(APP) / "editor.ini"
        self._file = QSettings(str(path), QSettings.Format.IniFormat, self)

    def options(self) -> Options:
        """What is set, with defaults for what is not or not rightly."""
        given = Options(output=default_output())
        return Options(
            theme="light" if self._text("theme", given.theme) == "light" else "dark",
            output=Path(self._text("output", str(given.output))),
            device=self._text("device", given.device),
            threads=int(self._number("threads", given.threads, 0, MAX_THREADS)),
            preset=preset(self._text("keys", given.preset)),
            cache_gb=self._number("cache_gb", given.cache_gb, 0.1, 10_000),
        )

    def set_options(self, options: Options) -> None:
        """Keep options."""
        for name, value in (
            ("theme", options.theme),
            ("output", str(options.output)),
            ("device", options.device),
            ("threads", options.threads),
            ("keys", options.preset),
            ("cache_gb", options.cache_gb),
        ):
            # as text: that is how they come back from the file
            self._file.setValue(f"options/{name}", str(value))
        self._file.sync()

    def _text(self, name: str, default: str) -> str:
        value = self._file.value(f"options/{name}", default)
        return value if isinstance(value, str) and value else default

    def _number(self, name: str, default: float, low: float, high: float) -> float:
        try:
            value = float(self._text(name, str(default)))
        except ValueError:
            return default
        return min(max(value, low), high)

    # --- keys

    def keymap(self) -> Keymap:
        """The keys of the preset that is set, with the user's changes."""
        self._file.beginGroup("keys")
        changes = {
            name: tuple(key for key in str(self._file.value(name)).split("\t") if key)
            for name in self._file.childKeys()
        }
        self._file.endGroup()
        return Keymap(self.options().preset, changes)

    def set_changed_keys(self, changes: Mapping[str, Keys]) -> None:
        """Keep the user's changes to the preset."""
        self._file.remove("keys")
        for name, keys in changes.items():
            self._file.setValue(f"keys/{name}", "\t".join(keys))
        self._file.sync()

    # --- what the window remembers

    def recent(self) -> list[Path]:
        """The files opened last that still exist, the latest first."""
        value = self._file.value("recent", [])
        names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        return [Path(str(name)) for name in names if Path(str(name)).is_file()]

    def add_recent(self, path: Path) -> None:
        """Put a file first."""
        path = path.absolute()
        names = [str(path), *(str(one) for one in self.recent() if one != path)]
        self._file.setValue("recent", names[:RECENT])
        self.recent_changed.emit()

    def clear_recent(self) -> None:
        """Forget the files."""
        self._file.remove("recent")
        self.recent_changed.emit()

    def layout(self, name: str) -> QByteArray:
        """Bytes kept under a name, or none."""
        value = self._file.value(f"window/{name}")
        return value if isinstance(value, QByteArray) else QByteArray()

    def set_layout(self, name: str, state: QByteArray) -> None:
        """Keep a geometry or the places of docks."""
        self._file.setValue(f"window/{name}", state)

    def flag(self, name: str) -> bool:
        """Whether something was switched on; off unless it was."""
        return str(self._file.value(f"window/{name}", "")) == "true"

    def set_flag(self, name: str, is_on: bool) -> None:
        """Remember a switch."""
        self._file.setValue(f"window/{name}", "true" if is_on else "false")

    def sync(self) -> None:
        """Write what is pending."""
        self._file.sync()


class SettingsDialog(QDialog):
    """Asks for options; ``options()`` is what was entered."""

    def __init__(self, options: Options, devices: Sequence[str], parent: QWidget | None) -> None:
        """``devices``: those to choose from, such as ``auto``, ``cpu``, ``cuda:0``."""
        super().__init__(parent)
        self.setWindowTitle(self.tr("Settings"))
        self.theme = QComboBox()
        self.theme.addItem(self.tr("Dark"), "dark")
        self.theme.addItem(self.tr("Light"), "light")
        self.theme.setCurrentIndex(self.theme.findData(options.theme))
        self.keys = QComboBox()
        for name, shown in NAMES.items():
            self.keys.addItem(shown, name)
        self.keys.setCurrentIndex(self.keys.findData(options.preset))
        self.output = QLineEdit(str(options.output))
        self.output.setMinimumWidth(320)
        browse = QPushButton(self.tr("Choose…"))
        browse.setAccessibleName(self.tr("Choose the folder for pictures"))
        browse.clicked.connect(self._choose)
        self.device = QComboBox()
        for device in dict.fromkeys([*devices, options.device]):
            self.device.addItem(device, device)
        self.device.setCurrentIndex(self.device.findData(options.device))
        self.threads = QSpinBox()
        self.threads.setRange(0, MAX_THREADS)
        self.threads.setSpecialValueText(self.tr("automatic"))
        self.threads.setValue(options.threads)
        self.cache = QDoubleSpinBox()
        self.cache.setRange(0.1, 10_000)
        self.cache.setDecimals(1)
        self.cache.setSuffix(self.tr(" GB"))
        self.cache.setValue(options.cache_gb)

        row = QHBoxLayout()
        row.addWidget(self.output)
        row.addWidget(browse)
        form = QFormLayout()
        for text, field in (
            (self.tr("&Theme"), self.theme),
            (self.tr("&Keys like"), self.keys),
            (self.tr("&Device"), self.device),
            (self.tr("&CPU threads"), self.threads),
            (self.tr("Stored &results, at most"), self.cache),
        ):
            field.setAccessibleName(text.replace("&", ""))
            form.addRow(text, field)
        label = QLabel(self.tr("&Pictures go to"))
        label.setBuddy(self.output)
        self.output.setAccessibleName(self.tr("Pictures go to"))
        form.insertRow(2, label, row)
        note = QLabel(self.tr("Device, threads and size take effect when the worker restarts."))
        note.setProperty("role", "dim")
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(note)
        layout.addWidget(buttons)
        self.theme.setFocus(Qt.FocusReason.OtherFocusReason)

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, self.tr("Pictures go to"), self.output.text()
        )
        if folder:
            self.output.setText(folder)

    def options(self) -> Options:
        """What stands in the fields."""
        return Options(
            theme="light" if self.theme.currentData() == "light" else "dark",
            output=Path(self.output.text().strip() or default_output()).expanduser(),
            device=str(self.device.currentData()),
            threads=self.threads.value(),
            preset=preset(str(self.keys.currentData())),
            cache_gb=self.cache.value(),
        )
