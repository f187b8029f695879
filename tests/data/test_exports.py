"""What is exported and read again is the same data set, as far as the format has words for it."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as pil
from PIL import ImageDraw

from atrous.classes import Classes
from atrous.data.dataset import DataSet, open_dataset
from atrous.data.exports import Exported, Format, export_data
from atrous.data.images import read_image
from atrous.data.masks import write_planes
from atrous.errors import AtrousError, DataError, RunError

FORMATS: tuple[Format, ...] = get_args(Format)
OVERLAPPING: tuple[Format, ...] = ("coco", "labelme", "yolo")
VOID = 255
BACKGROUND = ("background", "car", "dog", "road sign")
STREET = ("sky", "road", "tree", "路")
COLOURS = ("#102030", "#0a141e", "#c80000", "#00ff7f")
Masks = Mapping[tuple[str, str], np.ndarray]  # by split and name


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one example of hypothesis; the fixture's would be that of all."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def make(root: Path, masks: Masks, names: tuple[str, ...] | int = BACKGROUND, **keys: Any) -> Path:
    """A data set of pictures that differ, with these masks."""
    for seed, ((split, name), mask) in enumerate(masks.items()):
        image = np.random.default_rng(seed).integers(0, 256, (*mask.shape, 3), np.uint8)
        for kind, array in (("images", image), ("masks", mask)):
            path = root / kind / split / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pil.fromarray(array).save(path)
    keys = {"classes": list(names) if isinstance(names, tuple) else names, **keys}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()]
    (root / "dataset.toml").write_text("\n".join(lines), encoding="utf-8")
    return root


def again(data: DataSet, to: Format, out: Path) -> tuple[DataSet, Exported]:
    """The data set exported and read again."""
    exported = export_data(data, to, out)
    return open_dataset(out), exported


def pairs_of(data: DataSet) -> dict[tuple[str, str], Any]:
    return {(split, pair.name): pair for split in data.splits for pair in data.split(split)}


def check_same(data: DataSet, back: DataSet, *, to: Format, city: str = "city/") -> None:
    """Equal masks, pictures, names, splits and classes; `city` is the folder of plain names."""
    truth, found = pairs_of(data), pairs_of(back)
    if to == "cityscapes":
        truth = {
            (split, name if "/" in name else city + name): pair
            for (split, name), pair in truth.items()
        }
    assert found.keys() == truth.keys()
    for key, pair in truth.items():
        before, after = data.read(pair), back.read(found[key])
        assert np.array_equal(after.mask, before.mask), key
        assert np.array_equal(after.image, before.image)
        assert after.mask.dtype == before.mask.dtype
        if to != "cityscapes" and not pair.bands:
            assert found[key].image.read_bytes() == pair.image.read_bytes()
    for what in ("names", "colours", "task"):
        assert getattr(back.classes, what) == getattr(data.classes, what)
    assert {s: c.tolist() for s, c in back.counts.items()} == {
        s: c.tolist() for s, c in data.counts.items()
    }


def refused(data: DataSet, to: Format, out: Path, *said: str) -> None:
    """The export is refused with an error that says these words, and nothing is written."""
    with pytest.raises(AtrousError) as error:
        export_data(data, to, out)
    for text in said:
        assert text in str(error.value)
    assert not out.exists() or not any(out.iterdir())


def picture(*rows: str) -> np.ndarray:
    """A mask as a drawing: `.` is 0, digits are classes, `#` is ignored."""
    return np.array(
        [[VOID if s == "#" else int(s.replace(".", "0")) for s in r] for r in rows], np.uint8
    )


@st.composite
def label_maps(draw: st.DrawFn, values: tuple[int, ...] = (0, 1, 2, VOID)) -> np.ndarray:
    """Noise, or noise of larger cells: regions with holes, that touch each other and the frame."""
    cell = draw(st.integers(1, 3))
    size = draw(st.tuples(st.integers(1, 16 // cell), st.integers(1, 16 // cell)))
    noise = draw(arrays(np.uint8, size, elements=st.sampled_from(values), fill=st.nothing()))
    return np.kron(noise, np.ones((cell, cell), np.uint8))


BOTH = picture("01")  # two classes at least are needed in a data set


@pytest.mark.parametrize("to", FORMATS)
@settings(max_examples=15)
@given(label_maps(), st.sampled_from([BACKGROUND, STREET]))
def test_masks_come_back_as_they_were(to: Format, mask: np.ndarray, names: tuple[str, ...]):
    with folder() as root:
        masks = {("train", "a"): mask, ("train", "c"): BOTH, ("val", "b"): BOTH}
        data = open_dataset(make(root / "data", masks, names, colours=list(COLOURS)))
        check_same(data, again(data, to, root / "out")[0], to=to)


HARD = {
    "holes in holes": picture(
        "11111111",
        "1......1",
        "1.1111.1",
        "1.1221.1",
        "1.12#1.1",
        "1.1111.1",
        "1......1",
        "11111111",
    ),
    "diagonal pixels": picture("1....2", ".1..2.", "..12..", "..21..", ".2..1.", "2....1"),
    "regions along the frame": picture("22222", "2...2", "2.1.2", "2...2", "22222"),
    "holes that touch at a corner": picture("11111", "1.111", "11.11", "1112.", "11111"),
    "holes at a corner of the frame": picture(".1.", "1.1", ".1."),
    "one class twice, side by side": picture("11.11", "11.11", ".....", "11111", "#####"),
    "a hole of three classes and void": picture("11111", "12301", "1##01", "12.31", "11111"),
    "one pixel": picture("3"),
    "one row": picture("10120#1"),
    "background alone": picture("...", "..."),
    "void alone": picture("##", "##"),
    "full": picture("222", "222"),
}


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("names", [BACKGROUND, STREET], ids=["background", "street"])
def test_hard_masks_come_back_as_they_were(to: Format, names: tuple[str, ...], tmp_path: Path):
    masks = {("train", name): mask for name, mask in HARD.items()}
    data = open_dataset(make(tmp_path / "data", {**masks, ("val", "b"): BOTH}, names))
    check_same(data, again(data, to, tmp_path / "out")[0], to=to)


NAMES = (
    ("train", "a/x"),
    ("train", "b/x"),
    ("train", "图片/街 一"),
    ("train", "y.z"),
    ("train", "Été (2)"),
    ("val", "a/w"),
    ("val", "a b/x"),
    ("test", "v/v"),
    ("test", "w.p"),
    # What readers could take for other names, other pictures, other splits:
    ("train", "x"),
    ("train", "val/y"),
    ("train", "val_2/x"),
    ("train", "w.png"),
    ("train", "w"),
    ("train", "街　道/x"),
    ("train", "a..b/c"),
    ("val", "y"),
    ("val", "a/a/w"),
    ("val", "train/val/y"),
    ("test", "test"),
)


@pytest.mark.parametrize("to", FORMATS)
def test_names_and_splits_come_back_as_they_were(to: Format, tmp_path: Path):
    keys = [key for key in NAMES if to != "cityscapes" or key[1].count("/") < 2]
    masks = {key: picture(f"01{i % 3}") for i, key in enumerate(keys)}
    data = open_dataset(make(tmp_path / "data", masks))
    back, exported = again(data, to, tmp_path / "out")
    check_same(data, back, to=to)
    assert not any("Names that" in note for note in exported.notes)


@pytest.mark.parametrize("to", ["coco", "labelme", "yolo"])
@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_of_background_alone_stays_a_split(to: Format, split: str, tmp_path: Path):
    masks = {("train", "a"): BOTH, ("train", "c"): BOTH, (split, "b"): picture("0000")}
    masks |= {("val", "d"): BOTH} if split == "test" else {}
    data = open_dataset(make(tmp_path / "data", masks))
    check_same(data, again(data, to, tmp_path / "out")[0], to=to)


@pytest.mark.parametrize("to", FORMATS)
def test_one_name_in_two_splits_stays_two_pictures(to: Format, tmp_path: Path):
    masks = {("train", "x"): picture("011"), ("val", "x"): picture("002"), ("val", "y"): BOTH}
    data = open_dataset(make(tmp_path / "data", masks))
    back, exported = again(data, to, tmp_path / "out")
    found = {key: back.read(pair).mask.tolist() for key, pair in pairs_of(back).items()}
    changed = {"cityscapes": lambda s, n: f"city/{n}", "voc": lambda s, n: f"{s}/{n}"}
    name = changed.get(to, lambda s, n: n)
    assert found == {(s, name(s, n)): mask.tolist() for (s, n), mask in masks.items()}
    assert (to in changed) == any("ames" in note for note in exported.notes)


@pytest.mark.parametrize("to", FORMATS)
def test_names_that_a_reader_would_misread_are_told_apart(to: Format, tmp_path: Path):
    train = ["x", "a/x", "val/y", "images/z", "w", "w.png", "w_mask", "labels"]
    keys = [*(("train", name) for name in train), ("val", "v/w"), ("val", "b")]
    masks = {key: picture("012"[i % 3] + "01") for i, key in enumerate(keys)}
    data = open_dataset(make(tmp_path / "data", masks))
    back, _ = again(data, to, tmp_path / "out")
    found = {s: sorted(str(back.read(p).mask.tolist()) for p in back.split(s)) for s in back.splits}
    truth = {s: sorted(str(data.read(p).mask.tolist()) for p in data.split(s)) for s in data.splits}
    assert found == truth


@pytest.mark.parametrize("to", FORMATS)
def test_binary_masks_stay_binary(to: Format, tmp_path: Path):
    masks = {("train", "a"): picture("0110"), ("val", "b"): picture("00#1")}
    names = ("background", "crack")
    data = open_dataset(make(tmp_path / "data", masks, names, task="binary"))
    check_same(data, again(data, to, tmp_path / "out")[0], to=to)


@pytest.mark.parametrize("to", FORMATS)
def test_255_stays_ignored_where_the_second_class_is_missing(to: Format, tmp_path: Path):
    masks = {("train", "a"): picture("00#0"), ("val", "b"): picture("0#")}
    given = Classes(("background", "crack"))
    root = make(tmp_path / "data", masks, ("background", "crack"), ignore_index=VOID)
    data = open_dataset(root, classes=given)
    export_data(data, to, tmp_path / "out")
    check_same(data, open_dataset(tmp_path / "out", classes=given), to=to)
    with pytest.raises(DataError, match="of one class"):  # and not of two, the second being 255
        open_dataset(tmp_path / "out")


@pytest.mark.parametrize("to", FORMATS)
def test_more_classes_than_a_byte_holds(to: Format, tmp_path: Path):
    mask = np.array([[0, 299, 255], [256, 65535, 7]], np.uint16)
    data = open_dataset(make(tmp_path / "data", {("train", "a"): mask, ("val", "b"): mask}, 300))
    check_same(data, again(data, to, tmp_path / "out")[0], to=to)


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("count", [254, 255, 256])
def test_as_many_classes_as_a_byte_holds_and_one_more(to: Format, count: int, tmp_path: Path):
    void = 255 if count < 256 else 65535
    mask = np.array([[0, count - 1, void]], np.uint16 if count > 255 else np.uint8)
    data = open_dataset(make(tmp_path / "data", {("train", "a"): mask, ("val", "b"): mask}, count))
    check_same(data, again(data, to, tmp_path / "out")[0], to=to)


@pytest.mark.parametrize("to", FORMATS)
def test_the_background_need_not_come_first(to: Format, tmp_path: Path):
    masks = {("train", "a"): picture("0123", "##32"), ("val", "b"): picture("21")}
    names = ("car", "dog", "Background", "road")
    data = open_dataset(make(tmp_path / "data", masks, names))
    check_same(data, again(data, to, tmp_path / "out")[0], to=to)


@pytest.mark.parametrize("to", FORMATS)
def test_progress_is_that_of_pairs(to: Format, tmp_path: Path):
    masks = {("train", "a"): BOTH, ("train", "c"): BOTH, ("val", "b"): BOTH}
    data, seen = open_dataset(make(tmp_path / "data", masks)), []

    def track(items: Sequence[Any]) -> Iterator[Any]:
        assert len(items) == 3
        for item in items:
            yield item
            seen.append(item.name)

    assert export_data(data, to, tmp_path / "out", track).pairs == 3
    assert seen == ["a", "c", "b"]


@pytest.mark.parametrize("to", FORMATS)
def test_nothing_changes_in_the_data_set(to: Format, tmp_path: Path):
    root = make(tmp_path / "data", {("train", "a"): picture("01#"), ("val", "b"): BOTH})
    before = {p: p.stat().st_mtime_ns for p in sorted(root.rglob("*"))}
    export_data(open_dataset(root), to, tmp_path / "out")
    assert {p: p.stat().st_mtime_ns for p in sorted(root.rglob("*"))} == before
    assert not [*(tmp_path / "out").rglob(".*")]


# Several classes a pixel.

WET = Classes(("road", "wet", "snow"), task="multilabel")


def planes(root: Path, masks: Masks, classes: Classes = WET) -> Path:
    """A data set of folders of planes."""
    for (split, name), mask in masks.items():
        pair = root / "images" / split / f"{name}.png", root / "masks" / split / name
        pair[0].parent.mkdir(parents=True, exist_ok=True)
        pair[1].mkdir(parents=True)
        pil.fromarray(np.zeros((*mask.shape, 3), np.uint8)).save(pair[0])
        write_planes(pair[1], mask, classes)
    (root / "dataset.toml").write_text(f"classes = {json.dumps(classes.names)}")
    return root


@settings(max_examples=10)
@given(label_maps(tuple(range(9))))
def test_planes_come_back_as_they_were(mask: np.ndarray):
    with folder() as root:
        masks = {("train", "s/a"): mask, ("val", "b"): np.array([[3, 0, 8]], np.uint8)}
        data = open_dataset(planes(root / "data", masks))
        check_same(data, again(data, "folder", root / "out")[0], to="folder")


def test_index_masks_that_train_as_multilabel_become_planes(tmp_path: Path):
    masks = {("train", "a"): picture("012#"), ("val", "b"): picture("21")}
    names = ("road", "wet", "snow")
    data = open_dataset(make(tmp_path / "data", masks, names, task="multilabel"))
    back, _ = again(data, "folder", tmp_path / "out")
    check_same(data, back, to="folder")
    assert back.planes and not data.planes


@pytest.mark.parametrize("to", OVERLAPPING)
@settings(max_examples=10)
@given(label_maps(tuple(range(9))))
def test_classes_that_overlap_come_back_as_they_were(to: Format, mask: np.ndarray):
    with folder() as root:
        masks = {("train", "s/a"): mask, ("val", "b"): np.array([[3, 0, 8]], np.uint8)}
        data = open_dataset(planes(root / "data", masks))
        back, exported = again(data, to, root / "out")
        check_same(data, back, to=to)
        assert any("overlap" in note for note in exported.notes)
        check_same(data, again(back, "folder", root / "planes")[0], to="folder")


@pytest.mark.parametrize("to", OVERLAPPING)
def test_classes_that_overlap_may_be_read_as_one_class_a_pixel(to: Format, tmp_path: Path):
    mask = np.array([[1, 3, 2, 0], [1, 3, 6, 8]], np.uint8)
    root = planes(tmp_path / "data", {("train", "a"): mask, ("val", "b"): mask})
    export_data(open_dataset(root), to, tmp_path / "out")
    back = open_dataset(tmp_path / "out", task="multiclass")
    assert back.classes.names == ("background", "road", "wet", "snow")
    for pair in pairs_of(back).values():  # the one that is drawn last
        assert back.read(pair).mask.tolist() == [[1, 2, 2, 0], [1, 2, 3, VOID]]


@pytest.mark.parametrize("to", OVERLAPPING)
def test_a_background_among_classes_that_overlap_is_the_background(to: Format, tmp_path: Path):
    mask = np.array([[1, 2, 4, 8, 0, 5]], np.uint8)
    classes = Classes(("road", "background", "snow"), task="multilabel")
    root = planes(tmp_path / "data", {("train", "a"): mask, ("val", "b"): mask}, classes)
    back, exported = again(open_dataset(root), to, tmp_path / "out")
    assert any("The class 'background'" in note for note in exported.notes)
    assert back.classes.names == ("road", "snow")
    assert back.read(back.split("val")[0]).mask.tolist() == [[1, 0, 2, 4, 0, 3]]


@pytest.mark.parametrize("to", ["voc", "cityscapes"])
def test_masks_of_one_class_a_pixel_refuse_several(to: Format, tmp_path: Path):
    mask = np.array([[3, 1]], np.uint8)
    data = open_dataset(planes(tmp_path / "data", {("train", "a"): mask, ("val", "b"): mask}))
    refused(data, to, tmp_path / "out", "several classes a pixel", "folder")


def test_a_plane_that_would_be_the_mask_of_another_picture_is_refused(tmp_path: Path):
    mask = np.array([[3, 1]], np.uint8)
    keys = [("train", "a"), ("val", "c")]
    data = open_dataset(planes(tmp_path / "data", dict.fromkeys(keys, mask)))
    pair = data.files[0].pair
    twin = data.files[0]._replace(pair=pair._replace(name="a/road"))
    doubled = DataSet(**{**vars(data), "files": (*data.files, twin)})
    refused(doubled, "folder", tmp_path / "out", "'a/road'", "one file")


# Pictures.


def test_a_picture_that_exif_turns_stays_as_it_is(tmp_path: Path):
    turned = picture("01", "22", "#1")
    masks = {("train", "a"): turned, ("train", "c"): turned, ("val", "b"): BOTH}
    root = make(tmp_path / "data", masks)
    exif = pil.Exif()
    exif[0x0112] = 6
    (root / "images/train/a.png").unlink()
    for file in ("a.jpg", "c.png"):
        pil.new("RGB", (3, 2), (200, 90, 10)).save(root / "images/train" / file, exif=exif)
    for to in FORMATS:
        data = open_dataset(root)
        back, exported = again(data, to, tmp_path / to)
        check_same(data, back, to=to)
        assert (to in ("folder", "cityscapes")) != any("EXIF" in note for note in exported.notes)
    upright = tmp_path / "cityscapes/leftImg8bit/train/city/c_leftImg8bit.png"
    with pil.open(upright) as png:
        assert png.size == (2, 3)


def test_bands_in_several_files_become_one_picture(tmp_path: Path):
    root = make(tmp_path / "data", {("train", "a"): picture("012"), ("val", "b"): BOTH})
    (data,) = [open_dataset(root)]
    files = []
    for i, file in enumerate(data.files):
        near = tmp_path / f"near{i}.png"
        pil.fromarray(np.full(file.header.size, 7 + i, np.uint8)).save(near)
        header = file.header._replace(bands=4)
        files.append(file._replace(pair=file.pair._replace(bands=(near,)), header=header))
    splits = {split: tuple(f.pair for f in files if f.split == split) for split in data.splits}
    data = DataSet(**{**vars(data), "files": tuple(files), "splits": splits, "bands": 4})
    refused(data, "cityscapes", tmp_path / "no", "4 bands", "PNG")
    for to in ("folder", "coco"):
        check_same(data, again(data, to, tmp_path / to)[0], to=to)


def test_pictures_that_are_no_png_are_written_anew_for_cityscapes(tmp_path: Path):
    root = make(tmp_path / "data", {("train", "a"): picture("012"), ("val", "b"): BOTH})
    (root / "images/train/a.png").unlink()
    deep = np.random.default_rng(0).integers(0, 65536, (1, 3, 3), np.uint16)
    from tifffile import imwrite

    imwrite(root / "images/train/a.tif", deep)
    data = open_dataset(root)
    back, exported = again(data, "cityscapes", tmp_path / "out")
    check_same(data, back, to="cityscapes")
    assert np.array_equal(
        read_image(tmp_path / "out/leftImg8bit/train/city/a_leftImg8bit.png"), deep
    )
    assert any("anew" in note and ": 1." in note for note in exported.notes)


# What the files look like to others.


# pycocotools 2.0 hands NumPy 2 arrays that lack a keyword.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_coco_files_are_right_for_pycocotools(tmp_path: Path):
    coco = pytest.importorskip("pycocotools.coco")
    masks = {("train", f"{i}"): mask for i, mask in enumerate(HARD.values())}
    data = open_dataset(make(tmp_path / "data", {**masks, ("val", "b"): BOTH}))
    export_data(data, "coco", tmp_path / "out")
    truth = coco.COCO(tmp_path / "out/annotations/instances_train.json")
    for entry in truth.imgs.values():
        mask = masks["train", Path(entry["file_name"]).stem]
        drawn = np.zeros_like(mask)
        for annotation in truth.imgToAnns[entry["id"]]:
            pixels = truth.annToMask(annotation) == 1
            assert not drawn[pixels].any()
            drawn[pixels] = annotation["category_id"]
            assert annotation["area"] == pixels.sum()
            y, x = np.nonzero(pixels)
            box = [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
            assert annotation["bbox"] == box
            assert annotation["iscrowd"] == (
                truth.cats[annotation["category_id"]]["name"] == "__ignore__"
            )
        assert np.array_equal(drawn, np.where(mask == VOID, 4, mask))


def test_coco_draws_polygons_unless_there_are_holes(tmp_path: Path):
    masks = {("train", "a"): picture("111.2", "1.1.2", "111.."), ("val", "b"): BOTH}
    export_data(open_dataset(make(tmp_path / "data", masks)), "coco", tmp_path / "out")
    content = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    ring, bar = content["annotations"]
    assert ring["segmentation"]["size"] == [3, 5]
    assert bar["segmentation"] == [[4, 0, 5, 0, 5, 2, 4, 2]]


def test_labelme_files_paint_the_mask_in_their_order(tmp_path: Path):
    masks = {("train", f"{i}"): mask for i, mask in enumerate(HARD.values())}
    data = open_dataset(make(tmp_path / "data", {**masks, ("val", "b"): BOTH}))
    export_data(data, "labelme", tmp_path / "out")
    values = {"_background_": 0, "__ignore__": VOID, **{n: i for i, n in enumerate(BACKGROUND)}}
    for (split, name), mask in masks.items():
        content = json.loads((tmp_path / "out" / split / f"{name}.json").read_text())
        assert (tmp_path / "out" / split / content["imagePath"]).is_file()
        canvas = pil.new("L", (content["imageWidth"], content["imageHeight"]))
        for shape in content["shapes"]:
            ink = values[shape["label"]]
            points = [tuple(point) for point in shape["points"]]
            ImageDraw.Draw(canvas).polygon(points, fill=ink, outline=ink)
        assert np.array_equal(np.array(canvas), mask), name
    lines = (tmp_path / "out/labels.txt").read_text().splitlines()
    assert lines == ["__ignore__", "_background_", *BACKGROUND[1:]]


def test_labelme_files_draw_background_in_holes_alone(tmp_path: Path):
    masks = {("train", "a"): picture(".....", ".111.", ".1.1.", ".111."), ("val", "b"): BOTH}
    export_data(open_dataset(make(tmp_path / "data", masks)), "labelme", tmp_path / "out")
    content = json.loads((tmp_path / "out/train/a.json").read_text())
    assert [shape["label"] for shape in content["shapes"]] == ["car", "_background_"]


def test_yolo_lines_are_centres_of_pixels_across_the_picture(tmp_path: Path):
    masks = {("train", "a"): picture("....", ".22.", ".22.", "...."), ("val", "b"): BOTH}
    export_data(open_dataset(make(tmp_path / "data", masks)), "yolo", tmp_path / "out")
    line = "1 0.375 0.375 0.625 0.375 0.625 0.625 0.375 0.625\n"
    assert (tmp_path / "out/labels/train/a.txt").read_text() == line
    text = (
        'train: images/train\nval: images/val\nnames:\n  0: "car"\n  1: "dog"\n  2: "road sign"\n'
    )
    assert (tmp_path / "out/data.yaml").read_text() == text


def test_voc_masks_have_the_chosen_colours_or_those_of_voc(tmp_path: Path):
    masks = {("train", "a"): picture("0123"), ("val", "b"): BOTH}
    plain = make(tmp_path / "plain", masks)
    coloured = make(tmp_path / "coloured", masks, colours=list(COLOURS))
    for root, colour in ((plain, (0, 128, 0)), (coloured, (200, 0, 0))):
        export_data(open_dataset(root), "voc", tmp_path / f"{root.name} out")
        with pil.open(tmp_path / f"{root.name} out/SegmentationClass/a.png") as mask:
            assert mask.convert("RGB").getpixel((2, 0)) == colour


def test_cityscapes_own_classes_have_their_own_label_ids(tmp_path: Path):
    from atrous.data.layouts.cityscapes import CLASSES

    names = tuple(name for _, name, _ in CLASSES)
    masks = {("train", "bonn/a"): np.array([[0, 18, 255]], np.uint8), ("val", "ulm/b"): BOTH}
    data = open_dataset(make(tmp_path / "data", masks, names))
    back, exported = again(data, "cityscapes", tmp_path / "out")
    check_same(data, back, to="cityscapes")
    assert exported.notes == ()
    truth = tmp_path / "out/gtFine/train/bonn"
    assert read_image(truth / "a_gtFine_labelIds.png")[0, :, 0].tolist() == [7, 33, 0]
    assert read_image(truth / "a_gtFine_labelTrainIds.png")[0, :, 0].tolist() == [0, 18, 255]


# What is refused, and what an interrupted export leaves.


@pytest.mark.parametrize("to", FORMATS)
def test_an_export_that_fails_half_way_is_no_data_set(to: Format, tmp_path: Path):
    root = make(tmp_path / "data", {("train", "a"): BOTH, ("train", "c"): BOTH, ("val", "b"): BOTH})
    data = open_dataset(root)
    (root / "masks/train/c.png").unlink()
    with pytest.raises(DataError, match=r"c\.png"):
        export_data(data, to, tmp_path / "out")
    left = {path.name for path in (tmp_path / "out").rglob("*")}
    assert left.isdisjoint({"dataset.toml", "train.txt", "instances_train.json", "data.yaml"})
    assert not any(name.startswith(".") for name in left)


def test_out_must_be_empty_and_elsewhere(tmp_path: Path):
    data = open_dataset(make(tmp_path / "data", {("train", "a"): BOTH, ("val", "b"): BOTH}))
    (tmp_path / "out").mkdir()
    export_data(data, "folder", tmp_path / "out")
    with pytest.raises(RunError, match="is not empty"):
        export_data(data, "voc", tmp_path / "out")
    with pytest.raises(RunError, match="nothing is written into a data set"):
        export_data(data, "voc", tmp_path / "data" / "voc")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="folder"):
        export_data(data, "voc", tmp_path / "file")
    assert not (tmp_path / "data" / "voc").exists()


@pytest.mark.parametrize("to", OVERLAPPING)
def test_classes_that_annotations_cannot_tell_apart_are_refused(to: Format, tmp_path: Path):
    masks = {("train", "a"): BOTH, ("val", "b"): BOTH}
    for i, names in enumerate(
        [("a b", "a  b"), ("background", "_background_"), ("x", "__ignore__")]
    ):
        data = open_dataset(make(tmp_path / f"{i}", masks, names))
        refused(data, to, tmp_path / "out", repr(names[1]))
        check_same(data, again(data, "voc", tmp_path / f"voc {i}")[0], to="voc")


def test_a_class_that_dataset_toml_cannot_name_is_refused(tmp_path: Path):
    data = open_dataset(make(tmp_path / "data", {("train", "a"): BOTH, ("val", "b"): BOTH}))
    named = DataSet(**{**vars(data), "classes": Classes(("ignore", "b", "c", "d"))})
    refused(named, "folder", tmp_path / "out", "'ignore'")


def test_names_from_elsewhere_lead_nowhere_else(tmp_path: Path):
    data = open_dataset(make(tmp_path / "data", {("train", "a"): BOTH, ("val", "b"): BOTH}))
    wild = ["../../a", "/etc/a", ".hidden/a", "a\n", " a ", "back\\slash", "../../a", "\udcff"]
    files = [data.files[0]._replace(pair=data.files[0].pair._replace(name=name)) for name in wild]
    doubled = DataSet(**{**vars(data), "files": (*files, data.files[1])})
    for to in FORMATS:
        exported = export_data(doubled, to, tmp_path / "deep/er" / to)
        assert exported.pairs == 9 and "8" in exported.notes[0]
        assert len(open_dataset(tmp_path / "deep/er" / to).split("train")) == 8
    assert {p.name for p in tmp_path.iterdir()} == {"data", "deep"}


# Real data sets.


@pytest.mark.parametrize("to", FORMATS)
def test_labelme_examples_come_back_as_they_were(to: Format, shared_data: Path, tmp_path: Path):
    data = open_dataset(shared_data / "labelme_examples/instance_segmentation/data_annotated")
    check_same(data, again(data, to, tmp_path / "out")[0], to=to)


@pytest.mark.parametrize("to", FORMATS)
def test_camvid_comes_back_as_it_was(to: Format, shared_data: Path, tmp_path: Path):
    root = tmp_path / "camvid"
    for split in ("train", "val"):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
            for path in sorted((shared_data / "camvid" / folder).iterdir())[:2]:
                shutil.copy(path, root / folder)
    data = open_dataset(root)
    assert data.kind == "CamVid"
    check_same(data, again(data, to, tmp_path / "out")[0], to=to)
