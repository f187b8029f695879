"""The embedded set: scenes are a function of (seed, index), and a set is written whole."""

import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atrous.data import scenes
from atrous.data.scenes import COLOURS, NAMES, SIZE, scene, write_scenes
from atrous.data.scenes.camera import Camera, surface
from atrous.data.scenes.lens import reduce_image, reduce_mask
from atrous.data.scenes.noise import crop, tile
from atrous.errors import DataError

FEW = range(10)


@cache
def made(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    return scene(seed, index)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("demo") / "deep" / "set", train=3, val=2, seed=4)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_a_scene_is_the_same_whatever_was_made_before_it():
    later = made(0, 3)
    scene(7, 1)
    again = scene(0, 3)
    assert np.array_equal(later[0], again[0]) and np.array_equal(later[1], again[1])


def test_seed_and_index_both_change_the_scene():
    assert not np.array_equal(made(0, 3)[0], made(1, 3)[0])
    assert not np.array_equal(made(0, 3)[0], made(0, 4)[0])
    assert not np.array_equal(made(0, 1)[0], made(1, 0)[0])


def test_the_global_generator_is_neither_read_nor_moved():
    np.random.seed(1)
    before = np.random.random()
    np.random.seed(1)
    first = scene(0, 0)[0]
    assert np.random.random() == before
    assert np.array_equal(first, made(0, 0)[0])


@pytest.mark.parametrize("index", FEW)
def test_picture_and_mask_agree_in_size_and_hold_bytes(index: int):
    image, mask = made(0, index)
    assert image.shape == (*SIZE, 3) and mask.shape == SIZE
    assert image.dtype == mask.dtype == np.uint8


@pytest.mark.parametrize("index", FEW)
def test_masks_hold_classes_and_a_little_void(index: int):
    mask = made(0, index)[1]
    assert set(np.unique(mask)) <= {*range(len(NAMES)), 255}
    assert (mask == 255).mean() < 0.15


@pytest.mark.parametrize("index", FEW)
def test_pictures_use_the_range_of_a_camera(index: int):
    dark, bright = np.percentile(made(0, index)[0], [2, 98])
    assert dark < 90 and bright > 110 and bright - dark > 80


def test_every_class_occurs_and_most_in_most_scenes():
    seen = np.array([np.bincount(made(0, i)[1].ravel(), minlength=256)[:8] > 20 for i in FEW])
    assert seen.any(0).all()
    assert (seen.mean(0) >= 0.6).all(), dict(zip(NAMES, seen.mean(0), strict=True))


def test_the_picture_has_an_edge_where_the_mask_ends_the_sky():
    steps, flats = [], []
    for index in FEW:
        image, mask = made(0, index)
        grey = image.astype(float).mean(2)
        step = np.abs(grey[3:] - grey[:-3])
        border = (mask[:-3] == 0) & np.isin(mask[3:], (1, 4))
        inside = (mask[:-3] == 0) & (mask[3:] == 0)
        steps.append(step[border].mean())
        flats.append(step[inside].mean())
    assert np.mean(steps) > 3 * np.mean(flats)


def test_a_reduced_mask_holds_no_label_that_its_block_lacks():
    mask = np.random.Generator(np.random.Philox(5)).integers(0, 8, (40, 60), np.uint8)
    small = reduce_mask(mask)
    blocks = np.stack([mask[y::2, x::2] for y in (0, 1) for x in (0, 1)])
    votes = (blocks == small).sum(0)
    assert (votes >= 1).all()
    assert all((votes >= (blocks == label).sum(0)).all() for label in range(8))


def test_a_reduced_picture_keeps_its_mean():
    image = np.random.Generator(np.random.Philox(6)).random((3, 40, 60), np.float32)
    assert reduce_image(image).mean() == pytest.approx(image.mean(), abs=1e-6)


def test_a_surface_is_seen_where_its_points_are_projected():
    camera = Camera(rows=480, cols=640, focal=520, centre=310, horizon=230, height=1.6)
    origin, u, v = np.array([[-2.0, 0.5, 6.0], [3.0, 0.0, 4.0], [0.0, 2.0, 0.0]])
    patch = surface(camera, origin, u, v)
    assert patch is not None
    points = origin + patch.a[:, None] * u + patch.b[:, None] * v
    row, col = np.divmod(patch.pixels, camera.cols)
    assert np.allclose(camera.project(points), np.stack((col, row), 1), atol=0.01)
    assert np.allclose(points[:, 2], patch.depth, atol=1e-4)


def test_noise_is_periodic_and_within_0_and_1():
    lumps = tile(16, 3)
    assert lumps.min() >= 0 and lumps.max() <= 1
    wrapped = crop(40, 600, cells=16, octaves=3, grain=500 + 512 * 300)
    assert np.array_equal(
        wrapped, np.roll(lumps, (-500, -300), (0, 1))[:40][:, np.arange(600) % 512]
    )


def test_names_and_colours_go_together():
    assert len(NAMES) == len(COLOURS) == len(set(NAMES)) == len(set(COLOURS)) == 8
    assert scenes.__all__ == ["COLOURS", "NAMES", "SIZE", "scene", "write_scenes"]


def test_a_set_holds_what_was_asked_for_and_nothing_else(folder: Path):
    files = sorted(str(p.relative_to(folder).as_posix()) for p in folder.rglob("*") if p.is_file())
    expected = ["dataset.toml"]
    for split, count in (("train", 3), ("val", 2)):
        for kind in ("images", "masks"):
            expected += [f"{split}/{kind}/{i:04}.png" for i in range(count)]
    assert files == sorted(expected)
    assert [p.name for p in folder.parent.iterdir()] == ["set"]


def test_files_hold_the_scenes(folder: Path):
    image, mask = scene(4, 1)
    assert np.array_equal(read(folder / "train/images/0001.png"), image)
    assert np.array_equal(read(folder / "train/masks/0001.png"), mask)


def test_masks_are_palette_pictures_in_the_colours_of_the_classes(folder: Path):
    with Image.open(folder / "val/masks/0000.png") as picture:
        assert picture.mode == "P"
        palette = picture.getpalette() or []
    assert [tuple(palette[i * 3 : i * 3 + 3]) for i in range(8)] == list(COLOURS)


def test_train_and_val_share_no_picture(folder: Path):
    train = {read(p).tobytes() for p in (folder / "train/images").iterdir()}
    val = {read(p).tobytes() for p in (folder / "val/images").iterdir()}
    assert len(train) == 3 and len(val) == 2 and not train & val


def test_the_description_names_classes_colours_and_void(folder: Path):
    told = tomllib.loads((folder / "dataset.toml").read_text(encoding="utf-8"))
    assert told["classes"] == list(NAMES)
    assert told["colours"] == ["#" + bytes(colour).hex() for colour in COLOURS]
    assert told["ignore_index"] == 255


def test_a_finished_set_stays_as_it_is(folder: Path):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert write_scenes(folder, train=1, val=1, seed=9) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from atrous.data.scenes import folder as module

    calls = []

    def stop_at_the_second(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        calls.append(index)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8)

    monkeypatch.setattr(module, "scene", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path / "set", train=3, val=1)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_another_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    assert (write_scenes(tmp_path / "empty", train=0, val=0) / "dataset.toml").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    with pytest.raises(DataError, match="mine"):
        write_scenes(tmp_path / "mine", train=1, val=1)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "keep me"
