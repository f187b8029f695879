"""Tasks are asked for, declared, or found from the masks; folders of planes are multilabel."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as pil

from atrous.classes import Classes
from atrous.data.dataset import DataSet, open_dataset
from atrous.data.masks import (
    IGNORE_COLOUR,
    blend,
    colourise,
    has_colour,
    plane,
    plane_names,
    read_planes,
    write_planes,
)
from atrous.errors import DataError, MaskError

ROAD = Classes(("road", "wet", "snow"), ((200, 0, 0), (0, 100, 0), (0, 0, 90)), task="multilabel")
VOID = ROAD.ignore_index


def save(path: Path, *values: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pil.fromarray(np.array([values], np.uint8)).save(path)
    return path


def index_masks(root: Path, *rows: tuple[int, ...], toml: str = "") -> Path:
    """A data set with one-row masks of these labels."""
    for i, row in enumerate(rows):
        save(root / f"images/p{i}.png", *[9] * len(row))
        save(root / f"masks/p{i}.png", *row)
    return declare(root, toml)


def planes(root: Path, *masks: dict[str, tuple[int, ...]], toml: str = "") -> Path:
    """A data set with one-row masks in folders of these planes."""
    for i, mask in enumerate(masks):
        save(root / f"images/street/p{i}.png", *[9] * len(next(iter(mask.values()))))
        for name, row in mask.items():
            save(root / f"masks/street/p{i}/{name}.png", *row)
    return declare(root, toml)


def declare(root: Path, toml: str) -> Path:
    if toml:
        (root / "dataset.toml").write_text(toml, encoding="utf-8")
    return root


def masks_of(data: DataSet) -> dict[str, list[int]]:
    pairs = [pair for split in data.splits for pair in data.split(split)]
    return {pair.name: data.read(pair).mask[0].tolist() for pair in pairs}


def counts_of(data: DataSet) -> list[int]:
    return np.sum(list(data.counts.values()), 0).tolist()


def refused(root: Path, *said: str, **options) -> DataError:
    with pytest.raises(DataError) as error:
        open_dataset(root, **options)
    for text in said:
        assert text in str(error.value)
    return error.value


TWO, THREE = ((0, 1, 255), (1, 0, 0)), ((0, 1), (2, 0))
NAMED = 'classes = ["ground", "crack"]\n'


@pytest.mark.parametrize(
    ("rows", "toml", "asked", "task"),
    [
        (TWO, "", "auto", "binary"),
        (TWO, 'task = "multiclass"', "auto", "multiclass"),
        (TWO, 'task = "multiclass"', "binary", "binary"),
        (TWO, "", "multiclass", "multiclass"),
        (TWO, "", "multilabel", "multilabel"),
        (TWO, NAMED, "auto", "multiclass"),
        (TWO, NAMED + 'task = "binary"', "auto", "binary"),
        (TWO, NAMED + 'task = "binary"', "multiclass", "multiclass"),
        (TWO, NAMED, "binary", "binary"),
        (THREE, "", "auto", "multiclass"),
        (THREE, 'task = "multilabel"', "auto", "multilabel"),
        (((0, 255), (255, 0)), "", "auto", "binary"),
    ],
)
def test_the_recipe_goes_before_the_file_and_that_before_the_masks(
    tmp_path: Path, rows, toml: str, asked, task: str
):
    data = open_dataset(index_masks(tmp_path, *rows, toml=toml), task=asked)
    assert data.classes.task == task
    said = [note for note in data.notes if note.startswith("Task")]
    assert len(said) == (task != "multiclass" or asked != "auto" or "task" in toml)
    assert all(f"Task: {task} (" in note for note in said)


def test_what_makes_a_set_binary_is_said_with_what_to_write_instead(tmp_path: Path):
    (note,) = (n for n in open_dataset(index_masks(tmp_path, *TWO)).notes if "Task" in n)
    assert note == (
        "Task: binary (1 logit), as the masks hold two values; "
        '`task = "multiclass"` in dataset.toml or --set task=multiclass trains two logits.'
    )


def test_binary_masks_hold_the_indices_of_two_classes(tmp_path: Path):
    data = open_dataset(index_masks(tmp_path, *TWO))
    assert masks_of(data) == {"p0": [0, 1, 255], "p1": [1, 0, 0]}
    assert counts_of(data) == [3, 2]


def test_index_masks_may_be_multilabel(tmp_path: Path):
    data = open_dataset(index_masks(tmp_path, (0, 2, 255), (1, 0, 0)), task="multilabel")
    assert masks_of(data) == {"p0": [1, 4, VOID], "p1": [2, 1, 1]}
    assert counts_of(data) == [3, 1, 1]


def test_binary_is_of_two_classes(tmp_path: Path):
    root = index_masks(tmp_path, *THREE)
    refused(root, "has 3 classes (class 0, class 1, class 2)", "tells two apart", task="binary")


def test_a_model_keeps_its_task_on_other_data(tmp_path: Path):
    two = index_masks(tmp_path / "two", *TWO)
    names = ("background", "foreground")
    for task in ("multiclass", "binary"):
        given = Classes(names, task=task)
        assert open_dataset(two, classes=given).classes == given
    text = 'classes = ["background", "foreground"]\ntask = "multiclass"'
    declared = index_masks(tmp_path / "declared", *TWO, toml=text)
    assert open_dataset(declared, classes=Classes(names, task="binary")).classes.task == "binary"


def test_unnamed_labels_are_no_planes_of_a_model(tmp_path: Path):
    root, given = index_masks(tmp_path, *TWO), Classes(("road", "wet"), task="multilabel")
    refused(root, "name no classes", "2 classes that overlap: road, wet", classes=given)


OVERLAPPING = (
    {"road": (1, 1, 0), "wet": (0, 255, 0)},
    {"road": (0, 7, 1), "snow": (0, 1, 1), "void": (1, 0, 0)},
)


def test_a_folder_of_planes_is_one_mask(tmp_path: Path):
    data = open_dataset(planes(tmp_path, *OVERLAPPING))
    assert (data.classes.names, data.classes.task) == (("road", "snow", "wet"), "multilabel")
    assert masks_of(data) == {"street/p0": [1, 5, 0], "street/p1": [8, 3, 3]}
    assert counts_of(data) == [4, 2, 1]
    assert "Task: multilabel, as masks are folders of planes" in "".join(data.notes)


def test_declared_names_say_which_bit_a_plane_is(tmp_path: Path):
    text = 'classes = ["road", "wet", "snow"]\n[splits]\nval = 0.5'
    data = open_dataset(planes(tmp_path, *OVERLAPPING, toml=text))
    assert masks_of(data) == {"street/p0": [1, 3, 0], "street/p1": [8, 5, 5]}


@pytest.mark.parametrize("form", ["{s}/images/{n}.png", "images/{s}/{n}.png"])
def test_planes_lie_wherever_plain_folders_have_masks(tmp_path: Path, form: str):
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        image = save(tmp_path / form.format(s=split, n=name), 9, 9)
        folder = Path(str(image).replace("images", "masks")).with_suffix("")
        save(folder / "road.png", 0, 1)
    data = open_dataset(tmp_path)
    assert {split: len(pairs) for split, pairs in data.splits.items()} == {"train": 2, "val": 1}
    assert data.classes.names == ("road",)
    assert counts_of(data) == [3]


def test_a_models_names_say_which_bit_a_plane_is(tmp_path: Path):
    data = open_dataset(planes(tmp_path, *OVERLAPPING), classes=ROAD)
    assert data.classes.colours == ROAD.colours
    assert masks_of(data)["street/p1"] == [8, 5, 5]


def test_the_fingerprint_sees_every_plane(tmp_path: Path):
    first = open_dataset(planes(tmp_path / "a", *OVERLAPPING)).fingerprint()
    assert open_dataset(planes(tmp_path / "b", *OVERLAPPING)).fingerprint() == first
    root = planes(tmp_path / "c", *OVERLAPPING)
    (root / "masks/street/p0/wet.png").rename(root / "masks/street/p0/snow.png")
    assert open_dataset(root, classes=Classes(("road", "snow", "wet"), task="multilabel"))
    assert open_dataset(root).fingerprint()["sha256"] != first["sha256"]


def test_a_plane_of_no_class_is_named(tmp_path: Path):
    text = 'classes = ["road", "snow"]'
    root = planes(tmp_path, *OVERLAPPING, toml=text)
    error = refused(root, "wet.png: is the plane of 'wet'", "classes are road, snow, and void")
    assert isinstance(error, MaskError)


def test_planes_of_different_sizes_are_named(tmp_path: Path):
    root = planes(tmp_path, *OVERLAPPING)
    save(root / "masks/street/p1/snow.png", 1, 1)
    refused(root, "snow.png: is 1 x 2", "the other planes are 1 x 3")
    root = planes(tmp_path / "other", *OVERLAPPING)
    save(root / "images/street/p1.png", 1, 1)
    refused(root, "masks/street/p1: is 1 x 3 (height x width)", "p1.png is 1 x 2")


def test_planes_are_multilabel_and_nothing_else(tmp_path: Path):
    root = planes(tmp_path, *OVERLAPPING)
    for task in ("multiclass", "binary"):
        refused(root, "p0: is a folder of planes", f"the task {task} takes mask files", task=task)
    refused(root, "Take a multilabel model", classes=Classes(ROAD.names))
    refused(declare(root, 'task = "binary"'), "the task binary")


def test_labels_of_planes_cannot_be_mapped(tmp_path: Path):
    root = planes(tmp_path, *OVERLAPPING, toml="ignore_index = 9\n[remap]\n255 = 0")
    refused(root, "maps the label values 9, 255", "void.png")


def test_masks_of_both_forms_are_refused(tmp_path: Path):
    root = planes(tmp_path, *OVERLAPPING)
    save(root / "images/street/p2.png", 1, 1)
    save(root / "masks/street/p2.png", 1, 1)
    refused(root, "p2.png: is a file, while", "all folders")
    save(root / "masks/street/p1.png", 1, 1, 1)
    refused(root, "has both p1.png and p1/ for one picture")


def test_a_plane_without_its_picture_is_named(tmp_path: Path):
    root = planes(tmp_path, *OVERLAPPING)
    (root / "images/street/p1.png").unlink()
    refused(root, "p1/road.png: has no picture", "and 3 more problems")


def test_nothing_but_void_is_no_class(tmp_path: Path):
    root = planes(tmp_path, {"void": (1, 1)}, {"void": (0, 0)})
    refused(root, "has planes of no class", "one to 62")
    data = open_dataset(declare(root, 'task = "multilabel"\nclasses = ["road"]'))
    assert masks_of(data) == {"street/p0": [2, 2], "street/p1": [0, 0]}


def test_more_classes_than_bits_are_refused(tmp_path: Path):
    root = index_masks(tmp_path, (0, 1), (1, 0), toml="classes = 63")
    refused(root, "has 63 classes", "one to 62", task="multilabel")
    declare(root, "classes = 62")
    data = open_dataset(root, task="multilabel")
    assert (data.classes.dtype, masks_of(data)["p0"]) == (np.int64, [1, 2])


@st.composite
def masks(draw):
    count = draw(st.sampled_from([1, 3, 7, 8, 15, 16, 40]))
    classes = Classes(tuple(f"class {i}" for i in range(count)), task="multilabel")
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    bits = draw(arrays(np.int64, shape, elements=st.integers(0, 2**count)))
    return np.minimum(bits, classes.ignore_index).astype(classes.dtype), classes


@given(masks())
def test_planes_come_back_as_they_were_written(tmp_path_factory, case):
    mask, classes = case
    folder = tmp_path_factory.mktemp("planes")
    write_planes(folder, mask, classes)
    read = read_planes(folder, classes)
    assert read.dtype == classes.dtype and np.array_equal(read, mask)
    assert (folder / "void.png").exists() == (mask == classes.ignore_index).any()
    shutil.rmtree(folder)


@given(masks())
def test_a_plane_is_one_bit(case):
    mask, classes = case
    void = mask == classes.ignore_index
    total = sum(
        (plane(mask, k, classes) == 1).astype(np.int64) << k for k in range(len(classes))
    ) + np.where(void, classes.ignore_index, 0)
    assert np.array_equal(total, mask)
    assert np.array_equal(plane(mask, 0, classes) == 255, void)


def test_names_that_no_system_takes_are_made_safe():
    names = ("a/b", "c:d", " e. ", "CON", "lpt1.x", "街道", "...")
    safe = ("a_b", "c_d", "e", "CON_", "lpt1.x_", "街道", "_")
    assert plane_names(names, "a.toml") == safe
    for names, said in (
        (("a/b", "a:b"), r"class 'a:b', whose file a_b\.png would be that of 'a/b'"),
        (("Road", "road"), "class 'road'.*that of 'Road'"),
        (("Void", "road"), "class 'Void'.*nothing is known of"),
    ):
        with pytest.raises(DataError, match=said) as error:
            plane_names(names, "a.toml")
        assert error.value.where == "a.toml"


def test_a_plane_may_have_the_classs_own_name_or_the_safe_one(tmp_path: Path):
    classes = Classes(("wet.", "a_b"), task="multilabel")
    save(tmp_path / "wet..png", 1, 0)
    save(tmp_path / "a_b.png", 0, 1)
    assert read_planes(tmp_path, classes).tolist() == [[1, 2]]
    (tmp_path / "wet..png").rename(tmp_path / "wet.png")
    assert read_planes(tmp_path, classes).tolist() == [[1, 2]]


def test_colours_of_several_classes_are_their_mean():
    mask = np.array([[0, 1, 3, 7, VOID]], np.uint8)
    assert colourise(mask, ROAD).tolist() == [
        [[0, 0, 0], [200, 0, 0], [100, 50, 0], [67, 33, 30], [*IGNORE_COLOUR]]
    ]
    assert has_colour(mask, ROAD).tolist() == [[False, True, True, True, False]]
    image = np.full((1, 5, 3), 77, np.uint8)
    laid = blend(image, mask, ROAD, opacity=1)
    assert laid[0, [0, 4]].tolist() == [[77] * 3] * 2
    assert np.array_equal(laid[0, 1:4], colourise(mask, ROAD)[0, 1:4])


def test_many_classes_have_the_same_colours_as_few():
    many = Classes(tuple("abcdefghijklmnopqr"), task="multilabel")
    few = Classes(many.names[:3], many.colours[:3], task="multilabel")
    bits = np.arange(8).reshape(2, 4)
    shown = colourise(bits.astype(few.dtype), few)
    assert np.array_equal(colourise(bits.astype(many.dtype), many), shown)
