"""The scene painter: captioned picture-book scenes, drawn by the program, addressed by (seed, index).

``attributes`` says what a scene shows, ``captions`` puts it into words; ``painter``, which needs numpy and Pillow and
is not imported here, draws it, as a picture (``paint``) and as somebody might sketch it (``scribble``).
"""

from studio.training.scenes.attributes import (
    HELD_OUT,
    SUBJECTS,
    VERSION,
    Combination,
    Scene,
    is_held_out,
    scene,
)
from studio.training.scenes.captions import caption, class_names, full_caption

__all__ = [
    "HELD_OUT",
    "SUBJECTS",
    "VERSION",
    "Combination",
    "Scene",
    "caption",
    "class_names",
    "full_caption",
    "is_held_out",
    "scene",
]
