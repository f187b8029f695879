"""labelme files: all kinds of shapes, both arrangements, and golden masks of labelme itself."""

import base64
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import SIZE, codes, drawn, nonsense, pairs_of, picture, refusal, squares, write
from hypothesis import given
from PIL import Image

from atrous.data.layouts import find_layout


def shape(label: Any, points: Any, kind: Any = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, **more}


def square(left: int, top: int, side: int = 2) -> list[list[int]]:
    """A ring around whole pixels: labelme's whole numbers are the centres of pixels."""
    right, bottom = left + side - 1, top + side - 1
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def content(*shapes: Any, path: str = "", **more: Any) -> dict[str, Any]:
    size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    return {"version": "5.2.1", "flags": {}, "shapes": [*shapes], "imagePath": path, **size, **more}


def two(root: Path, *shapes: Any, **more: Any) -> Path:
    """Pictures a and b beside their files; the shapes are those of a."""
    for name, own in (("a", shapes), ("b", [shape("tree", square(0, 0))])):
        picture(root / f"{name}.jpg")
        write(root / f"{name}.json", content(*own, path=f"{name}.jpg", **more))
    return root


def png(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_classes_are_the_labels_by_the_alphabet(tmp_path: Path):
    layout = find_layout(two(tmp_path, shape("车", square(1, 1)), shape("car", square(2, 2))))
    assert (layout.kind, layout.names) == ("labelme", ("background", "car", "tree", "车"))
    assert np.array_equal(drawn(layout, "a"), squares((3, 1, 1, 2), (1, 2, 2, 2)))
    assert np.array_equal(drawn(layout, "b"), squares((2, 0, 0, 2)))


@pytest.mark.parametrize("where", ["in/labels.txt", "labels.txt"])
def test_a_list_of_labels_settles_the_order(tmp_path: Path, where: str):
    shapes = shape("__ignore__", square(0, 0, 4)), shape("_background_", square(1, 1))
    two(tmp_path / "in", *shapes, shape("car", square(4, 3)))
    write(tmp_path / where, "__ignore__\n_background_\ntree\nbus\r\ncar")
    layout = find_layout(tmp_path / "in")
    assert layout.names == ("background", "tree", "bus", "car")
    assert layout.remap == {-1: "ignore"}
    assert "Class names are those of labels.txt." in layout.notes
    assert np.array_equal(drawn(layout, "a"), squares((-1, 0, 0, 4), (0, 1, 1, 2), (3, 4, 3, 2)))


def test_a_list_above_that_is_not_labelmes_is_not_taken(tmp_path: Path):
    write(tmp_path / "labels.txt", "something\nelse")
    assert find_layout(two(tmp_path / "in")).names == ("background", "tree")


@pytest.mark.parametrize(
    ("one", "pixels"),
    [
        (shape("car", square(1, 2, 3), None), squares((1, 1, 2, 3))),
        (shape("car", [[5, 4], [2, 1]], "rectangle"), squares((1, 2, 1, 4))),
        (shape("car", [[3, 3], [3, 2]], "circle"), None),
        (shape("car", [[2, 3]], "point"), None),
        (shape("car", [[2, 2], [6, 2]], "line"), None),
        (shape("car", [[0, 0], [4, 0], [4, 4]], "linestrip"), None),
        (shape("car", [[2, 1], [4, 3]], "mask", mask=png(np.eye(3))), None),
    ],
)
def test_every_kind_of_shape_is_painted(tmp_path: Path, one: dict[str, Any], pixels: Any):
    mask = drawn(find_layout(two(tmp_path, one)), "a")
    assert {*np.unique(mask).tolist()} <= {0, 1}
    assert mask.any()
    if pixels is not None:
        assert np.array_equal(mask, pixels)
    if one["shape_type"] == "mask":
        assert np.array_equal(mask[1:4, 2:5], np.eye(3))
        assert mask.sum() == 3


@pytest.mark.parametrize(
    ("json_path", "image_path", "said"),
    [
        ("x.json", "x.JPG", "gone.jpg"),
        ("json/街 道.json", "images/街 道.jpg", "..\\images\\街 道.jpg"),
        ("annotations/x.json", "photos/other name.jpg", "../photos/other name.jpg"),
        ("x.json", "below/y.jpg", "/home/someone/below/y.jpg"),
    ],
)
def test_the_picture_is_that_of_the_same_name_or_of_its_path(
    tmp_path: Path, json_path: str, image_path: str, said: str
):
    for number in (1, 2):
        picture(tmp_path / f"{number}.jpg")
        write(tmp_path / f"{number}.json", content())
    picture(tmp_path / image_path)
    write(tmp_path / json_path, content(path=said))
    layout = find_layout(tmp_path)
    assert codes(layout) == []
    images = {pair.mask: pair.image for pair in pairs_of(layout).values()}
    assert images[tmp_path / json_path] == tmp_path / image_path


@pytest.mark.parametrize(
    "form", ["{s}/{n}", "images/{s}/{n}|labels/{s}/{n}", "{s}/img/{n}|{s}/js/{n}"]
)
def test_splits_are_those_of_folders(tmp_path: Path, form: str):
    image, file = (form.split("|") * 2)[:2]
    for split, name in (("train", "a"), ("train", "c"), ("validation", "a")):
        picture(tmp_path / (image.format(s=split, n=name) + ".jpg"))
        write(tmp_path / (file.format(s=split, n=name) + ".json"), content())
    layout = find_layout(tmp_path)
    assert codes(layout) == []
    found = {split: [p.name for p in pairs] for split, pairs in layout.splits.items()}
    assert found == {"train": ["a", "c"], "val": ["a"]}
    assert all(split[:3] in str(pair.image) for split in found for pair in layout.splits[split])


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("a/x", "a/y"), ["a/x", "a/y"]),
        (("train/a/x", "train/a/y", "val/z"), ["a/x", "a/y", "z"]),
        (("train/val_2/x", "val/validation set/y"), ["val_2/x", "validation set/y"]),
        (("train/val/x", "val/train/y"), ["val/x", "train/y"]),
        (("train_2/x", "val_2/y"), ["train_2/x", "val_2/y"]),
    ],
)
def test_names_are_paths_below_the_folder_of_the_split(
    tmp_path: Path, files: tuple[str, ...], names: list[str]
):
    for file in files:
        picture(tmp_path / f"{file}.jpg")
        write(tmp_path / f"{file}.json", content(path=f"{Path(file).name}.jpg"))
    write(tmp_path / "package.json", {"name": "no annotation"})
    layout = find_layout(tmp_path)
    assert sorted(pairs_of(layout)) == sorted(names)
    if files[0].startswith("train/"):
        found = {
            pair.mask.relative_to(tmp_path).parts[0]: split
            for split, pairs in layout.splits.items()
            for pair in pairs
        }
        assert found == {"train": "train", "val": "val"}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"js/a/x": "img/a/x", "js/b/x": "img/b/x"}, {"a/x", "b/x"}),
        ({"a/js/x": "a/img/x", "b/js/x": "b/img/x"}, {"a/x", "b/x"}),
        (
            {"js/1/x": "img/one/x", "js/2/x": "img/two/x", "js/y": "img/y"},
            {"js/1/x", "js/2/x", "y"},
        ),
    ],
)
def test_folders_that_part_files_from_pictures_are_no_part_of_names(
    tmp_path: Path, files: dict[str, str], names: set[str]
):
    for file, image in files.items():
        picture(tmp_path / f"{image}.jpg")
        depth = file.count("/")
        write(tmp_path / f"{file}.json", content(path=f"{'../' * depth}{image}.jpg"))
    layout = find_layout(tmp_path)
    assert codes(layout) == []
    assert pairs_of(layout).keys() == names


def test_a_file_called_as_a_picture_is_for_what_it_names(tmp_path: Path):
    for name in ("x.png", "x.png.png", "y.jpg", "z.jpg"):
        picture(tmp_path / name)
    names = {"x.json": "x.png", "x.png.json": "x.png.png", "y.jpg.json": "y.jpg", "z.json": "y.jpg"}
    for file, path in {**names, "y.jpg.json": "gone.jpg"}.items():
        write(tmp_path / file, content(path=path))
    images = {p.mask.name: p.image.name for p in pairs_of(find_layout(tmp_path)).values()}
    assert images == {**names, "z.json": "z.jpg"}


def test_a_picture_beside_its_file_comes_before_others_of_its_name(tmp_path: Path):
    for path in ("x.jpg", "images/x.jpg", "a/x.jpg", "a/a/x.jpg"):
        picture(tmp_path / path)
        write((tmp_path / path).with_suffix(".json"), content(path="gone.jpg"))
    pairs = pairs_of(find_layout(tmp_path)).values()
    assert len(pairs) == 4
    assert all(pair.image == pair.mask.with_suffix(".jpg") for pair in pairs)


def test_pictures_without_a_file_are_unlabelled(tmp_path: Path):
    picture(two(tmp_path) / "c.jpg")
    assert find_layout(tmp_path).unlabelled == (tmp_path / "c.jpg",)


def test_files_without_a_picture_are_problems(tmp_path: Path):
    two(tmp_path)
    write(tmp_path / "gone.json", content(path="gone.jpg"))
    write(tmp_path / "inside.json", content(path="inside.jpg", imageData="abcd"))
    write(tmp_path / "again.json", content(path="a.jpg"))
    write(tmp_path / "package.json", {"name": "no annotation"})
    layout = find_layout(tmp_path)
    assert codes(layout) == ["S101", "S102", "S103"]
    by_code = {problem.code: problem for problem in layout.problems}
    assert by_code["S101"].where == str(tmp_path / "inside.json")
    assert "labelme_export_json" in by_code["S101"].fix
    assert "'gone.jpg', which is not there" in by_code["S102"].found
    assert "a.json" in by_code["S103"].found


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_with_marks_are_read(tmp_path: Path, encoding: str):
    two(tmp_path)
    write(tmp_path / "a.json", content(shape("车", square(1, 1))), encoding)
    layout = find_layout(tmp_path)
    assert layout.names == ("background", "tree", "车")
    assert drawn(layout, "a").max() == 2


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        (
            shape("bus", square(0, 0)),
            "A705",
            "of the class 'bus', but the classes are car",
        ),
        (shape(None, square(0, 0)), "A705", "None"),
        (shape("car", [[1, 2], [3]]), "F201", "no numbers"),
        (shape("car", [[1, 2], [3, "x"]]), "F201", "no numbers"),
        (shape("car", [[1, 2], [3, float("inf")]]), "F201", "inf"),
        (shape("car", 7), "F201", "(7)"),
        (shape("car", square(0, 0), "spiral"), "F201", "'spiral'"),
        (shape("car", [], "mask"), "F201", "'mask'"),
        (shape("car", [[0, 0]], "mask", mask="A"), "F201", "no base64"),
        (shape("car", [[0, 0]], "mask", mask="QUJD"), "F201", "cannot be decoded"),
        (shape("car", [[0, 0]], "mask", mask=png(np.ones((90, 90)))), "F201", "90 x 90"),
        ("nonsense", "F201", "shape 1 is 'nonsense'"),
    ],
)
def test_a_wrong_shape_spoils_its_own_picture_alone(
    tmp_path: Path, wrong: Any, code: str, said: str
):
    write(two(tmp_path, wrong) / "labels.txt", "car\ntree")
    layout = find_layout(tmp_path)
    assert drawn(layout, "b").any()
    error = refusal(layout, "a")
    assert error is not None
    assert (error.code, error.where) == (code, str(tmp_path / "a.json"))
    assert said in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(content())[:-5],
        "[1, 2]",
        "{}",
        '{"shapes": 5}',
        '{"shapes": ' + "[" * 10**5,
        '{"shapes": ' + "9" * 10**5 + "}",
        '{"imageData": "' + "x" * 10**6,
    ],
)
def test_a_file_that_is_no_json_of_shapes_spoils_its_own_picture_alone(tmp_path: Path, text: str):
    write(two(tmp_path, shape("car", square(0, 0))) / "a.json", text)
    layout = find_layout(tmp_path)
    assert layout.names == ("background", "tree")
    error = refusal(layout, "a")
    assert error is not None
    assert (error.code, error.where) == ("F201", str(tmp_path / "a.json"))
    assert refusal(layout, "b") is None


def test_drawings_travel_to_other_processes(tmp_path: Path):
    layout = find_layout(two(tmp_path, shape("car", square(1, 1))))
    assert pickle.loads(pickle.dumps(layout)) == layout


@given(shapes=nonsense("label", "points", "shape_type", "mask", "shapes", "imagePath"))
def test_nonsense_ends_as_our_errors(tmp_path_factory: pytest.TempPathFactory, shapes: list[Any]):
    root = two(tmp_path_factory.mktemp("nonsense"), shape("car", square(0, 0)), *shapes)
    write(root / "c.json", json.dumps(shapes))
    picture(root / "c.jpg")
    layout = find_layout(root)
    for name in pairs_of(layout):
        error = refusal(layout, name)
        assert error is None or error.code in ("A705", "F201")


@pytest.mark.parametrize("kind", ["semantic_segmentation", "instance_segmentation"])
def test_masks_are_those_of_labelme(shared_data: Path, kind: str):
    root = shared_data / "labelme_examples" / kind
    layout = find_layout(root / "data_annotated")
    assert layout.names is not None
    names = (root / "data_dataset_voc/class_names.txt").read_text().split("\n")
    assert layout.names[1:] == tuple(names[1:])
    for stem, differing in (("2011_000003", 0), ("2011_000006", 1), ("2011_000025", 0)):
        truth = np.load(root / f"data_dataset_voc/SegmentationClassNpy/{stem}.npy")
        assert (drawn(layout, stem) != truth).sum() == differing, stem


def test_masks_of_video_frames_are_those_of_labelme(shared_data: Path):
    root = shared_data / "labelme_examples/video_annotation"
    layout = find_layout(root / "data_annotated")
    assert layout.names == ("background", "car", "track")
    for name in pairs_of(layout):
        with Image.open(root / f"data_dataset_voc/SegmentationClassPNG/{name}.png") as truth:
            assert np.array_equal(drawn(layout, name), np.array(truth))
