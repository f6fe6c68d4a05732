"""What a hand does with the mouse, by kind: each gesture is one object from press to release."""

from studio.gui.canvas.gestures.boxes import MoveBox, ResizeBox
from studio.gui.canvas.gestures.gesture import Gesture, Pointer
from studio.gui.canvas.gestures.linking import DrawLink, Knife, MoveLinks, Reroute
from studio.gui.canvas.gestures.looking import Band, Pan
from studio.gui.canvas.gestures.moving import Move, SelectAndMove
from studio.gui.canvas.gestures.scrubbing import Scrub

__all__ = [
    "Band",
    "DrawLink",
    "Gesture",
    "Knife",
    "Move",
    "MoveBox",
    "MoveLinks",
    "Pan",
    "Pointer",
    "Reroute",
    "ResizeBox",
    "Scrub",
    "SelectAndMove",
]
