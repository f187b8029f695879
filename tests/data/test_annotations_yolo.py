"""YOLO texts: lines are painted as Ultralytics paints them; data.yaml says where and what."""

import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from annotated import SIZE, codes, drawn, pairs_of, picture, refusal, squares, write
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.layouts import find_layout
from atrous.data.shapes import keyhole, trace
from atrous.errors import DataError

YAML = "train: images/train\nval: images/val\nnames: [car, tree]\n"


def line(number: int, left: int, top: int, side: int = 2) -> str:
    """A square of pixels: their centres, from 0 to 1."""
    right, bottom = left + side - 1, top + side - 1
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    points = (f"{(x + 0.5) / SIZE[1]:.6f} {(y + 0.5) / SIZE[0]:.6f}" for x, y in corners)
    return f"{number} " + " ".join(points) + "\n"


def two(root: Path, text: str = line(1, 1, 2), yaml: str = YAML) -> Path:
    """Picture a in train with a text, b in val."""
    for split, name, lines in (("train", "a", text), ("val", "b", line(0, 0, 0))):
        picture(root / f"images/{split}/{name}.jpg")
        write(root / f"labels/{split}/{name}.txt", lines)
    if yaml:
        write(root / "data.yaml", yaml)
    return root


def test_classes_are_the_background_and_the_names(tmp_path: Path):
    layout = find_layout(two(tmp_path, line(0, 0, 0, 4) + "\n" + line(1, 1, 2)))
    assert (layout.kind, layout.names) == ("YOLO", ("background", "car", "tree"))
    assert np.array_equal(drawn(layout, "a"), squares((1, 0, 0, 4), (2, 1, 2, 2)))
    found = {split: [p.name for p in pairs] for split, pairs in layout.splits.items()}
    assert found == {"train": ["a"], "val": ["b"]}


@pytest.mark.parametrize(
    "yaml",
    [
        "path: ../elsewhere\ntrain: images/train\nval: images/val\nnames:\n  0: car\n  1: tree\n",
        "train: ../images/train\nvalidation: [../images/val]\nnc: 2\nnames: ['car', 'tree']\n",
        "train: /home/x/set/images/train/\nval: C:\\set\\images\\val\nnames: [car, tree]\n",
        "\ufefftrain: ./images/train\nval: images/val\ntest: images/test\nnames: [car, tree]\n",
        "train: [images/train]\nval: val list.txt\nnames: [car, tree]\n",
    ],
)
def test_paths_of_data_yaml_are_found_where_they_lie(tmp_path: Path, yaml: str):
    write(two(tmp_path, yaml=yaml) / "val list.txt", "./images/val/b.jpg\n")
    layout = find_layout(tmp_path)
    assert {split: len(pairs) for split, pairs in layout.splits.items()} == {"train": 1, "val": 1}
    assert (codes(layout), layout.names) == ([], ("background", "car", "tree"))


def test_roboflows_folders_are_found(tmp_path: Path):
    for split in ("train", "valid"):
        picture(tmp_path / split / "images/街 道.jpg")
        write(tmp_path / split / "labels/街 道.txt", line(0, 1, 1))
    yaml = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: [车]"
    write(tmp_path / "data.yaml", yaml)
    described = find_layout(tmp_path)
    (tmp_path / "data.yaml").unlink()
    bare = find_layout(tmp_path)
    assert (described.names, bare.names) == (("background", "车"), ("background", "0"))
    for layout in (described, bare):
        found = {split: [pair.name for pair in pairs] for split, pairs in layout.splits.items()}
        assert found == {"train": ["街 道"], "val": ["街 道"]}
        assert np.array_equal(drawn(layout, "街 道"), squares((1, 1, 1, 2)))


def test_a_picture_without_a_text_is_background(tmp_path: Path):
    picture(two(tmp_path) / "images/train/c.jpg")
    layout = find_layout(tmp_path)
    assert not drawn(layout, "c").any()
    assert pairs_of(layout)["c"].mask == tmp_path / "data.yaml"
    assert "Pictures without a text, taken for background alone: 1." in layout.notes


def test_a_test_split_without_any_text_is_unlabelled(tmp_path: Path):
    two(tmp_path, yaml=YAML + "test: images/test\n")
    picture(tmp_path / "images/test/c.jpg")
    layout = find_layout(tmp_path)
    assert (layout.unlabelled, "test" in layout.splits) == (
        (tmp_path / "images/test/c.jpg",),
        False,
    )


def test_a_val_split_without_any_text_is_no_val_split(tmp_path: Path):
    (two(tmp_path) / "labels/val/b.txt").unlink()
    problems = {problem.code: problem for problem in find_layout(tmp_path, "yolo").problems}
    assert problems.keys() == {"S101", "S110"}
    assert problems["S101"].where == str(tmp_path / "images/val/b.jpg")


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt"])
def test_without_data_yaml_classes_are_those_of_a_list(tmp_path: Path, place: str):
    for name in "ab":
        picture(tmp_path / f"images/{name}.jpg")
        write(tmp_path / f"labels/{name}.txt", line(1, 0, 0))
    picture(tmp_path / "images/c.jpg")
    write(tmp_path / place, "tree\ncar\n")
    layout = find_layout(tmp_path)
    assert layout.names == ("background", "tree", "car")
    assert np.array_equal(drawn(layout, "a"), squares((2, 0, 0, 2)))
    assert layout.unlabelled == (tmp_path / "images/c.jpg",)


def test_without_any_list_classes_are_numbers(tmp_path: Path):
    layout = find_layout(two(tmp_path, line(3, 0, 0), yaml=""))
    assert layout.names == ("background", "0", "1", "2", "3")


def test_a_point_means_the_pixel_that_it_lies_in(tmp_path: Path):
    corners = "0 0.126 0.34 0.499 0.34 0.499 0.66 0.126 0.66"  # of pixels 1-3 and 2-3
    layout = find_layout(two(tmp_path, corners))
    want = np.zeros(SIZE, int)
    want[2:4, 1:4] = 1
    assert np.array_equal(drawn(layout, "a"), want)


@given(
    pixels=st.lists(st.booleans(), min_size=48, max_size=48),
    digits=st.integers(min_value=3, max_value=9),
)
def test_what_is_traced_is_painted_again(
    tmp_path_factory: pytest.TempPathFactory, pixels: list[bool], digits: int
):
    mask = np.array(pixels).reshape(SIZE)
    rings = ((keyhole(region) + 0.5) / (SIZE[1], SIZE[0]) for region in trace(mask))
    text = "".join(f"0 {' '.join(f'{v:.{digits}f}' for v in ring.ravel())}\n" for ring in rings)
    layout = find_layout(two(tmp_path_factory.mktemp("traced"), text))
    assert np.array_equal(drawn(layout, "a") == 1, mask)


def test_a_class_that_is_the_background_is_class_0(tmp_path: Path):
    yaml = YAML.replace("[car, tree]", "[Background, tree]")
    layout = find_layout(two(tmp_path, line(1, 0, 0, 4) + line(0, 1, 1), yaml))
    assert layout.names == ("background", "tree")
    assert np.array_equal(drawn(layout, "a"), squares((1, 0, 0, 4), (0, 1, 1, 2)))


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (
            line(2, 0, 0),
            "A705",
            "of the class '2', but the classes are 0 (car), 1 (tree)",
        ),
        ("-1 0 0 1 0 1 1", "A705", "'-1'"),
        ("0.5 0 0 1 0 1 1", "A705", "'0.5'"),
        ("9" * 10**6, "A705", "99"),
        (line(0, 0, 0) + "1 0.5 0.5 0.2 0.2", "F201", "line 2 is a box"),
        ("0 0 0 1 0 1 1 0", "F201", "7 numbers"),
        ("0", "F201", "0 numbers"),
        ("0 0 0 1 0 x 1", "F201", "'0 0 0 1 0 x 1'"),
        ("0 0 0 1 0 nan 1", "F201", "nan"),
        ("0 0 0 1 0 1e999 1", "F201", "inf"),
        ("0 12 30 400 30 400 200", "F201", "12.0"),
        ("x" * 10**6, "F201", "no number"),
        ("\x00\x01", "F201", "no number"),
    ],
)
def test_a_wrong_line_spoils_its_own_picture_alone(tmp_path: Path, text: str, code: str, said: str):
    layout = find_layout(two(tmp_path, text))
    assert refusal(layout, "b") is None
    error = refusal(layout, "a")
    assert error is not None
    assert (error.code, error.where) == (code, str(tmp_path / "labels/train/a.txt"))
    assert said in str(error)
    assert len(str(error)) < 500


def test_a_text_in_another_encoding_spoils_its_own_picture_alone(tmp_path: Path):
    (two(tmp_path) / "labels/train/a.txt").write_bytes(b"0 \xff")
    error = refusal(find_layout(tmp_path), "a")
    assert error is not None
    assert (error.code, "0xff" in str(error)) == ("F201", True)


def test_texts_without_a_picture_and_paths_that_lead_nowhere_are_problems(tmp_path: Path):
    two(tmp_path, yaml="train: [images/train, images/more]\nval: images/val\nnames: [car, tree]")
    write(tmp_path / "labels/train/gone.txt", line(0, 0, 0))
    write(tmp_path / "labels/train/readme.txt", "not a label")
    layout = find_layout(tmp_path)
    assert codes(layout) == ["S102", "S106"]
    by_code = {problem.code: problem for problem in layout.problems}
    assert by_code["S102"].where == str(tmp_path / "labels/train/gone.txt")
    assert "'images/more'" in by_code["S106"].found


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        (YAML + "kpt_shape: [17, 3]\n", "key points"),
        (YAML + "nc: 3\n", "2 names for nc = 3"),
        (YAML.replace("[car, tree]", "{0: car, 2: tree}"), "gaps"),
        (YAML.replace("[car, tree]", "{a: car, b: tree}"), "gaps"),
        (YAML.replace("[car, tree]", "[]"), "no classes"),
        (YAML + "x: [", "is no YAML"),
        (YAML + "x: 2024-99-99\n", "is no YAML"),
        (YAML + "? [a]\n: {}\n", "is no YAML"),
        (YAML + "x: " + "[" * 5000, "is no YAML"),
        (YAML + "x: " + "9" * 5000, "is no YAML"),
        (YAML + "#" * (1 << 18), "262144 bytes"),
    ],
)
def test_a_data_yaml_that_is_not_understood_is_refused(tmp_path: Path, yaml: str, said: str):
    with pytest.raises(DataError, match=said) as error:
        find_layout(two(tmp_path, yaml=yaml))
    assert (error.value.code, error.value.where) == ("S109", str(tmp_path / "data.yaml"))


def test_yaml_that_refers_to_itself_is_no_trap(tmp_path: Path):
    lines = (f"{b}: &{b} [{f'*{a},' * 9}]\n" for a, b in pairwise("abcdefghij"))
    layout = find_layout(two(tmp_path, yaml="a: &a [x]\n" + "".join(lines) + YAML))
    assert layout.names == ("background", "car", "tree")


def test_boxes_alone_are_refused(tmp_path: Path):
    box = "0 0.5 0.5 0.2 0.2\n"
    write(two(tmp_path, box) / "labels/val/b.txt", box)
    with pytest.raises(DataError, match="boxes only") as error:
        find_layout(tmp_path)
    assert error.value.code == "S109"


def test_labels_that_are_pictures_are_not_yolos(tmp_path: Path):
    for name in "ab":
        picture(tmp_path / f"images/{name}.jpg")
        picture(tmp_path / f"labels/{name}.png")
    with pytest.raises(DataError, match="not yolo"):
        find_layout(tmp_path, "yolo")


def test_drawings_travel_to_other_processes(tmp_path: Path):
    layout = find_layout(two(tmp_path))
    assert pickle.loads(pickle.dumps(layout)) == layout
