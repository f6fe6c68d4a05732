"""Data sets: pictures with captions to learn from, painted by the program or read from a folder."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Annotated, Any

from studio.errors import NodeError
from studio.graph import NodeKind
from studio.registry import Choice, Context, Folder, Planning, Range, Seed, node
from studio.training.folder import CAPTIONS, ENDINGS, Reading, gather, look
from studio.training.scenes import CAPTIONS_VERSION, VERSION, attributes, class_names, scene
from studio.values import Dataset, Image, Scenes

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANY = "any"
_HELD_OUT = {"left out": False, "only": True, "included": None}


@node(
    "scene_painter",
    version=1,
    category="training",
    kind=NodeKind.DESCRIBE,
    aliases=("dataset", "synthetic_data", "picture_book"),
)
def scene_painter(
    count: Annotated[int, Range(1, 10_000_000, unit="pictures")] = 2000,
    size: Annotated[int, Range(16, 512, 8, unit="px")] = 32,
    style: Annotated[str, Choice(ANY, *attributes.STYLES)] = ANY,
    time: Annotated[str, Choice(ANY, *attributes.TIMES)] = ANY,
    weather: Annotated[str, Choice(ANY, *attributes.WEATHERS)] = ANY,
    terrain: Annotated[str, Choice(ANY, *attributes.TERRAINS)] = ANY,
    subject: Annotated[str, Choice(ANY, *attributes.SUBJECTS)] = ANY,
    color: Annotated[str, Choice(ANY, *attributes.COLORS)] = ANY,
    position: Annotated[str, Choice(ANY, *attributes.POSITIONS)] = ANY,
    extent: Annotated[str, Choice(ANY, *attributes.SIZES)] = ANY,
    companion: Annotated[str, Choice(ANY, attributes.NONE, *attributes.COMPANIONS)] = ANY,
    held_out: Annotated[str, Choice(*_HELD_OUT)] = "left out",
    seed: Annotated[int, Seed()] = 0,
) -> Dataset:
    """A data set of picture-book scenes, drawn by the program as they are needed; no file is read or written.

    Every picture follows from the seed and its number alone. Captions are put into words afresh each time a picture is
    seen: synonyms, attributes left out. The subjects are the class labels.

      count: How many different pictures there are.
      size: Side of the pictures.
      style: Of all pictures; any draws one for each.
      time: Hour of all pictures.
      weather: Of all pictures.
      terrain: Of all pictures.
      subject: Of all pictures; none shows the land alone.
      color: Of all subjects that have a colour of their own.
      position: Where the subject stands.
      extent: How large the subject is.
      companion: Who stands on the other side, where the subject is not in the middle.
      held_out: Ten combinations that training should never see, so that a test can ask for them.
      seed: Another seed draws other scenes.
      dataset: The scenes, described.
    """
    wanted = {
        "style": style,
        "time": time,
        "weather": weather,
        "terrain": terrain,
        "subject": subject,
        "color": color,
        "position": position,
        "size": extent,
        "companion": companion,
    }
    given = {name: value for name, value in wanted.items() if value != ANY}
    is_held_out = _HELD_OUT[held_out]
    try:
        scene(seed, 0, given, held_out=is_held_out)
    except ValueError as error:
        raise NodeError(
            f"{error} and is {'held out' if is_held_out else 'not held out'}",
            where=".held_out",
            remedy="set fewer attributes, or held_out to included",
        ) from error
    pillow = importlib.metadata.version("Pillow").partition(".")[0]
    version = f"{VERSION} Pillow {pillow} captions {CAPTIONS_VERSION}"
    return Dataset(
        Scenes(seed, count, given, is_held_out, version), size, class_names(), has_captions=True
    )


@node(
    "picture_folder",
    version=1,
    category="training",
    kind=NodeKind.DESCRIBE,
    aliases=("dataset", "image_folder", "load_images"),
)
def picture_folder(
    ctx: Planning,
    folder: Annotated[str, Folder()] = "",
    size: Annotated[int, Range(16, 2048, 8, unit="px")] = 128,
    captions: Annotated[str, Choice(*CAPTIONS)] = "auto",
    trigger: str = "",
    classes: bool = False,
    fit: Annotated[str, Choice("crop", "pad", "stretch")] = "crop",
    random_crop: bool = False,
    flip: bool = False,
) -> Dataset:
    """A data set of your own pictures, with all folders inside; what is wrong with it is named before anything runs.

    A caption lies beside its picture, in a .txt file of its name, or in a table in the folder: metadata.csv or
    metadata.jsonl (or captions.csv, captions.jsonl) with file_name and text.

      folder: Where the pictures lie: PNG, JPEG, WebP, AVIF, GIF, TIFF or BMP, none smaller than the size.
      size: Side of the squares that are learned from.
      captions: auto takes a table if there is one, else the .txt files, else none; beside and table insist.
      trigger: Words that begin every caption: by them the style or thing is called later.
      classes: The name of the folder that a picture lies in is its class.
      fit: crop takes a square out of the picture; pad keeps all of it and adds black; stretch ignores proportions.
      random_crop: Take the square from another place each time; otherwise the middle.
      flip: Mirror by chance; not for what has a left and a right, such as writing.
      dataset: The pictures, described.
    """
    if not folder:
        raise NodeError("no folder is chosen", where=".folder", remedy="choose one with pictures")
    try:
        files = ctx.files(folder, ENDINGS, look)
    except NodeError as error:
        raise error.located(".folder") from error.__cause__
    return gather(files, Reading(size, captions, trigger, classes, fit, random_crop, flip))


@node("dataset_pictures", version=1, category="training", aliases=("show_dataset",))
def dataset_pictures(
    ctx: Context,
    dataset: Dataset,
    first: Annotated[int, Range(0, 10_000_000)] = 0,
    count: Annotated[int, Range(1, 256, unit="pictures")] = 16,
    captions: bool = False,
    seed: Annotated[int, Seed()] = 0,
) -> Image:
    """Pictures of a data set as a training sees them, so that you can look at what will be learned.

    dataset: What to look at.
    first: Number of the first picture.
    count: How many to show; fewer where the data set ends.
    captions: Write the caption below each picture, on a strip as wide as the picture.
    seed: Of crops, mirroring and the wording of captions, as a training's seed.
    image: The pictures, to be laid out by image_grid.
    """
    import torch

    from studio.training.data import Examples

    examples = Examples(dataset, seed)
    last = min(first + count, len(examples))
    if first >= last:
        raise NodeError(
            f"the data set has only {len(examples)} pictures",
            where=".first",
            remedy="begin earlier",
        )
    pictures = []
    for index in range(first, last):
        ctx.progress(index - first, last - first)
        picture = examples.picture(index, index) / 2 + 0.5
        if captions:
            strip = torch.from_numpy(_strip(examples.caption(index, index), dataset.size))
            picture = torch.cat([picture, strip.permute(2, 0, 1).float() / 255], dim=1)
        pictures.append(picture.clamp(0, 1))
    return Image(torch.stack(pictures))


def _strip(text: str, width: int) -> NDArray[Any]:
    """Text on white, uint8 [height, width, 3]: as many lines as the longest captions take."""
    import numpy as np
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    size = max(8, min(14, width // 14))
    font = ImageFont.load_default(size)
    lines, rows = [""], max(2, -(-900 // width))
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width - 4:
            lines.append(word)
        else:
            lines[-1] = longer
    canvas = Pillow.new("RGB", (width, rows * (size + 2) + 4), "white")
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines[:rows]):
        draw.text((2, 1 + number * (size + 2)), line, "black", font)
    return np.array(canvas)
