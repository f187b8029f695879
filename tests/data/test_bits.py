"""Drawings read as bits: shapes of two classes that overlap are both kept."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import SIZE, picture, squares, write
from PIL import Image

from atrous.classes import Classes
from atrous.data.dataset import DataSet, open_dataset
from atrous.data.exports import export_data
from atrous.errors import DataError

Square = tuple[str, tuple[int, int, int]]  # label; left, top, side

CAR, TREE = ("car", (1, 1, 4)), ("tree", (3, 2, 4))
BITS = {"car": 1, "tree": 2}
VOID = 4  # of two classes


def bits(*shapes: Square) -> list[list[int]]:
    """The squares side by side, not one over the other."""
    parts = [squares((BITS[name], *place)) for name, place in shapes]
    return np.bitwise_or.reduce(parts).tolist()


def ring(left: int, top: int, side: int, end: int) -> list[tuple[int, int]]:
    """Corners of a square; `end` is 0 where these are sides of pixels, 1 where centres."""
    right, bottom = left + side - end, top + side - end
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def coco(root: Path, *shapes: Square) -> Path:
    names = ("car", "tree", "background", "__ignore__")
    for split in ("train", "val"):
        picture(root / f"images/{split}/a.png")
        entries = [
            {
                "image_id": 1,
                "category_id": names.index(name) + 1,
                "segmentation": [[v for point in ring(*place, 0) for v in point]],
            }
            for name, place in shapes
        ]
        images = [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}]
        categories = [{"id": i, "name": name} for i, name in enumerate(names, 1)]
        content = {"images": images, "categories": categories, "annotations": entries}
        write(root / f"annotations/{split}.json", content)
    toml = 'classes = ["background", "car", "tree"]\n[remap]\n3 = "ignore"'
    write(root / "dataset.toml", toml)
    return root


def labelme(root: Path, *shapes: Square) -> Path:
    for split in ("train", "val"):
        picture(root / f"{split}/a.png")
        drawn: list[dict[str, Any]] = [
            {"label": name.replace("background", "_background_"), "points": ring(*place, 1)}
            for name, place in shapes
        ]
        write(root / f"{split}/a.json", {"shapes": drawn, "imagePath": "a.png"})
    write(root / "labels.txt", "__ignore__\n_background_\ncar\ntree\n")
    return root


def masks(data: DataSet) -> list[list[list[int]]]:
    return [data.read(pair).mask.tolist() for split in data.splits for pair in data.split(split)]


@pytest.mark.parametrize("make", [coco, labelme])
def test_shapes_that_overlap_are_both_kept(make: Any, tmp_path: Path):
    root = make(tmp_path / "data", CAR, TREE)
    one = open_dataset(root)
    assert (one.classes.task, one.classes.names[0]) == ("multiclass", "background")
    data = open_dataset(root, task="multilabel")
    assert data.classes == Classes(("car", "tree"), data.classes.colours, task="multilabel")
    assert masks(data) == [bits(CAR, TREE)] * 2
    assert 3 in np.unique(masks(data))
    assert data.counts["train"].tolist() == [16, 16]
    assert any("so shapes may overlap" in note for note in data.notes)
    export_data(data, "folder", tmp_path / "planes")
    back = open_dataset(tmp_path / "planes")
    assert (back.kind, back.classes.names) == ("images/ and masks/", ("car", "tree"))
    assert masks(back) == masks(data)


@pytest.mark.parametrize("make", [coco, labelme])
def test_background_cuts_and_what_is_ignored_stays_so(make: Any, tmp_path: Path):
    root = make(tmp_path, CAR, TREE, ("background", (3, 3, 2)), ("__ignore__", (0, 0, 2)))
    expected = np.array(bits(CAR, TREE))
    expected[3:5, 3:5] = 0
    expected[:2, :2] = VOID
    data = open_dataset(root, task="multilabel")
    assert masks(data) == [expected.tolist()] * 2


def test_the_task_may_be_that_of_dataset_toml_or_of_a_model(tmp_path: Path):
    root = coco(tmp_path, CAR, TREE)
    model = Classes(("car", "tree", "__ignore__"), task="multilabel")
    (root / "dataset.toml").unlink()
    assert masks(open_dataset(root, classes=model)) == [bits(CAR, TREE)] * 2
    write(root / "dataset.toml", 'task = "multilabel"')
    data = open_dataset(root)
    assert data.classes.names == ("car", "tree", "__ignore__")
    other = Classes(("tree", "car", "__ignore__"), task="multilabel")
    with pytest.raises(DataError, match="declares class 0 as 'car'"):
        open_dataset(root, classes=other)
    again = pickle.loads(pickle.dumps(data))
    assert masks(again) == masks(data)


def test_the_owner_may_put_classes_together(tmp_path: Path):
    root = coco(tmp_path, CAR, TREE)
    declared = {"task": "multilabel", "classes": ["background", "thing", "sky"]}
    lines = [f"{key} = {json.dumps(value)}" for key, value in declared.items()]
    write(root / "dataset.toml", "\n".join([*lines, "[remap]", "2 = 'thing'"]))
    data = open_dataset(root)
    assert data.classes.names == ("thing", "sky")
    assert masks(data) == [(np.array(bits(CAR, TREE)) > 0).astype(int).tolist()] * 2
    write(root / "dataset.toml", 'task = "multilabel"\nclasses = ["background", "car"]')
    with pytest.raises(DataError, match="is of the class 2") as error:
        open_dataset(root)
    assert error.value.code == "A705"


def test_a_picture_of_another_size_is_told(tmp_path: Path):
    root = coco(tmp_path, CAR, TREE)
    Image.new("RGB", (3, 3)).save(root / "images/val/a.png")
    with pytest.raises(DataError) as error:
        open_dataset(root, task="multilabel")
    assert error.value.code == "A706"
