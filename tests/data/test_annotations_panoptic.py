"""COCO's panoptic form: numbers of segments in PNGs become classes, the rest is ignored."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import SIZE, drawn, picture, write
from PIL import Image

from atrous.data.layouts import find_layout
from atrous.errors import DataError

CATEGORIES = [{"id": 9, "name": "car"}, {"id": 2, "name": "tree"}]


def panoptic(root: Path, ids: np.ndarray, segments: Any, name: str = "panoptic") -> Path:
    for stem in "ab":
        picture(root / f"images/{stem}.png")
        pixels = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)
        path = picture(root / f"annotations/{name}/{stem}.png")
        Image.fromarray(pixels).save(path)
    size = {"height": SIZE[0], "width": SIZE[1]}
    images = [{"id": i, "file_name": f"{s}.png", **size} for i, s in ((1, "a"), (2, "b"))]
    entries = [
        {"image_id": i, "file_name": f"{s}.png", "segments_info": segments}
        for i, s in ((1, "a"), (2, "b"))
    ]
    content = {"images": images, "categories": CATEGORIES, "annotations": entries}
    write(root / f"annotations/{name}.json", content)
    return root


def test_panoptic_numbers_become_classes_and_void_is_ignored(tmp_path: Path):
    ids = np.zeros(SIZE, int)
    ids[1:3, 2:7], ids[4, 0] = 70_000, 258
    segments = [{"id": 70_000, "category_id": 9}, {"id": 258, "category_id": 2}]
    layout = find_layout(panoptic(tmp_path, ids, segments))
    assert (layout.kind, layout.names) == ("COCO panoptic", ("tree", "car"))
    assert layout.remap == {-1: "ignore"}
    want = np.select([ids == 70_000, ids == 258], [1, 0], -1)
    assert np.array_equal(drawn(layout, "a"), want)
    assert layout.unlabelled == ()


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([{"id": 3, "category_id": 9}], "segment 4"),
        ([{"id": 4, "category_id": 1}], "is of the class 1"),
        ([{"id": "4"}], "without a number"),
        ([4], "without a number"),
    ],
)
def test_a_wrong_list_of_segments_is_told(tmp_path: Path, segments: Any, said: str):
    layout = find_layout(panoptic(tmp_path, np.full(SIZE, 4), segments))
    with pytest.raises(DataError, match=said) as error:
        drawn(layout, "a")
    assert error.value.where == str(tmp_path / "annotations/panoptic/a.png")


def test_a_picture_without_its_panoptic_png_is_a_problem(tmp_path: Path):
    panoptic(tmp_path, np.full(SIZE, 4), [{"id": 4, "category_id": 9}])
    (tmp_path / "annotations/panoptic/b.png").unlink()
    picture(tmp_path / "images/c.png")
    write(tmp_path / "train.txt", "a")
    layout = find_layout(tmp_path)
    assert [p.name for p in layout.splits["train"]] == ["a"]
    assert layout.unlabelled == (tmp_path / "images/c.png",)
    (problem,) = [p for p in layout.problems if p.code == "S101"]
    assert (problem.where, "called 'b.png'" in problem.found) == (
        str(tmp_path / "images/b.png"),
        True,
    )


def test_detection_and_panoptic_form_of_real_photographs_agree(tmp_path: Path, shared_data: Path):
    source = shared_data / "coco_panoptic2/sample_data"
    shutil.copytree(source / "input_images", tmp_path / "images")
    shutil.copy(source / "panoptic_coco_detection_format.json", tmp_path)
    segments, outlines = find_layout(source), find_layout(tmp_path)
    assert (segments.kind, outlines.kind) == ("COCO panoptic", "COCO")
    assert segments.names is not None
    assert outlines.names == ("background", *segments.names)
    for name in ("000000142238", "000000439180"):
        # Void is background there, and the background is no class of the panoptic form.
        assert np.array_equal(drawn(segments, name) + 1, drawn(outlines, name))
