"""Which keys actions have: as their tables say, as another program has them, and as the user changed them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from PySide6.QtGui import QKeySequence

Preset = Literal["emulsion", "comfyui", "blender", "nuke"]
Keys = tuple[str, ...]
"""In Qt's portable notation; the first is shown in menus."""

NAMES: Mapping[Preset, str] = {
    "emulsion": "Emulsion",
    "comfyui": "ComfyUI",
    "blender": "Blender",
    "nuke": "Nuke",
}
"""What people call the programs."""

# Only what differs from the tables of actions, and what thereby lost its key. Where a word means another thing there,
# the key goes to what it does: ComfyUI's groups are frames here; what Blender mutes and Nuke disables is bypassed here.
PRESETS: Mapping[Preset, Mapping[str, Keys]] = {
    "emulsion": {},
    "comfyui": {
        "canvas.mute": ("Ctrl+M",),
        "canvas.bypass": ("Ctrl+B",),
        "canvas.collapse": ("Alt+C",),
        "canvas.frame": ("Ctrl+G",),
        "canvas.group": ("Ctrl+Shift+E",),
        "canvas.frame_selected": (".",),
        "canvas.zoom_in": ("Alt+=", "Alt++"),
        "canvas.zoom_out": ("Alt+-",),
        "edit.redo": ("Ctrl+Y", "Ctrl+Shift+Z"),
        "view.queue": ("Q",),
        "view.library": ("N",),
        "view.log": ("Ctrl+`",),
    },
    "blender": {
        "canvas.add": ("F3",),
        "canvas.duplicate": ("Shift+D",),
        "canvas.delete": ("X", "Del"),
        "canvas.delete_reconnect": ("Ctrl+X", "Ctrl+Del"),
        "canvas.cut": ("Shift+Del",),
        "canvas.bypass": ("M",),
        "canvas.mute": ("Shift+M",),
        "canvas.ungroup": ("Ctrl+Alt+G",),
        "canvas.enter": ("Tab",),
        "canvas.leave": ("Ctrl+Tab",),
        "canvas.frame_all": ("Home",),
        "canvas.frame_selected": (".",),
        "canvas.connect": ("F",),
        "canvas.extract": ("Alt+D",),
        "canvas.select_all": ("A",),
        "canvas.select_none": ("Alt+A",),
        "canvas.select_upstream": ("L",),
        "canvas.select_downstream": ("Shift+L",),
        "run.run": ("F12", "Ctrl+Return", "Ctrl+Enter"),
    },
    "nuke": {
        "canvas.bypass": ("D",),
        "canvas.duplicate": ("Alt+C",),
        "canvas.rename": ("N", "F2"),
        "canvas.layout": ("L",),
        "canvas.select_upstream": ("Ctrl+Alt+A",),
        "canvas.select_downstream": ("Ctrl+Alt+Shift+A",),
        "canvas.find": ("/", "Ctrl+F"),
        "canvas.zoom_in": ("+", "="),
        "canvas.zoom_out": ("-",),
        "canvas.ungroup": ("Ctrl+Alt+G",),
        "run.run": ("F5", "Ctrl+Return", "Ctrl+Enter"),
        "run.to": ("F7",),
        "view.full": ("Alt+S", "F11"),
    },
}


def preset(name: str) -> Preset:
    """The preset of a name; ours where there is none of that name."""
    return next((one for one in get_args(Preset) if one == name), "emulsion")


def portable(keys: Iterable[str]) -> Keys:
    """Keys written in one way, so that they can be compared; what is no key is left out."""
    form = QKeySequence.SequenceFormat.PortableText
    written = (QKeySequence(key).toString(form) for key in keys)
    return tuple(dict.fromkeys(key for key in written if key))


@dataclass(frozen=True)
class Keymap:
    """The keys of every action: a change of the user's comes before the preset, the preset before the table."""

    preset: Preset = "emulsion"
    changes: Mapping[str, Keys] = field(default_factory=dict)
    """By an action's id; no keys: it has none."""

    def keys(self, action: str, declared: Keys) -> Keys:
        """The keys of an action whose table declares these; what others were given is not among them."""
        if action in self.changes:
            return portable(self.changes[action])
        taken = {
            key for id_, keys in self.changes.items() if id_ != action for key in portable(keys)
        }
        chosen = PRESETS[self.preset]
        if action in chosen:
            return tuple(key for key in portable(chosen[action]) if key not in taken)
        taken |= {key for keys in chosen.values() for key in portable(keys)}
        return tuple(key for key in portable(declared) if key not in taken)

    def with_keys(self, action: str, keys: Keys) -> Keymap:
        """The same with other keys for an action."""
        return Keymap(self.preset, {**self.changes, action: portable(keys)})

    def without(self, action: str) -> Keymap:
        """The same with the keys that an action has by the preset."""
        kept = {id_: keys for id_, keys in self.changes.items() if id_ != action}
        return Keymap(self.preset, kept)
