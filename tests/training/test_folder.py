"""Folders as data sets: by content, with captions from three places; what is wrong is named file by file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nodes.training_data import picture_folder
from studio.errors import NodeError
from studio.facts import Facts
from studio.keys import digest
from studio.training import folder as reading
from studio.training.data import Examples
from studio.values import Dataset, PictureFiles
from tests.training.pictures import COLORS, files, fill, planning


def read(folder: Path, facts: Facts | None = None, **params: object) -> Dataset:
    """The data set of a folder, of 32 px unless told."""
    given = {"size": 32, **params}
    return picture_folder(planning(facts), str(folder), **given)  # type: ignore[arg-type]  # as told


def captions(dataset: Dataset) -> dict[str, str]:
    """Captions by the name of their picture."""
    return {file.name: file.caption for file in files(dataset.pictures).files}


def test_captions_beside_the_pictures_are_read(tmp_path: Path) -> None:
    dataset = read(fill(tmp_path))
    assert dataset.count == 4
    assert captions(dataset)["a1.png"] == "a lime wall"
    assert dataset.has_captions


def test_a_table_of_captions_is_read(tmp_path: Path) -> None:
    fill(tmp_path, count=2)
    table = "file_name,text\na0.png,first\na1.png,second\n"
    (tmp_path / "metadata.csv").write_text(table, encoding="utf-8")
    assert captions(read(tmp_path)) == {"a0.png": "first", "a1.png": "second"}
    assert captions(read(tmp_path, captions="beside"))["a0.png"] == "a red wall"
    (tmp_path / "metadata.csv").unlink()
    lines = [json.dumps({"file_name": f"a{n}.png", "text": f"line {n}"}) for n in range(2)]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert captions(read(tmp_path)) == {"a0.png": "line 0", "a1.png": "line 1"}


def test_pictures_without_any_caption_make_a_set_without_captions(tmp_path: Path) -> None:
    fill(tmp_path)
    for text in tmp_path.glob("*.txt"):
        text.unlink()
    assert not read(tmp_path).has_captions
    triggered = read(tmp_path, trigger="zyx style")
    assert triggered.has_captions
    assert captions(triggered)["a0.png"] == "zyx style"


def test_folders_are_classes_where_that_is_asked_for(tmp_path: Path) -> None:
    fill(tmp_path / "walls", count=2)
    fill(tmp_path / "doors", count=1)
    dataset = read(tmp_path, classes=True)
    assert dataset.classes == ("doors", "walls")
    labels = {file.name: file.label for file in files(dataset.pictures).files}
    assert labels == {"doors/a0.png": 0, "walls/a0.png": 1, "walls/a1.png": 1}


def test_content_counts_and_not_where_it_lies(tmp_path: Path) -> None:
    one, other = read(fill(tmp_path / "one")), read(fill(tmp_path / "other"))
    assert digest(one) == digest(other)
    (tmp_path / "other" / "a0.txt").write_text("something else", encoding="utf-8")
    assert digest(one) != digest(read(tmp_path / "other"))
    assert digest(one) != digest(read(tmp_path / "one", flip=True))


def spoil(folder: Path) -> None:
    """Everything at once: a broken picture, a tiny one, an empty caption, a missing one, a text that is none."""
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    (folder / "broken.txt").write_text("broken", encoding="utf-8")
    Image.new("RGB", (8, 90)).save(folder / "tiny.png")
    (folder / "tiny.txt").write_text("tiny", encoding="utf-8")
    (folder / "a1.txt").write_text("  \n", encoding="utf-8")
    (folder / "a2.txt").unlink()
    (folder / "a3.txt").write_bytes(b"\xff\xfe\xff")


def test_everything_wrong_is_named_file_by_file(tmp_path: Path) -> None:
    spoil(fill(tmp_path))
    with pytest.raises(NodeError) as caught:
        read(tmp_path)
    assert caught.value.where == ".folder"
    assert caught.value.what == (
        "6 files cannot be used: a1.png has an empty caption; a2.png has no caption in a .txt file"
        " beside it; a3.png has no caption in a .txt file beside it; a3.txt is not UTF-8 text;"
        " broken.png is no picture that can be read; tiny.png is 8 × 90 px, smaller than 32 px"
    )


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda folder: None, "cannot be listed (No such file or directory)"),
        (lambda folder: folder.mkdir(), "there are no pictures in the folder"),
        (lambda folder: folder.write_text("x"), "cannot be listed (Not a directory)"),
    ],
)
def test_a_folder_that_is_none_is_refused(
    tmp_path: Path, make: Callable[[Path], object], what: str
) -> None:
    make(tmp_path / "data")
    with pytest.raises(NodeError) as caught:
        read(tmp_path / "data")
    assert what in str(caught.value)
    assert caught.value.where == ".folder"


def test_no_folder_is_refused() -> None:
    with pytest.raises(NodeError, match="no folder is chosen"):
        picture_folder(planning())


def test_what_the_system_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    for name, target in (("gone.png", "nowhere.png"), ("loop.png", "loop.png")):
        (tmp_path / name).symlink_to(tmp_path / target)
    opened = Path.open

    def refusing(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == "a1.png":  # the tests may run as root, who may read everything
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refusing)
    with pytest.raises(NodeError) as caught:
        read(tmp_path)
    for told in (
        "a1.png cannot be read (Permission denied)",
        "gone.png cannot be read (No such file or directory)",
        "loop.png cannot be read (Too many levels of symbolic links)",
    ):
        assert told in caught.value.what


def test_a_table_that_names_what_is_not_there_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, count=1)
    (tmp_path / "metadata.csv").write_text("file_name,text\nb.png,x\n", encoding="utf-8")
    with pytest.raises(NodeError, match=r"a0\.png has no caption in the table; b\.png is named in"):
        read(tmp_path)
    (tmp_path / "metadata.csv").write_text("picture,words\n", encoding="utf-8")
    with pytest.raises(NodeError, match=r"metadata\.csv has no columns file_name and text"):
        read(tmp_path)


def test_many_problems_are_counted_beyond_the_first_twenty(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"b{number:02}.png").write_bytes(b"no")
    with pytest.raises(NodeError, match=r"30 files cannot be used: b00.*; and 10 more"):
        read(tmp_path)


def test_a_folder_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "data")
    for file in (tmp_path / "data").iterdir():
        os.utime(file, ns=(10**18, 10**18))  # long settled
    facts = Facts(tmp_path / "facts.sqlite")
    first = read(tmp_path / "data", facts)

    def refuse(path: Path) -> object:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(reading, "_size", refuse)
    assert read(tmp_path / "data", facts) == first
    facts.close()


def test_a_damaged_picture_is_found_before_training_starts(tmp_path: Path) -> None:
    fill(tmp_path)
    Image.effect_noise((64, 64), 50).save(tmp_path / "a1.png")
    whole = (tmp_path / "a1.png").read_bytes()
    (tmp_path / "a1.png").write_bytes(whole[: len(whole) // 2])
    dataset = read(tmp_path)
    with pytest.raises(NodeError, match=r"1 pictures cannot be used: a1\.png cannot be decoded"):
        Examples(dataset, 0).verify(lambda done, total: None)


def test_a_picture_that_changed_after_planning_is_refused(tmp_path: Path) -> None:
    dataset = read(fill(tmp_path))
    Image.new("RGB", (40, 32), "black").save(tmp_path / "a0.png")
    with pytest.raises(NodeError, match="has changed since the run began"):
        Examples(dataset, 0).picture(0)


def test_pictures_come_cropped_to_the_middle_upright_and_without_transparency(
    tmp_path: Path,
) -> None:
    picture = Image.new("RGBA", (64, 32), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (16, 0, 48, 32))
    picture.save(tmp_path / "wide.png")
    whole = Examples(read(tmp_path), 0).picture(0)
    assert whole.shape == (3, 32, 32)
    assert torch.allclose(whole[0], torch.ones(32, 32))
    assert torch.allclose(whole[1:, :, 1:-1], -torch.ones(2, 32, 30), atol=0.02)
    padded = Examples(read(tmp_path, fit="pad"), 0).picture(0)
    assert torch.equal(padded[:, 0, 16], -torch.ones(3))
    assert torch.equal(padded[:, 16, 1], torch.ones(3))


def test_chances_follow_from_seed_and_position_and_no_position_means_none(tmp_path: Path) -> None:
    picture = Image.linear_gradient("L").rotate(90).resize((80, 40)).convert("RGB")
    picture.save(tmp_path / "a.png")
    dataset = read(tmp_path, random_crop=True, flip=True)
    one, other = Examples(dataset, 1), Examples(dataset, 1)
    seen = [one.picture(0, position) for position in range(12)]
    again = [other.picture(0, position) for position in reversed(range(12))]
    assert all(torch.equal(a, b) for a, b in zip(seen, reversed(again), strict=True))
    assert len({tuple(crop[0, 0].tolist()) for crop in seen}) > 6
    assert torch.equal(one.picture(0), Examples(dataset, 9).picture(0))


def test_every_epoch_sees_every_picture_once_in_another_order(tmp_path: Path) -> None:
    examples = Examples(read(fill(tmp_path, count=7)), 5)
    orders = [[examples.at(7 * epoch + place) for place in range(7)] for epoch in range(3)]
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert orders[0] != orders[1]
    assert Examples(examples.dataset, 5).at(9) == orders[1][2]


def test_colors_of_the_files_arrive(tmp_path: Path) -> None:
    examples = Examples(read(fill(tmp_path)), 0)
    assert isinstance(examples.dataset.pictures, PictureFiles)
    means = [examples.picture(index).mean((1, 2)).tolist() for index in range(4)]
    assert means == [[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1]]
    assert COLORS[0] in examples.caption(0)


def test_a_folder_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    fill(tmp_path)
    for file in tmp_path.iterdir():
        os.utime(file, ns=(10**18, 10**18))
    facts = Facts(None)
    first = read(tmp_path, facts)
    (tmp_path / "a0.txt").write_text("another wall", encoding="utf-8")
    assert captions(read(tmp_path, facts))["a0.png"] == "another wall"
    (tmp_path / "a3.png").unlink()
    (tmp_path / "a3.txt").unlink()
    assert read(tmp_path, facts).count == first.count - 1
