"""Output nodes: the encoded bytes, read back by Pillow."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor

from nodes.output import image_grid, preview, save_animation, save_image
from studio.errors import NodeError
from studio.values import Image


def opened(file: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(file))


def noisy(count: int = 1, height: int = 5, width: int = 7) -> Image:
    generator = torch.Generator().manual_seed(0)
    return Image(torch.rand(count, 3, height, width, generator=generator))


def solid(*colours: tuple[float, float, float], side: int = 4) -> Image:
    return Image(torch.tensor(colours).view(-1, 3, 1, 1).repeat(1, 1, side, side))


def test_every_picture_of_a_batch_is_a_file_rounded_as_diffusers_rounds() -> None:
    image = noisy(2)
    expected = VaeImageProcessor.numpy_to_pil(image.pixels.permute(0, 2, 3, 1).numpy())
    saved = save_image(image)
    assert [opened(file).tobytes() for file in saved.files] == [one.tobytes() for one in expected]
    assert [opened(file).size for file in saved.files] == [(7, 5), (7, 5)]


def test_digests_are_of_the_pixels_that_a_reader_of_the_file_gets() -> None:
    saved = save_image(noisy())
    assert saved.pixels_sha256 == (hashlib.sha256(opened(saved.files[0]).tobytes()).hexdigest(),)


def test_the_same_pixels_give_the_same_bytes() -> None:
    assert save_image(noisy()).files == save_image(noisy()).files


def test_compression_changes_the_file_and_not_the_pixels() -> None:
    image = solid((0.1, 0.2, 0.3), side=64)
    small, large = save_image(image, compression=9), save_image(image, compression=0)
    assert len(small.files[0]) < len(large.files[0])
    assert small.pixels_sha256 == large.pixels_sha256


def test_values_outside_0_to_1_are_clamped() -> None:
    saved = save_image(solid((-1.0, 0.5, 2.0), side=1))
    assert opened(saved.files[0]).getpixel((0, 0)) == (0, 128, 255)


def test_a_saved_picture_is_to_be_written_and_a_preview_is_not() -> None:
    assert save_image(noisy(), "house").is_saved
    assert not preview(noisy()).is_saved


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../secrets", "contains '/'"),
        ("a\\b", "contains '\\\\\\\\'"),
        ("c:evil", "contains ':'"),
        (".hidden", "begins or ends with a dot"),
        ("", "is empty"),
        ("con", "reserved on Windows"),
        ("x" * 200, "is too long"),
        ("a\nb", r"contains '\\n'"),
    ],
)
def test_a_name_that_is_no_plain_file_name_is_refused(name: str, problem: str) -> None:
    with pytest.raises(NodeError, match=problem):
        save_image(noisy(), name)


def test_names_in_any_script_are_kept() -> None:
    assert save_image(noisy(), "Häuser am Meer 3").name == "Häuser am Meer 3"


def frames_of(file: bytes) -> list[np.ndarray]:
    animation = opened(file)
    found = []
    for index in range(animation.n_frames):  # type: ignore[attr-defined]  # of animated formats
        animation.seek(index)
        found.append(np.asarray(animation.convert("RGB")))
    return found


RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


@pytest.mark.parametrize(("kind", "suffix"), [("gif", ".gif"), ("apng", ".png")])
def test_an_animation_holds_every_picture_in_order(kind: str, suffix: str) -> None:
    saved = save_animation(solid(RED, GREEN, BLUE), kind=kind)
    assert saved.suffix == suffix
    assert [tuple(frame[0, 0]) for frame in frames_of(saved.files[0])] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
    ]


def test_bouncing_plays_back_to_the_first_picture() -> None:
    saved = save_animation(solid(RED, GREEN, BLUE), bounce=True)
    assert [frame[0, 0].argmax() for frame in frames_of(saved.files[0])] == [0, 1, 2, 1]


@pytest.mark.parametrize("kind", ["gif", "apng"])
def test_the_last_picture_stays_longer(kind: str) -> None:
    animation = opened(save_animation(solid(RED, GREEN), kind=kind, rate=10, hold=2).files[0])
    durations = []
    for index in range(2):
        animation.seek(index)
        durations.append(animation.info["duration"])
    assert durations == [100, 2100]


def test_an_animated_png_keeps_every_colour() -> None:
    image = noisy(2, 24, 24)
    expected = (image.pixels.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    frames = frames_of(save_animation(image, kind="apng").files[0])
    assert np.array_equal(np.stack(frames), expected)


def test_one_picture_is_an_animation_too() -> None:
    assert len(frames_of(save_animation(solid(RED)).files[0])) == 1


def test_a_grid_lays_pictures_out_row_by_row() -> None:
    sheet = image_grid(solid(RED, GREEN, BLUE, side=2), columns=2, gap=1, color="#ffffff").pixels
    assert sheet.shape == (1, 3, 5, 5)
    corners = [sheet[0, :, y, x].tolist() for y, x in ((0, 0), (0, 3), (3, 0), (3, 3), (2, 2))]
    assert corners == [list(RED), list(GREEN), list(BLUE), [1.0] * 3, [1.0] * 3]


def test_a_grid_without_columns_is_about_square() -> None:
    assert image_grid(solid(*[RED] * 9, side=2), gap=0).pixels.shape == (1, 3, 6, 6)
