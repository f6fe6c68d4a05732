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
from studio.training.scenes.captions import (
    ORDINARY,
    brief_caption,
    caption,
    class_names,
    full_caption,
)
from studio.training.scenes.captions import VERSION as CAPTIONS_VERSION

__all__ = [
    "CAPTIONS_VERSION",
    "HELD_OUT",
    "ORDINARY",
    "SUBJECTS",
    "VERSION",
    "Combination",
    "Scene",
    "brief_caption",
    "caption",
    "class_names",
    "full_caption",
    "is_held_out",
    "scene",
]
