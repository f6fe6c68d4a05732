"""Image nodes: files of every kind, and operations against their formulas."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from PIL import ImageCms

from nodes.image import (
    image_blend,
    image_composite,
    image_crop,
    image_pad,
    image_resize,
    load_image,
)
from studio.errors import NodeError
from studio.values import Image, Mask


def colours(width: int = 6, height: int = 4, channels: int = 3) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (height, width, channels), dtype=np.uint8)


def saved(folder: Path, picture: PIL.Image.Image, name: str = "a.png", **options: Any) -> str:
    path = folder / name
    picture.save(path, **options)
    return str(path)


def as_bytes(image: Image) -> np.ndarray:
    return (image.pixels[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def test_a_png_is_loaded_exactly_and_opaque_means_nothing_to_repaint(tmp_path: Path) -> None:
    image, mask = load_image(saved(tmp_path, PIL.Image.fromarray(colours())))
    expected = torch.from_numpy(colours().astype(np.float32) / 255).permute(2, 0, 1)[None]
    assert image.pixels.equal(expected)
    assert mask.alpha.equal(torch.zeros(1, 1, 4, 6))


def test_transparency_is_repainted_and_colours_under_it_are_kept(tmp_path: Path) -> None:
    layers = colours(channels=4)
    image, mask = load_image(saved(tmp_path, PIL.Image.fromarray(layers)))
    assert np.array_equal(as_bytes(image), layers[..., :3])
    expected = 1 - layers[..., 3].astype(np.float32) / np.float32(255)
    assert np.array_equal(mask.alpha[0, 0].numpy(), expected)


def test_transparent_palette_entries_are_repainted(tmp_path: Path) -> None:
    picture = PIL.Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    image, mask = load_image(saved(tmp_path, picture, transparency=bytes([51, 0])))
    assert as_bytes(image)[0].tolist() == [[10, 20, 30], [200, 100, 50]]
    assert mask.alpha.flatten().tolist() == pytest.approx([0.8, 1.0])


def test_sixteen_bits_of_grey_keep_their_precision(tmp_path: Path) -> None:
    values = np.array([[0, 1, 32768, 65535]], np.uint16)
    image, _ = load_image(saved(tmp_path, PIL.Image.fromarray(values)))
    expected = values[0].astype(np.float32) / np.float32(65535)
    assert all(np.array_equal(plane, expected[None]) for plane in image.pixels[0].numpy())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "CMYK", "YCbCr"])
def test_other_colour_modes_are_converted_as_pillow_does(tmp_path: Path, mode: str) -> None:
    picture = PIL.Image.fromarray(colours()).convert(mode)
    name = "a.jpg" if mode in ("CMYK", "YCbCr") else "a.png"
    path = saved(tmp_path, picture, name)
    with PIL.Image.open(path) as reopened:
        expected = np.asarray(reopened.convert("RGB"))
    assert np.array_equal(as_bytes(load_image(path).image), expected)


def test_only_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert as_bytes(load_image(path).image)[0, 0].tolist() == [255, 0, 0]


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise to show
    path = saved(tmp_path, PIL.Image.fromarray(colours()), exif=exif)
    assert np.array_equal(as_bytes(load_image(path).image), np.rot90(colours(), -1))


def swapped_profile(name: str = "swap") -> bytes:
    """An sRGB profile whose red and green primaries are exchanged, under a name of four letters."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", data, 128)[0]
    tags = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = (
        data[green + 4 : green + 12],
        data[red + 4 : red + 12],
    )
    return bytes(data).replace("sRGB".encode("utf-16-be"), name.encode("utf-16-be"))


def test_a_colour_profile_is_turned_into_srgb(tmp_path: Path) -> None:
    picture = PIL.Image.new("RGB", (1, 1), (250, 20, 40))
    path = saved(tmp_path, picture, icc_profile=swapped_profile())
    found = as_bytes(load_image(path).image)[0, 0].astype(int)
    assert np.abs(found - (20, 250, 40)).max() <= 2


def test_a_profile_that_calls_itself_srgb_changes_no_pixel(tmp_path: Path) -> None:
    profile = swapped_profile("sRGB")
    path = saved(tmp_path, PIL.Image.fromarray(colours()), icc_profile=profile)
    assert np.array_equal(as_bytes(load_image(path).image), colours())


@pytest.mark.parametrize("profile", [b"nonsense", swapped_profile()])
def test_a_profile_that_does_not_fit_is_ignored(tmp_path: Path, profile: bytes) -> None:
    grey = PIL.Image.fromarray(colours()).convert("L")
    path = saved(tmp_path, grey, icc_profile=profile)
    assert np.array_equal(as_bytes(load_image(path).image)[..., 0], np.asarray(grey))


def test_no_file_chosen_is_said_so() -> None:
    with pytest.raises(NodeError, match="no file is chosen; choose a picture file"):
        load_image("")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r'there is no file ".*nowhere\.png"'):
        load_image(str(tmp_path / "nowhere.png"))


def test_a_file_that_is_no_picture_is_named_with_what_would_do(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("hello")
    with pytest.raises(NodeError, match=r'a\.png" is no picture that can be read; choose a PNG'):
        load_image(str(path))


def test_a_truncated_file_is_an_error_and_no_half_picture(tmp_path: Path) -> None:
    path = Path(saved(tmp_path, PIL.Image.fromarray(colours(64, 64)), "a.jpg"))
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(NodeError, match=r"cannot be read: .*truncated"):
        load_image(str(path))


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = Path(saved(tmp_path, PIL.Image.new("1", (8, 8)), "a.bmp"))
    data = bytearray(path.read_bytes())
    struct.pack_into("<ii", data, 18, 12_000, 9_000)  # width and height in the header
    path.write_bytes(data)
    with pytest.raises(NodeError, match="more than 89 million pixels; shrink it"):
        load_image(str(path))


def test_formats_that_run_programs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(NodeError, match="no picture that can be read"):
        load_image(str(path))


def picture(width: int, height: int) -> Image:
    pixels = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return Image(pixels)


def test_stretching_resamples_each_channel_as_pillow_does() -> None:
    resized = image_resize(picture(8, 6), width=5, height=9, fit="stretch").image.pixels
    plane = PIL.Image.fromarray(picture(8, 6).pixels[0, 1].numpy())
    expected = np.asarray(plane.resize((5, 9), PIL.Image.Resampling.LANCZOS)).clip(0, 1)
    assert np.array_equal(resized[0, 1].numpy(), expected)


def test_the_same_size_is_the_same_picture() -> None:
    assert image_resize(picture(8, 6), width=8, height=6).image.pixels.equal(picture(8, 6).pixels)


def test_cropping_to_fit_keeps_the_middle_at_full_height() -> None:
    wide = picture(12, 4)
    fitted = image_resize(wide, width=4, height=4, fit="crop").image.pixels
    assert fitted.equal(wide.pixels[..., 4:8])


def test_padding_to_fit_keeps_all_and_masks_the_edges() -> None:
    wide = picture(12, 4)
    image, mask = image_resize(wide, width=12, height=8, fit="pad")
    assert image.pixels[..., 2:6, :].equal(wide.pixels)
    assert image.pixels[..., 0, :].equal(wide.pixels[..., 0, :])
    assert mask.alpha[0, 0, :, 0].tolist() == [1, 1, 0, 0, 0, 0, 1, 1]


def test_the_mask_is_fitted_with_its_picture() -> None:
    mask = torch.zeros(1, 1, 4, 12)
    mask[..., 5:7] = 1.0
    fitted = image_resize(picture(12, 4), Mask(mask), 4, 4, "crop").mask.alpha
    assert fitted[0, 0, 0].tolist() == [0, 1, 1, 0]


def test_a_crop_takes_the_rectangle_of_picture_and_mask() -> None:
    mask = Mask(picture(8, 6).pixels[:, :1])
    image, cut = image_crop(picture(8, 6), mask, 2, 1, 4, 3)
    assert image.pixels.equal(picture(8, 6).pixels[..., 1:4, 2:6])
    assert cut.alpha.equal(mask.alpha[..., 1:4, 2:6])


def test_a_crop_beyond_the_edge_is_refused_with_numbers() -> None:
    with pytest.raises(NodeError, match=r"4 × 4 px from \(6, 0\) reach beyond .* 8 × 6 px"):
        image_crop(picture(8, 6), None, 6, 0, 4, 4)


def test_outpainting_adds_edges_and_fades_into_the_old_picture() -> None:
    image, mask = image_pad(picture(8, 6), right=3, feather=4)
    assert image.pixels[..., :8].equal(picture(8, 6).pixels)
    assert image.pixels[..., 8:].equal(picture(8, 6).pixels[..., 7:].expand(1, 3, 6, 3))
    # within 4 px of the seam by the distance of pixel centres: 3.5, 2.5, 1.5, 0.5
    assert mask.alpha[0, 0, 2].tolist() == [0, 0, 0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1]


def test_outpainting_without_feather_masks_exactly_the_new_area() -> None:
    mask = image_pad(picture(4, 4), left=2, top=1, feather=0).mask.alpha
    assert mask.sum().item() == 6 * 5 - 4 * 4
    assert not mask[..., 1:, 2:].any()


def test_new_edges_may_mirror_the_picture_or_be_grey() -> None:
    mirrored = image_pad(picture(8, 6), left=3, fill="mirror").image.pixels
    assert mirrored[..., :3].equal(picture(8, 6).pixels[..., :3].flip(-1))
    grey = image_pad(picture(8, 6), left=3, fill="grey").image.pixels
    assert grey[..., :3].equal(torch.full((1, 3, 6, 3), 0.5))


def solid(value: float) -> Image:
    return Image(torch.full((1, 3, 2, 2), value))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        # W3C compositing and blending, level 1, section 10.1, for backdrop 0.75 and source 0.5
        ("normal", 0.5),
        ("multiply", 0.375),
        ("screen", 0.875),
        ("overlay", 0.75),  # hard-light with the layers exchanged: screen(0.5, 2 · 0.75 − 1)
        ("add", 1.0),
        ("difference", 0.25),
    ],
)
def test_blend_modes_follow_the_standard(mode: str, expected: float) -> None:
    blended = image_blend(solid(0.75), solid(0.5), mode, 1.0)
    assert blended.pixels.equal(solid(expected).pixels)


def test_a_dark_backdrop_under_overlay_multiplies() -> None:
    assert image_blend(solid(0.25), solid(0.5), "overlay", 1.0).pixels.equal(solid(0.25).pixels)


def test_the_amount_goes_from_the_lower_picture_to_the_blend() -> None:
    assert image_blend(solid(0.0), solid(1.0), "normal", 0.25).pixels.equal(solid(0.25).pixels)


def test_pictures_of_two_sizes_are_not_blended() -> None:
    with pytest.raises(NodeError, match=r"8 × 6 px and 6 × 8 px; .*image_resize"):
        image_blend(picture(8, 6), picture(6, 8))


def test_a_composite_changes_nothing_outside_its_mask() -> None:
    below, over = picture(8, 6), solid(0.3)
    mask = torch.tensor([[[[1.0, 0.0], [0.5, 1.0]]]])
    found = image_composite(below, over, Mask(mask), left=3, top=2).pixels
    assert found[0, :, 2, 3].tolist() == pytest.approx([0.3] * 3)
    half = below.pixels[0, :, 3, 3] * 0.5 + 0.15
    torch.testing.assert_close(found[0, :, 3, 3], half)
    changed = (found != below.pixels).any(1).sum().item()
    assert changed == 3
