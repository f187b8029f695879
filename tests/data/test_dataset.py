"""An opened data set: its label space is found, and what is wrong is said before the first step."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

from atrous.classes import Classes
from atrous.data.dataset import open_dataset
from atrous.errors import DataError, MaskError


def make(root: Path, masks: Sequence[np.ndarray], split: str = "", **pictures: np.ndarray) -> Path:
    """A data set with these masks and grey-blue pictures, or the `pictures` by name."""
    for i, mask in enumerate(masks):
        image = pictures.get(f"p{i}", np.full((*mask.shape, 3), (10, 20, 30 + i), np.uint8))
        for kind, array in (("images", image), ("masks", mask)):
            path = root / kind / split / f"p{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pil.fromarray(array).save(path)
    return root


def declare(root: Path, text: str) -> Path:
    (root / "dataset.toml").write_text(text, encoding="utf-8")
    return root


def refused(root: Path, *said: str, classes: Classes | None = None) -> DataError:
    with pytest.raises(DataError) as error:
        open_dataset(root, classes=classes)
    for text in said:
        assert text in str(error.value)
    return error.value


def labels(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


def test_labels_that_count_up_are_the_classes(tmp_path: Path):
    data = open_dataset(make(tmp_path, [labels(0, 1, 255), labels(2, 2, 0)]))
    assert data.classes.names == ("class 0", "class 1", "class 2")
    assert sum(data.counts.values()).tolist() == [2, 1, 2]  # pyright: ignore
    assert "Ignored label values: 255." in data.notes


def test_two_labels_are_background_and_foreground(tmp_path: Path):
    data = open_dataset(make(tmp_path, [labels(0, 1), labels(0, 0)]))
    assert data.classes.names == ("background", "foreground")


def test_0_and_255_over_the_whole_set_are_two_classes(tmp_path: Path):
    data = open_dataset(make(tmp_path, [labels(0, 0, 0), labels(0, 255, 255)]))
    assert data.classes.remap == {255: 1}
    assert "255 is 'foreground'" in "".join(data.notes)
    masks = {p.name: data.read(p).mask.tolist() for s in data.splits for p in data.split(s)}
    assert masks == {"p0": [[0, 0, 0]], "p1": [[0, 1, 1]]}


def test_minus_one_and_65535_are_ignored(tmp_path: Path):
    for folder, dtype, value in (("a", np.int32, -1), ("b", np.uint16, 65535)):
        root = make(tmp_path / folder, [labels(0, 1), labels(1, 0)])
        (root / "masks/p0.png").unlink()
        array = np.array([[value, 1]], dtype)
        np.save(root / "masks/p0.npy", array)
        data = open_dataset(root)
        assert data.classes.remap == {value: "ignore"}
        assert sum(data.counts.values()).tolist() == [1, 2]  # pyright: ignore


def test_more_than_255_classes_are_derived(tmp_path: Path):
    ramp = np.arange(300, dtype=np.uint16).reshape(10, 30)
    data = open_dataset(make(tmp_path, [ramp, ramp]))
    assert (len(data.classes), data.classes.ignore_index) == (300, 65535)
    assert np.array_equal(data.read(data.split("train")[0]).mask, ramp)


def test_labels_with_gaps_are_a_class_each_and_what_lies_between_is_none(tmp_path: Path):
    root = make(tmp_path, [labels(0, 38), labels(75, 0)])
    data = open_dataset(root)
    assert data.classes.names == ("label 0", "label 38", "label 75")
    assert any("0, 38, 75" in note for note in data.notes)
    other = make(tmp_path / "b", [labels(38, 75), labels(1, 0)])
    refused(other, "holds label 1 ", "maps 0, 38, 75", classes=data.classes)
    assert len(open_dataset(declare(root, "classes = 76")).classes) == 76


@pytest.mark.parametrize("values", [(0, 128, 255), (0, 85, 170, 255)])
def test_labels_spread_so_that_they_can_be_seen_are_classes(tmp_path: Path, values: tuple):
    data = open_dataset(make(tmp_path, [labels(*values), labels(*values)]))
    assert data.classes.names == tuple(f"label {value}" for value in values)
    assert data.read(data.split("train")[0]).mask[0].tolist() == [*range(len(values))]


def test_more_labels_than_anybody_lists_are_no_classes(tmp_path: Path):
    ramp = np.arange(600, dtype=np.uint16)[None] * 7
    refused(make(tmp_path, [ramp, ramp]), "600 label values that leave gaps", "0, 7, 14")


@pytest.mark.parametrize(
    ("values", "said"),
    [((0, 0), "one class"), ((255, 255), "nothing but ignored"), ((7, 7), "label values 7")],
)
def test_one_class_alone_is_refused(tmp_path: Path, values: tuple[int, int], said: str):
    refused(make(tmp_path, [labels(*values)] * 2), said)


def test_a_declared_set_needs_two_classes_too(tmp_path: Path):
    root = make(tmp_path, [labels(1, 255)] * 2)
    refused(declare(root, 'classes = ["sky", "road"]'), "one class", "1, 255")


def test_a_label_outside_names_file_value_pixel_and_classes(tmp_path: Path):
    root = make(tmp_path, [labels(0, 1), labels(0, 1, 1, 5), labels(0, 1, 7)], split="train")
    make(root, [labels(0, 1)], split="val")
    error = refused(
        declare(root, 'classes = ["sky", "road"]'),
        "p1.png: holds label 5 (first at row 0, column 3; 1 px) (and 1 more problem)",
        "2 classes (0-1)",
    )
    assert isinstance(error, MaskError)


def test_the_remap_is_used(tmp_path: Path):
    root = make(tmp_path, [labels(7, 9, 0), labels(0, 7, 7)])
    toml = 'classes = ["sky", "road"]\n[remap]\n7 = "road"\n9 = "ignore"'
    data = open_dataset(declare(root, toml))
    (pair,) = (p for s in data.splits for p in data.split(s) if p.name == "p0")
    assert data.read(pair).mask.tolist() == [[1, 255, 0]]


def test_sizes_that_differ_are_both_named(tmp_path: Path):
    root = make(tmp_path, [labels(0, 1)] * 2, p1=np.zeros((5, 9, 3), np.uint8))
    refused(root, "p1.png: is 1 x 2 (height x width)", "p1.png is 5 x 9")


def test_a_mask_of_the_unturned_picture_is_explained(tmp_path: Path):
    root = make(tmp_path, [np.eye(2, 3, dtype=np.uint8)] * 2)
    exif = pil.Exif()
    exif[0x0112] = 6
    pil.fromarray(np.zeros((2, 3, 3), np.uint8)).save(root / "images/p0.png", exif=exif)
    refused(root, "is 2 x 3", "is 3 x 2", "EXIF orientation")


def test_the_first_broken_file_is_named_and_the_others_counted(tmp_path: Path):
    root = make(tmp_path, [labels(0, 1)] * 6, split="train")
    make(root, [labels(0, 1)], split="val")
    for name in ("images/train/p2.png", "masks/train/p4.png", "masks/val/p0.png"):
        (root / name).write_bytes((root / name).read_bytes()[:40])
    refused(root, "p2.png", "and 2 more problems")


def test_samples_have_three_bands_and_the_sets_dtype(tmp_path: Path):
    deep = np.array([[[0], [65535]]], np.uint16)[..., 0]
    root = make(tmp_path, [labels(0, 1)] * 2, p0=deep, p1=np.array([[7, 8]], np.uint8))
    data = open_dataset(root)
    assert (data.bands, data.dtype) == (3, "uint16")
    samples = {p.name: data.read(p) for s in data.splits for p in data.split(s)}
    assert samples["p0"].image.tolist() == [[[0] * 3, [65535] * 3]]
    assert samples["p1"].image.tolist() == [[[7 * 257] * 3, [8 * 257] * 3]]


def test_a_split_that_is_not_there_is_told(tmp_path: Path):
    data = open_dataset(make(tmp_path, [labels(0, 1)] * 2))
    with pytest.raises(DataError, match=r"no split 'tset', but it has train, val"):
        data.split("tset")


def test_a_runs_classes_must_be_those_declared(tmp_path: Path):
    root = declare(make(tmp_path, [labels(0, 1)] * 2), 'classes = ["sky", "road"]')
    same = Classes(("sky", "road"), ((1, 1, 1), (2, 2, 2)))
    assert open_dataset(root, classes=same).classes.colours == same.colours
    refused(root, "class 1 as 'road'", "'car'", classes=Classes(("sky", "car")))
    refused(root, "2 classes", "knows 3", classes=Classes(("sky", "road", "car")))


def test_a_runs_classes_are_adopted_where_none_are_declared(tmp_path: Path):
    root = make(tmp_path, [labels(0, 1), labels(0, 11)])
    given = Classes(("sky", "road", "car"), remap={11: "ignore"})
    assert open_dataset(root, classes=given).classes == given
    other = make(tmp_path / "other", [labels(0, 255), labels(0, 0)])
    # What 255 means to a run stays so; masks that speak of nothing else are no guess of ours.
    with pytest.raises(DataError, match=r"0 and 255 alone.*255 = 1"):
        open_dataset(other, classes=Classes(("bg", "fg")))
    mapped = Classes(("bg", "fg"), remap={255: 1})
    assert open_dataset(other, classes=mapped).classes.index_of(255) == 1


def test_the_fingerprint_follows_the_content_not_the_place(tmp_path: Path):
    first = open_dataset(make(tmp_path / "a", [labels(0, 1)] * 3)).fingerprint()
    moved = open_dataset(make(tmp_path / "b", [labels(0, 1)] * 3)).fingerprint()
    other = open_dataset(make(tmp_path / "c", [labels(0, 1), *[labels(1, 1)] * 2])).fingerprint()
    assert first == moved == json.loads(json.dumps(first))
    assert first["sha256"] != other["sha256"]
    (entry,) = (e for s in first["splits"].values() for e in s["files"] if e["name"] == "p0")
    content = (tmp_path / "a/masks/p0.png").read_bytes()
    assert entry["mask_sha256"] == hashlib.sha256(content).hexdigest()
    assert (entry["mask_bytes"], entry["size"]) == (len(content), [1, 2])


def test_opening_writes_nothing(tmp_path: Path):
    root = make(tmp_path, [labels(0, 1)] * 3)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    data = open_dataset(root)
    data.read(data.split("train")[0])
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


REAL = {  # folder: (sizes of splits, classes, ignored, bands)
    "camvid": ({"train": 367, "val": 101}, 11, {11}),
    "rock_ct4": ({"train": 707, "val": 23, "test": 26}, 4, set()),
    "crackforest": ({"train": 57, "val": 15, "test": 46}, 2, set()),
    "chasedb1_vessels": ({"train": 16, "val": 4, "test": 8}, 2, set()),
    "isbi_membrane": ({"train": 24, "val": 6}, 2, set()),
    "labelme_examples/semantic_segmentation/data_dataset_voc": (
        {"train": 2, "val": 1},
        21,
        {255},
    ),
    "labelme_examples/instance_segmentation/data_dataset_voc": (
        {"train": 2, "val": 1},
        21,
        {255},
    ),
    "labelme_examples/video_annotation/data_dataset_voc": ({"train": 4, "val": 1}, 3, set()),
}


@pytest.mark.parametrize("folder", REAL)
def test_real_sets_open_without_a_word(shared_data: Path, folder: str):
    sizes, num_classes, ignored = REAL[folder]
    data = open_dataset(shared_data / folder)
    assert {split: len(pairs) for split, pairs in data.splits.items()} == sizes
    assert (len(data.classes), data.bands, data.dtype) == (num_classes, 3, "uint8")
    values = {value for file in data.files for value in file.labels}
    index = data.classes.index_of
    assert {v for v in values if index(v) == data.classes.ignore_index} == ignored
    for split, pairs in data.splits.items():
        sample = data.read(pairs[-1])
        assert sample.image.shape == (*sample.mask.shape, 3)
        labelled = sum(f.labels[v] for f in data.files if f.split == split for v in f.labels)
        void = sum(f.labels.get(v, 0) for f in data.files if f.split == split for v in ignored)
        assert data.counts[split].sum() == labelled - void


def test_camvids_shares_are_those_known(shared_data: Path):
    data = open_dataset(shared_data / "camvid")
    shares = data.counts["train"] / (367 * 360 * 480)
    known = {"Bicyclist": 0.0029, "Pedestrian": 0.0064, "Pole": 0.0098, "SignSymbol": 0.0117}
    for name, share in known.items():
        assert shares[data.classes.names.index(name)] == pytest.approx(share, abs=5e-5)


def test_voc_without_a_class_list_has_the_names_of_voc(shared_data: Path, tmp_path: Path):
    source = shared_data / "labelme_examples/semantic_segmentation/data_dataset_voc"
    for folder in ("JPEGImages", "SegmentationClass"):
        shutil.copytree(source / folder, tmp_path / folder)
    path = tmp_path / "SegmentationClass/2011_000003.png"
    mask = np.asarray(pil.open(path)).copy()
    mask[0, 0] = 20
    pil.fromarray(mask).save(path)
    data = open_dataset(tmp_path)
    assert (data.classes.names[15], data.classes.names[20]) == ("person", "tvmonitor")
    assert data.classes.colours[15] == (192, 128, 128)


def test_coco_stuff_is_read_as_it_is_or_as_declared(shared_data: Path, tmp_path: Path):
    source = shared_data / "cocostuff21"
    assert len(open_dataset(source).classes) == 87
    for folder in ("images", "masks", "splits"):
        shutil.copytree(source / folder, tmp_path / folder)
    data = open_dataset(declare(tmp_path, "classes = 182"))
    assert (len(data.classes), len(data.split("train")), len(data.split("val"))) == (182, 13, 8)


def test_jpeg_masks_and_converted_masks_are_told_plainly(shared_data: Path):
    refused(shared_data / "kvasir5_jpegmasks", "is a JPEG", "and 4 more problems", "lossy")
    refused(
        shared_data / "lums_road_as_committed",
        "_mask.png: is a PNG damaged by line-ending conversion",
        "and 39 more problems",
    )


def test_pixels_around_a_class_are_those_of_the_pictures_that_hold_it(tmp_path):
    masks = {"a": [[0, 0], [1, 255]], "b": [[0, 0], [0, 0]], "c": [[2, 2], [2, 1]]}
    for split in ("train", "val"):
        for folder in ("images", "masks"):
            (tmp_path / split / folder).mkdir(parents=True)
        for name, mask in masks.items():
            pil.fromarray(np.array(mask, np.uint8)).save(tmp_path / split / "masks" / f"{name}.png")
            pil.new("RGB", (2, 2)).save(tmp_path / split / "images" / f"{name}.png")
    dataset = open_dataset(tmp_path)
    assert dataset.counts["train"].tolist() == [6, 2, 3]
    assert dataset.around("train").tolist() == [3 + 4, 3 + 4, 4]
