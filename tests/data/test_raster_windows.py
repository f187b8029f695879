"""Windows of rasters: which there are, which split has them, what is drawn of them."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from grounds import (
    PLACE,
    RINGS,
    SIZE,
    burnt,
    declare,
    noise,
    on_ground,
    write_geojson,
    write_raster,
)
from hypothesis import given
from hypothesis import strategies as st

from atrous.classes import TRANSPARENT
from atrous.data.dataset import DataSet, open_dataset
from atrous.data.exports import export_data
from atrous.data.layouts import Pair
from atrous.data.loading import Samples, batches
from atrous.data.windows import Box, Source, Window, cut, moved, within
from atrous.doctor import examine
from atrous.errors import DataError
from atrous.recipe import make_recipe

pytest.importorskip("rasterio", reason="the extra geo is not installed")
pytest.importorskip("pyogrio", reason="the extra geo is not installed")

RECIPE = make_recipe(sets=["augment.crop=64", "train.batch=3", "train.steps=3"])
NOWHERE = Source(Path("a.tif"), Path("b.tif"))


def scene(root: Path, name: str = "scene", seed: int = 0, **options) -> Path:
    """A raster and a raster of labels of three classes."""
    image = noise(seed=seed)
    write_raster(root / f"images/{name}.tif", image, **options)
    labels = burnt(on_ground(RINGS), [1, 2, 1, 2])
    write_raster(root / f"masks/{name}.tif", labels)
    return root


def _window(pair: Pair) -> Window:
    assert pair.window
    return pair.window


def _all_counts(data: DataSet) -> np.ndarray:
    return np.sum([*data.counts.values()], axis=0)


def laid(data: DataSet, split: str, size=SIZE) -> np.ndarray:
    """The masks of a split where they lie; 99 where none does."""
    whole = np.full(size, 99, np.uint8)
    for pair in data.split(split):
        box = _window(pair).box
        assert (whole[box.rows, box.columns] == 99).all()
        whole[box.rows, box.columns] = data.read(pair).mask
    return whole


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 90))
def test_parts_cover_a_box_once_and_are_of_about_one_size(height, width, side):
    seen = np.zeros((height, width), int)
    for box in (box for row in cut(Box(0, 0, height, width), side) for box in row):
        seen[box.rows, box.columns] += 1
        for length, whole in zip(box.size, (height, width), strict=True):
            assert length <= 1.5 * side + 1
            assert length >= min(whole, side / 1.5 - 1)
    assert (seen == 1).all()


@given(st.data(), st.integers(0, 2**32))
def test_a_moved_window_keeps_its_size_and_stays_in_its_block(data, seed):
    edges = st.lists(st.integers(0, 500), min_size=4, max_size=4, unique=True).map(sorted)
    (y0, y1, y2, y3), (x0, x1, x2, x3) = data.draw(edges), data.draw(edges)
    window = Window(NOWHERE, Box(y1, x1, y2, x2), Box(y0, x0, y3, x3))
    box = moved(window, np.random.default_rng(seed)).box
    assert box.size == window.box.size
    assert y0 <= box.top < box.bottom <= y3 and x0 <= box.left < box.right <= x3
    assert abs(box.top - y1) <= (y2 - y1) and abs(box.left - x1) <= (x2 - x1)


def test_windows_do_move():
    window = Window(NOWHERE, Box(40, 40, 60, 60), Box(0, 0, 100, 100))
    places = {moved(window, np.random.default_rng(seed)).box[:2] for seed in range(300)}
    rows, columns = zip(*places, strict=True)
    assert {*rows} == {*columns} == {*range(30, 51)}


def test_a_gap_is_left_inside_of_a_raster_alone():
    assert within(Box(0, 10, 20, 40), 3, (50, 40)) == Box(0, 13, 17, 40)


@pytest.mark.parametrize("seed", range(4))
def test_no_pixel_of_val_is_ever_in_a_window_of_train_nor_near_one(tmp_path, seed):
    text = f"[raster]\nwindow = 24\nblock = 48\ngap = 5\nseed = {seed}\n[splits]\nval = 0.4"
    data = open_dataset(declare(scene(tmp_path), text))
    far = np.ones(SIZE, bool)
    for pair in data.split("val"):
        box = _window(pair).box
        far[max(0, box.top - 5) : box.bottom + 5, max(0, box.left - 5) : box.right + 5] = False
    assert not far.all() and far.any()
    for number, pair in product(range(20), data.split("train")):
        box = moved(_window(pair), np.random.default_rng(number)).box
        assert far[box.rows, box.columns].all()


def test_another_seed_sets_other_blocks_aside(tmp_path):
    scene(tmp_path)
    chosen = set()
    for seed in range(6):
        declare(tmp_path, f"[raster]\nwindow = 40\nseed = {seed}")
        chosen.add(tuple(pair.name for pair in open_dataset(tmp_path).split("val")))
    assert len(chosen) > 3


def test_whole_rasters_go_to_val_where_a_group_is_named(tmp_path):
    for number in range(4):
        scene(tmp_path, f"area{number // 2}_{number}", seed=number)
    text = '[raster]\nwindow = 100\n[splits]\nval = 0.4\ngroup = "(?P<group>[^_]+)_.*"'
    data = open_dataset(declare(tmp_path, text))
    areas = [{p.name.split("_")[0] for p in data.split(split)} for split in ("train", "val")]
    assert sorted(map(len, areas)) == [1, 1] and not areas[0] & areas[1]
    labels = burnt(on_ground(RINGS), [1, 2, 1, 2])
    assert (_all_counts(data) == 4 * np.bincount(labels.flat)).all()


def test_rasters_in_folders_of_splits_stay_there_and_lose_nothing(tmp_path):
    for split in ("train", "val"):
        scene(tmp_path / split, seed=len(split))
    data = open_dataset(declare(tmp_path))
    assert {*data.splits} == {"train", "val"}
    for split in data.splits:
        assert (laid(data, split) == burnt(on_ground(RINGS), [1, 2, 1, 2])).all()


def test_any_number_of_workers_draws_the_same_windows(tmp_path):
    data = open_dataset(declare(scene(tmp_path)))
    samples = Samples(data, "train")
    one, *others = (
        [part for parts in batches(samples, RECIPE, start=0, workers=n) for part in parts]
        for n in (0, 1, 2)
    )
    for other in others:
        for a, b in zip(one, other, strict=True):
            assert (a.images == b.images).all() and (a.masks == b.masks).all()
            assert a.names == b.names


def test_what_is_drawn_is_of_the_raster_at_any_place(tmp_path):
    data = open_dataset(declare(scene(tmp_path), "[raster]\nwindow = 32\nblock = 80"))
    samples, image = Samples(data, "train"), noise().transpose(1, 2, 0)
    labels, places = burnt(on_ground(RINGS), [1, 2, 1, 2]), set()
    for step in range(8):
        near = samples.near(0, np.random.default_rng(step))
        height, width = near.mask.shape
        views = np.lib.stride_tricks.sliding_window_view(image[..., 0], (height, width))
        starts = np.argwhere((views[:, :, 0] == near.image[0, :, 0]).all(-1))
        ((y, x),) = starts.tolist()
        assert (image[y : y + height, x : x + width] == near.image).all()
        assert (near.mask == labels[y : y + height, x : x + width]).all()
        places.add((y, x))
    assert len(places) > 2


def test_no_data_is_ignored_and_left_out_of_the_statistics(tmp_path):
    image = noise(5, "int16")
    image[:, :, :130] = -1
    write_raster(tmp_path / "images/scene.tif", image, nodata=-1)
    labels = burnt(on_ground(RINGS), [1, 2, 1, 2]).astype(np.int16)
    labels[:40] = -1
    write_raster(tmp_path / "masks/scene.tif", labels)
    data = open_dataset(declare(tmp_path, "classes = 3\n[raster]\nwindow = 48"))
    assert data.bands == 5 and data.dtype == "float32" and data.statistics
    for split in data.splits:
        whole = laid(data, split)
        known = (whole != 99) & (whole != 255)
        assert known.any() and not known[:, :130].any() and not known[:40].any()
        assert (whole == labels)[known].all()
    seen = np.zeros(SIZE, bool)
    for pair in data.split("train"):
        assert (data.read(pair).mask != 255).any()
        box = _window(pair).box
        seen[box.rows, box.columns] = True
    pixels = image[:, seen & (np.arange(SIZE[1]) >= 130)].astype(np.float64)
    assert np.allclose(data.statistics.mean, pixels.mean(1))
    assert np.allclose(data.statistics.std, pixels.std(1))
    assert any("left out" in note for note in data.notes)


def test_unknown_pixels_look_like_the_mean_of_the_known_ones(tmp_path):
    image = noise(4, "float32")
    image[:, :, 20:] = -9999
    write_raster(tmp_path / "images/scene.tif", image, nodata=-9999)
    write_raster(tmp_path / "masks/scene.tif", burnt(on_ground(RINGS), [1, 2, 1, 2]))
    declare(tmp_path, "[raster]\nwindow = 60\nblock = 60")
    data = open_dataset(tmp_path)
    for pair in data.split("train"):
        sample = data.read(pair)
        known = np.arange(sample.mask.shape[1]) < 20
        mean = sample.image[:, known].mean((0, 1))
        assert np.allclose(sample.image[:, ~known], mean, rtol=1e-5)
        assert (sample.mask[:, ~known] == 255).all()


def test_masks_of_0_and_255_beside_no_data_are_background_and_foreground(tmp_path):
    image = noise(3, "uint8")
    image[:, :60] = 0
    write_raster(tmp_path / "images/scene.tif", image, nodata=0)
    write_raster(tmp_path / "masks/scene.tif", 255 * burnt(on_ground(RINGS), [1, 1, 1, 1]))
    data = open_dataset(declare(tmp_path))
    assert len(data.classes) == 2 and (_all_counts(data) > 0).all()


def test_pictures_stay_whole_unless_they_must_be_cut(tmp_path):
    for name in ("a", "b"):
        scene(tmp_path, name, seed=ord(name))
    data = open_dataset(tmp_path)
    assert all(pair.window is None for pairs in data.splits.values() for pair in pairs)
    write_raster(tmp_path / "masks/b.tif", np.ones((100, 120), np.uint8), transform=_double())
    declare(tmp_path, '[splits]\nval = 0.5\ngroup = "(?P<group>.)"')
    data = open_dataset(tmp_path)
    assert all(pair.window for pairs in data.splits.values() for pair in pairs)


def _double():
    import rasterio

    return rasterio.Affine(*PLACE) @ rasterio.Affine.scale(2)


def test_the_same_windows_have_the_same_fingerprint_and_others_have_not(tmp_path):
    prints = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        declare(scene(tmp_path / folder, seed=seed))
        prints.append(open_dataset(tmp_path / folder).fingerprint()["sha256"])
    assert prints[0] == prints[1] != prints[2]


def test_no_data_of_some_windows_is_no_label_and_no_colour(tmp_path):
    scene(tmp_path)
    image = noise()
    image[:, :20, :20] = 7
    write_raster(tmp_path / "images/scene.tif", image, nodata=7)
    for window in (48, 100):  # in 1 of 20 windows, and in 1 of 6
        examined = examine(declare(tmp_path, f"[raster]\nwindow = {window}"))
        assert {finding.code for finding in examined.findings} <= {"C503"}
        assert examined.data
        assert not any(str(TRANSPARENT) in note for note in examined.data.notes)


def test_the_doctor_finds_nothing_wrong_with_windows_and_tells_a_broken_raster_once(tmp_path):
    diagnosis = examine(declare(scene(tmp_path)))
    assert {finding.code for finding in diagnosis.findings} <= {"C503"}  # a class is not in val
    path = tmp_path / "images/scene.tif"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    found = [f for f in examine(tmp_path).findings if f.where == "images/scene.tif"]
    assert [f.severity for f in found] == ["error"]


def test_a_label_outside_is_told_once_with_its_place_in_the_raster(tmp_path):
    declare(scene(tmp_path), 'classes = ["ground", "one", "two"]\n[raster]\nwindow = 48')
    labels = burnt(on_ground(RINGS), [1, 2, 1, 2])
    labels[150:160, 200:215] = 9
    labels[20:30, 100:215] = 9
    write_raster(tmp_path / "masks/scene.tif", labels)
    (found,) = [f for f in examine(tmp_path).errors if f.code == "M403"]
    assert found.where == "masks/scene.tif" and found.pixel and labels[found.pixel] == 9


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_exported_windows_are_pictures_with_the_same_masks(tmp_path, bands):
    write_raster(tmp_path / "data/images/scene.tif", noise(bands, "uint16"))
    write_raster(tmp_path / "data/masks/scene.tif", burnt(on_ground(RINGS), [1, 2, 1, 2]))
    data = open_dataset(declare(tmp_path / "data", "classes = 3\n[raster]\nwindow = 48"))
    export_data(data, "folder", tmp_path / "out")
    out = open_dataset(tmp_path / "out")
    for split, pairs in data.splits.items():
        written = {pair.name: pair for pair in out.split(split)}
        assert len(pairs) == len(written)
        for one in pairs:
            other = written[one.name]
            a, b = data.read(one), out.read(other)
            assert (a.image == b.image).all() and (a.mask == b.mask).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[raster]\nwindows = 64", ["'windows'", "did you mean 'window'"]),
        ("[raster]\nwindow = 8", ["window = 8", "16 or more"]),
        ("[raster]\nwindow = 64\nblock = 32", ["block = 32", "windows of 64"]),
        ("[raster]\nwindow = 64\nblock = 64\ngap = 40", ["gap of 40", "blocks of 64"]),
        ("[raster]\nattribute = 3", ["attribute = 3"]),
        ("[raster]\nwindow = 512", ["1 block of a raster", "block"]),
    ],
)
def test_what_cannot_be_cut_is_told(tmp_path, text, said):
    with pytest.raises(DataError) as error:
        open_dataset(declare(scene(tmp_path), text))
    for words in said:
        assert words in str(error.value)


def test_rasters_on_many_scenes_share_their_classes(tmp_path):
    for number in range(3):
        rings = on_ground(RINGS[number : number + 2])
        names = [{"class": name} for name in ("tree", "house")]
        write_raster(tmp_path / f"images/{number}.tif", noise(seed=number))
        write_geojson(tmp_path / f"masks/{number}.geojson", rings, names, "EPSG:32633")
    data = open_dataset(declare(tmp_path))
    assert data.classes.names == ("background", "house", "tree")
