"""Layouts: pairs are found wherever they may lie, and what does not pair is named."""

import random
import re
from pathlib import Path

import pytest
from laid import lay, names, pool, refused, write

from atrous.data.layouts import Pair, find_layout
from atrous.data.layouts.pairs import read_lines
from atrous.data.layouts.splits import divide
from atrous.errors import DataError


def test_images_and_masks_are_paired_by_their_path(tmp_path: Path):
    lay(tmp_path, "images/a/1.JPG", "images/b/1.tif", "masks/a/1.PNG", "masks/b/1.npy")
    lay(tmp_path, "images/.DS_Store", "images/a/._1.jpg", "masks/.hidden/2.png", "README.txt")
    layout = find_layout(tmp_path)
    assert sorted(names(layout, "train") + names(layout, "val")) == ["a/1", "b/1"]
    pairs = [p for split in layout.splits.values() for p in split]
    assert Pair("b/1", tmp_path / "images/b/1.tif", tmp_path / "masks/b/1.npy") in pairs


@pytest.mark.parametrize(
    "form",
    [
        ("{s}/images/{n}.png", "{s}/masks/{n}.png"),
        ("images/{s}/{n}.png", "masks/{s}/{n}.png"),
        ("Images/{s}/{n}.png", "Masks/{s}/{n}_mask.png"),
        ("{s}/{n}.jpg", "{s}/{n}_mask.png"),
        ("{s}/{n}.png", "{s}annot/{n}.png"),
    ],
)
@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_folders_divide_whatever_val_is_called(tmp_path: Path, form: tuple[str, str], val: str):
    for split, stems in {"train": ["街 道 1", "b"], val: ["c"], "test": ["d"]}.items():
        lay(tmp_path, *(part.format(s=split, n=stem) for stem in stems for part in form))
    layout = find_layout(tmp_path)
    assert {split: names(layout, split) for split in layout.splits} == {
        "train": ["b", "街 道 1"],
        "val": ["c"],
        "test": ["d"],
    }
    assert "2 train, 1 val, 1 test" in layout.notes[0]


def test_pairs_side_by_side_in_one_folder(tmp_path: Path):
    lay(tmp_path, *(f"{stem}{end}" for stem in "abcde" for end in (".jpg", "_mask.png")))
    layout = find_layout(tmp_path)
    assert layout.kind == "pictures beside their masks"
    assert sorted(names(layout, "train") + names(layout, "val")) == list("abcde")


def test_composed_and_decomposed_accents_are_one_name(tmp_path: Path):
    lay(tmp_path, "images/caf\u00e9.png", "masks/cafe\u0301.png", "images/b.png", "masks/b.png")
    layout = find_layout(tmp_path)
    assert sum(map(len, layout.splits.values())) == 2


@pytest.mark.parametrize("place", ["", "splits/"])
def test_lists_of_names_divide(tmp_path: Path, place: str):
    pool(tmp_path, "a b", "c", "d", "e")
    write(tmp_path, f"{place}train.txt", "a b", "", "c.jpg")
    write(tmp_path, f"{place}valid.txt", "images/d.jpg")
    layout = find_layout(tmp_path)
    assert (names(layout, "train"), names(layout, "val")) == (["a b", "c"], ["d"])
    assert "train.txt lists 2 names." in layout.notes
    assert "Pictures in no list, left out: 1." in layout.notes


def test_lists_of_paths_need_no_layout(tmp_path: Path):
    lay(tmp_path, "rgb/my road.jpg", "gt/my road.png", "rgb/b.jpg", "gt/b.png")
    write(tmp_path, "train.txt", "rgb/my road.jpg gt/my road.png")
    write(tmp_path, "val.txt", "rgb/b.jpg\tgt/b.png")
    layout = find_layout(tmp_path)
    assert layout.splits["train"][0].mask == tmp_path / "gt/my road.png"
    assert any("paths of pictures and masks" in note for note in layout.notes)


def test_camvids_absolute_lists_are_read(tmp_path: Path):
    lay(tmp_path, "train/a.png", "trainannot/a.png", "val/b.png", "valannot/b.png")
    write(tmp_path, "train.txt", "/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/a.png")
    layout = find_layout(tmp_path)
    assert (names(layout, "train"), names(layout, "val")) == (["a"], ["b"])
    assert layout.names is not None
    assert (layout.names[0], layout.names[10], layout.remap) == ("Sky", "Bicyclist", {11: "ignore"})


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("/data/coco/images/farm/x.jpg", "farm/x"),
        ("D:\\data\\images\\farm\\x.jpg", "farm/x"),
        ("../coco/images/y.jpg", "y"),
        ("/data/farm/x.jpg", "farm/x"),
        ("/data/y", "y"),
        ("/data/z.png", "city/z"),
        ("/a/images/y.jpg /b/masks/y.png", "y"),
    ],
)
def test_paths_of_other_machines_count_by_their_last_parts(tmp_path: Path, line: str, name: str):
    pool(tmp_path, "farm/x", "city/x", "y", "city/z", "w")
    write(write(tmp_path, "val.txt", line), "train.txt", "w")
    layout = find_layout(tmp_path)
    assert (layout.problems, names(layout, "val")) == ((), [name])


@pytest.mark.parametrize(
    "line",
    [
        "/data/x.jpg",  # there are two
        "other/y.jpg",  # is not y
        "/data/images/w.jpg /data/other/y.png",  # nor is a mask that is not there
    ],
)
def test_paths_of_other_machines_are_not_guessed(tmp_path: Path, line: str):
    pool(tmp_path, "farm/x", "city/x", "y", "w")
    write(write(tmp_path, "val.txt", line), "train.txt", "w")
    refused(tmp_path, "val.txt:1: lists")


@pytest.mark.parametrize("folder", ["SegmentationClass", "SegmentationClassPNG"])
def test_voc_takes_what_its_lists_name(tmp_path: Path, folder: str):
    lay(tmp_path, *(f"JPEGImages/{i}.jpg" for i in range(9)))
    lay(tmp_path, *(f"{folder}/{i}.png" for i in range(4)))
    write(tmp_path, "ImageSets/Segmentation/train.txt", "0", "1")
    write(tmp_path, "ImageSets/Segmentation/val.txt", "2")
    write(tmp_path, "ImageSets/Segmentation/trainval.txt", "0", "1", "2")
    layout = find_layout(tmp_path)
    assert (layout.kind, names(layout, "train"), names(layout, "val")) == (
        "Pascal VOC",
        ["0", "1"],
        ["2"],
    )
    assert layout.names is None


def test_voc_without_lists_takes_what_has_masks(tmp_path: Path):
    lay(tmp_path, *(f"JPEGImages/{i}.jpg" for i in range(9)))
    lay(tmp_path, *(f"SegmentationClass/{i}.png" for i in range(4)))
    write(tmp_path, "labels.txt", "__ignore__", "_background_", "car")
    layout = find_layout(tmp_path)
    assert sum(map(len, layout.splits.values())) == 4
    assert layout.names == ("background", "car")
    assert layout.colours == ((0, 0, 0), (128, 0, 0))
    assert "Pictures without a mask, left out: 5." in layout.notes


def test_a_val_split_is_made_and_said(tmp_path: Path):
    pool(tmp_path, *(f"{i:02}" for i in range(50)))
    layout = find_layout(tmp_path)
    assert (len(layout.splits["train"]), len(layout.splits["val"])) == (40, 10)
    assert any("10 of 50 train pairs were set aside" in note for note in layout.notes)
    assert find_layout(tmp_path) == layout


def test_the_val_split_does_not_depend_on_order():
    pairs = [Pair(f"{i // 5}_{i}", Path(f"{i}.jpg"), Path(f"{i}.png")) for i in range(40)]
    shuffled = random.Random(0).sample(pairs, len(pairs))
    group = re.compile(r"(?P<group>[^_]+)_.*")
    for pattern in (None, group):
        train, val, _ = divide(tuple(pairs), 0.2, pattern, Path())
        other, other_val, _ = divide(tuple(shuffled), 0.2, pattern, Path())
        assert (set(train), set(val)) == (set(other), set(other_val))
    assert len(val) == 10  # two groups of five
    assert not {p.name[0] for p in train} & {p.name[0] for p in val}


def test_adding_a_picture_moves_none_of_the_others_groups():
    pairs = tuple(Pair(f"{i}", Path(f"{i}.jpg"), Path(f"{i}.png")) for i in range(40))
    _, val, _ = divide(pairs, 0.25, None, Path())
    _, more, _ = divide((*pairs, Pair("new", Path(), Path())), 0.25, None, Path())
    assert len({p.name for p in val} - {p.name for p in more}) <= 1


def test_dataset_toml_declares(tmp_path: Path):
    pool(tmp_path, *(f"{drive}_{i}" for drive in "abcd" for i in range(3)))
    write(
        tmp_path,
        "dataset.toml",
        'classes = ["sky", "road"]',
        'colours = ["#4682b4", "#804080"]',
        "ignore_index = 9",
        "[remap]",
        '7 = "road"',
        '-1 = "ignore"',
        "3 = 0",
        "[splits]",
        'group = "(?P<group>[^_]+)_.*"',
        "val = 0.5",
    )
    layout = find_layout(tmp_path)
    assert layout.names == ("sky", "road")
    assert layout.colours == ((0x46, 0x82, 0xB4), (0x80, 0x40, 0x80))
    assert layout.remap == {7: 1, -1: "ignore", 3: 0, 9: "ignore"}
    assert len({name[0] for name in names(layout, "val")}) == 2
    assert len(names(layout, "val")) == 6


def test_dataset_toml_names_its_lists(tmp_path: Path):
    pool(tmp_path, "a", "b", "c")
    write(tmp_path, "my lists/erste.txt", "a")
    write(tmp_path, "zweite.txt", "c")
    splits = '[splits]\ntrain = "my lists/erste.txt"\nval = "zweite.txt"'
    layout = find_layout(write(tmp_path, "dataset.toml", splits))
    assert (names(layout, "train"), names(layout, "val")) == (["a"], ["c"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clases = []", ["'clases'", "did you mean 'classes'"]),
        ("[splits]\ntrian = 1", ["'trian'", "did you mean 'train'"]),
        ("classes = [", ["is not TOML"]),
        ('classes = ["one"]', ["['one']"]),
        ('classes = ["a", "a"]', ["'a'"]),
        ('classes = ["a", "ignore"]', ["'ignore'"]),
        ("classes = true", ["True"]),
        ('classes = ["a", "b"]\ncolours = ["#000000"]', ["1 for 2 classes"]),
        ('classes = ["a", "b"]\ncolours = ["#00", "red"]', ["'#00'"]),
        ("ignore_index = [0, 1]", ["[0, 1]"]),
        ('task = "multilable"', ["'multilable'", "did you mean 'multilabel'", "binary"]),
        ('classes = ["sky", "road"]\n[remap]\n7 = "raod"', ["'raod'", "did you mean 'road'"]),
        ('classes = ["sky", "road"]\n[remap]\n7 = 2', ["7 = 2", "sky, road"]),
        ("[remap]\nseven = 1", ["'seven'"]),
        ("[remap]\n7 = 1.5", ["7 = 1.5"]),
        ("[splits]\nval = 1.2", ["1.2"]),
        ('[splits]\nval = "gone.txt"', ["'gone.txt'"]),
        ('[splits]\ngroup = "("', ["'('"]),
        ('[splits]\ngroup = "a"', ["(?P<group>"]),
        ('[splits]\ngroup = "(?P<group>x)"', ["'a'", "does not match"]),
    ],
)
def test_a_wrong_dataset_toml_is_told(tmp_path: Path, text: str, said: list[str]):
    write(pool(tmp_path, "a", "b"), "dataset.toml", text)
    refused(tmp_path, *said)


def test_a_root_that_is_none_is_told(tmp_path: Path):
    refused(tmp_path / "gone", "gone: there is no such folder")
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "is a file")


def test_an_unknown_layout_shows_what_is_there_and_what_is_known(tmp_path: Path):
    lay(tmp_path, "pics/1.jpg", "notes.txt")
    refused(tmp_path, "notes.txt, pics/", "images/ and masks/", "x_mask.png", "JPEGImages")
    pool(tmp_path / "inner", "a", "b")
    refused(tmp_path, f"Give {tmp_path / 'inner'} instead")


def test_files_without_a_partner_are_named(tmp_path: Path):
    lay(pool(tmp_path, "a", "b"), *(f"images/x{i}.jpg" for i in range(5)))
    refused(tmp_path, "images/x0.jpg: has no mask", "and 4 more problems")
    assert [problem.code for problem in find_layout(tmp_path).problems] == ["S101"] * 5


def test_a_mask_without_a_picture_is_named(tmp_path: Path):
    refused(lay(pool(tmp_path, "a", "b"), "masks/z.png"), "masks/z.png: has no picture")


def test_the_same_name_twice_is_named(tmp_path: Path):
    refused(lay(pool(tmp_path, "a", "b"), "images/a.png"), "a.png: shares", "'a' with a.jpg")


def test_of_one_name_in_two_spellings_the_unusual_one_is_told(tmp_path: Path):
    lay(pool(tmp_path, "a", "b"), "images/caf\u00e9.jpg", "images/cafe\u0301.png")
    lay(tmp_path, "masks/caf\u00e9.png")
    (problem,) = find_layout(tmp_path).problems
    assert problem.code == "S103"
    assert "; 'é' is written as several signs in the png file" in problem.found


def test_two_names_of_one_split_are_named(tmp_path: Path):
    lay(tmp_path, *(f"{s}/{n}" for s in ("val", "valid") for n in ("a.jpg", "a_mask.png")))
    refused(tmp_path, "val/ and valid/")


def test_an_empty_split_is_named(tmp_path: Path):
    pool(tmp_path, "a", folder="train/")
    (tmp_path / "images/val").mkdir()
    (tmp_path / "masks/val").mkdir()
    refused(tmp_path, "'val' holds no pair")


def test_an_empty_list_is_named(tmp_path: Path):
    write(pool(tmp_path, "a"), "train.txt", "a")
    refused(write(tmp_path, "val.txt", ""), "val.txt: lists no pair")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gone", "'gone', which is not there"),
        ("images/a.jpg masks/gone.png", "masks/gone.png"),
        ("lonely", "(lonely.jpg) but no mask"),
        ("a", "'a' a second time"),
    ],
)
def test_a_wrong_line_of_a_list_is_named(tmp_path: Path, line: str, said: str):
    lay(pool(tmp_path, "a", "b"), "images/lonely.jpg")
    write(tmp_path, "train.txt", "a", "b", line)
    refused(tmp_path, "train.txt:3: lists", said)


def test_a_picture_in_two_splits_is_named(tmp_path: Path):
    write(pool(tmp_path, "a", "b"), "train.txt", "a", "b")
    refused(write(tmp_path, "val.txt", "b"), "images/b.jpg: is in both train and val")


def test_one_picture_cannot_be_divided(tmp_path: Path):
    refused(pool(tmp_path, "a"), "1 pair and no val split")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_are_read_in_the_encodings_of_editors(tmp_path: Path, encoding: str):
    path = tmp_path / "train.txt"
    path.write_bytes("街道\nb\n".encode(encoding))
    assert read_lines(path) == ["街道", "b"]


def test_a_list_in_another_encoding_is_named_with_its_byte(tmp_path: Path):
    path = tmp_path / "train.txt"
    path.write_bytes("stra\u00dfe\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"train\.txt: is not UTF-8 \(byte 4 is 0xdf\)"):
        read_lines(path)
