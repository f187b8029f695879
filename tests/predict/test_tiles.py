"""Tiles give the logits of the whole picture, by every engine; where they cannot, they say so."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.errors import RecipeError
from atrous.predict.engines.torch import TorchEngine
from atrous.predict.tiles import Cut, cut_for, scene_of, shared
from atrous.predict.tiles.cuts import DEAR, lattice, windows
from atrous.types import Grid, Spread, Tiling
from few_maps import few_maps

MODELS: dict[str, dict[str, Any]] = {
    "fcn_basic": {},
    "deeplab_basic": {},
    "fcn32s": {"upsampling": "learned"},
    "fcn16s": {"encoder": "resnet18"},
    "fcn8s": {},
    "fcn_dilated": {"encoder": "mobilenetv2_050"},
    "deeplabv1": {},
    "deeplabv2": {"encoder": "vgg16"},
    "deeplabv3": {"encoder": "mobilenetv2_050"},
    "deeplabv3plus": {"encoder": "resnet18"},
}


@cache
def engine_of(name: str, **options: Any) -> TorchEngine:
    """One whose weights hide nothing of what is read."""
    model = few_maps(name, num_classes=3, **{**MODELS[name], **options})
    return TorchEngine(model, threads=1)


def picture(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def in_tiles(engine: Any, image: np.ndarray, cut: Cut, **options: Any) -> Any:
    scene = scene_of(engine, image.shape[:2], image.__getitem__, cut, num_logits=3, **options)
    return scene.with_means()


def off(logits: np.ndarray, whole: np.ndarray) -> float:
    """The largest difference, in units of the largest logit."""
    assert logits.shape == whole.shape
    return float(np.abs(logits - whole).max() / np.abs(whole).max())


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=3)
@given(st.data())
def test_exact_tiles_are_the_whole_picture(name, data):
    engine = engine_of(name)
    unit, halo = engine.tiling.alignment, engine.tiling.halo
    long, short = data.draw(st.integers(1, 2 * halo + 300)), data.draw(st.integers(1, 2 * unit + 9))
    size = (long, short) if data.draw(st.booleans()) else (short, long)
    image, side = picture(*size), data.draw(st.integers(1, 2 + halo // unit)) * unit
    assert not engine.tiling.inexact
    made = in_tiles(engine, image, Cut("exact", side, halo)).cells()
    assert off(made, engine(image[None])[0]) <= 1e-5


@pytest.mark.parametrize("name", ["fcn_basic", "fcn8s"])
def test_a_halo_that_is_one_step_smaller_is_too_small(name):
    engine = engine_of(name)
    unit, halo = engine.tiling.alignment, engine.tiling.halo
    image = picture(2 * halo + 4 * unit, 40)
    whole = engine(image[None])[0]
    assert off(in_tiles(engine, image, Cut("exact", unit, halo)).cells(), whole) <= 5e-6
    assert off(in_tiles(engine, image, Cut("exact", unit, halo - unit)).cells(), whole) > 5e-5


@pytest.mark.parametrize("name", ["fcn8s", "deeplabv3plus"])
@pytest.mark.parametrize("mode", ["exact", "blend"])
def test_a_part_of_a_scene_has_the_cells_of_the_whole(name, mode):
    engine = engine_of(name)
    unit = engine.tiling.alignment
    image = picture(11 * unit + 5, 9 * unit + 1)
    cut = Cut(mode, 4 * unit, engine.tiling.halo if mode == "exact" else 0)
    scene = in_tiles(engine, image, cut)
    whole, cells = scene.cells(), unit // scene.grid.stride
    part = scene.cells((slice(3 * unit, 7 * unit), slice(5 * unit, None)))
    assert np.allclose(part, whole[:, 3 * cells : 7 * cells, 5 * cells :], atol=1e-6)


def test_the_mean_that_image_pooling_sees_is_that_of_the_padded_picture():
    engine = engine_of("deeplabv3plus")
    image = picture(150, 70)
    with torch.inference_mode():
        pictures = engine.model.pictures(torch.from_numpy(image[None]))
        mean = engine.model.encoder(pictures)[-1].double().mean((2, 3))[0].numpy()
    scene = in_tiles(engine, image, Cut("exact", 32, engine.tiling.halo))
    np.testing.assert_allclose(scene.means[0], mean, rtol=1e-5)


def test_gates_of_every_layer_are_exact_too_in_a_pass_each():
    engine = engine_of("deeplabv3plus", encoder="mobilenetv3_small_050")
    assert engine.tiling.means > 5
    image = picture(220, 90)
    made = in_tiles(engine, image, Cut("exact", 64, engine.tiling.halo)).cells()
    assert off(made, engine(image[None])[0]) <= 1e-5
    cut = cut_for(engine, (2000, 2000), tile="exact", memory=2048)
    assert f"in {engine.tiling.means + 1} passes" in str(cut)
    assert cut_for(engine, (9000, 9000), memory=2048).mode == "blend"


def test_what_is_not_known_is_not_worked_at_and_does_not_count():
    """A picture whose lower part is unknown has the means, and the logits, of its upper part."""
    engine = engine_of("deeplabv3plus")
    unit, halo = engine.tiling.alignment, engine.tiling.halo
    image, asked = picture(20 * unit, 3 * unit), []

    def read(region):
        asked.append(region[0])
        return image[region]

    def known(region):
        rows = np.arange(region[0].start, region[0].stop) < 4 * unit
        return np.broadcast_to(rows[:, None], (len(rows), region[1].stop - region[1].start))

    cut = Cut("exact", 4 * unit, halo)
    scene = scene_of(engine, image.shape[:2], read, cut, num_logits=3, known=known).with_means()
    cells = scene.cells()
    assert {rows.start for rows in asked} == {0} and not cells[:, 4 * unit // 4 :].any()
    with torch.inference_mode():
        pictures = engine.model.pictures(torch.from_numpy(image[None]))
        features = engine.model.encoder(pictures)[-1][:, :, :4]
    np.testing.assert_allclose(scene.means[0], features.mean((0, 2, 3)).numpy(), rtol=1e-5)


def test_blended_tiles_of_a_model_that_sees_one_cell_are_the_whole_picture():
    class Cells:
        grid, bands, dtype, lanes, tiling = Grid(4), 3, "uint8", 1, Tiling(4)

        def __call__(self, images, means=()):
            b, h, w, _ = images.shape
            padded = np.pad(images, ((0, 0), (0, -h % 4), (0, -w % 4), (0, 0)))
            cells = padded.reshape(b, -(-h // 4), 4, -(-w // 4), 4, 3).mean((2, 4))
            return np.ascontiguousarray(cells.transpose(0, 3, 1, 2), np.float32)

    image, engine = picture(133, 90), Cells()
    made = in_tiles(engine, image, Cut("blend", 32)).cells()
    assert off(made, engine(image[None])[0]) <= 1e-6


def test_a_tile_that_two_parts_of_a_row_need_is_worked_at_once():
    class Counting(TorchEngine):
        asked = 0

        def __call__(self, images, means=None):
            self.asked += 1
            return super().__call__(images, means)

    engine = Counting(engine_of("fcn8s").model)
    scene = in_tiles(engine, picture(64, 600), Cut("blend", 128))
    engine.asked = 0
    spans = [slice(begin, begin + 96) for begin in range(0, 576, 96)] + [slice(576, None)]
    with ThreadPoolExecutor(2) as threads:
        parts = [*threads.map(lambda span: scene.cells((slice(None), span)), spans)]
    assert engine.asked == len(windows(600, 128, 32))
    assert np.array_equal(np.concatenate(parts, 2), scene.cells())


def test_tiles_that_are_shared_are_forgotten_oldest_first_and_failures_at_once(monkeypatch):
    monkeypatch.setattr(shared, "KEPT", 2 * 4 * 100)
    asked: list[int] = []

    def work(tile):
        asked.append(tile[0].start)
        if asked.count(9) == 1 and tile[0].start == 9:
            raise MemoryError
        return np.zeros((1, 10, 10), np.float32)

    answers = shared.Shared()
    for start in (1, 2, 1, 3, 2, 3, 1):
        answers((slice(start, None), slice(0, None)), work)
    assert asked == [1, 2, 3, 1]
    with pytest.raises(MemoryError):
        answers((slice(9, None), slice(0, None)), work)
    assert answers((slice(9, None), slice(0, None)), work).shape == (1, 10, 10)


def test_blended_tiles_are_near_the_whole_picture_and_nearer_than_bare_ones():
    engine = engine_of("deeplabv3plus", image_pooling=False)
    image = picture(64, 1500)
    whole = engine(image[None])[0]
    blended = in_tiles(engine, image, Cut("blend", 512)).cells()
    bare = in_tiles(engine, image, Cut("exact", 512, 0)).cells()
    assert 0 < np.abs(blended - whole).mean() < 0.7 * np.abs(bare - whole).mean()


@pytest.mark.parametrize("align_corners", [False, True])
def test_logits_that_are_spread_over_tiles_are_laid_on_a_grid(align_corners):
    """A ramp stays a ramp, whatever the rule by which tiles are stretched."""
    from atrous.kernels.resize import logits_at_pixels, positions

    class Ramp:
        grid, bands, dtype, lanes = Spread(align_corners), 1, "float32", 1
        tiling = Tiling(1, inexact="it is spread")

        def __call__(self, images, means=()):
            _, h, w, _ = images.shape
            cells = [max(2, side // 8) for side in (h, w)]
            rows = positions(np.arange(h), h, cells[0], self.grid)
            own = np.interp(np.arange(cells[0]), rows, images[0, :, 0, 0])
            return np.broadcast_to(own[None, None, :, None], (1, 1, *cells)).astype(np.float32)

    image = np.broadcast_to(np.arange(400.0)[:, None, None], (400, 64, 1)).astype(np.float32)
    ramp: Any = Ramp()
    scene = scene_of(ramp, (400, 64), image.__getitem__, Cut("blend", 64), num_logits=1)
    made = logits_at_pixels(scene.cells(), grid=scene.grid, size=(400, 64))
    assert np.abs(made[0, 16:-16, 0] - np.arange(16, 384)).max() <= 4


class Sized:
    """An engine of which only the numbers are asked."""

    grid, bands, dtype = Grid(4), 3, "uint8"

    def __init__(self, tiling: Tiling, lanes: int = 1) -> None:
        self.tiling, self.lanes = tiling, lanes


def sized(tiling: Tiling, lanes: int = 1) -> Any:
    return Sized(tiling, lanes)


@pytest.mark.parametrize("lanes", [1, 4])
def test_the_network_holds_what_memory_allows(lanes):
    cut = partial(cut_for, sized(Tiling(16, 64, room=100), lanes))
    assert cut((1000, 1000)).mode == "whole" == cut((30000, 30000), tile="off").mode
    for mode in ("exact", "blend"):
        made = cut((20000, 20000), tile=mode, memory=1000)
        whole = made.side + 2 * made.halo
        assert made.mode == mode and made.side % 16 == 0
        assert whole**2 * 100 * lanes <= 1000 << 20
    assert cut((20000, 20000), memory=1000).mode == "exact"


def test_a_picture_that_memory_holds_is_one_exact_tile_whatever_the_halo():
    engine = sized(Tiling(32, 736, means=1, room=500))
    for size in ((300, 300), (1, 1100), (40, 20000)):  # 1184 px a side are what memory holds
        cut = cut_for(engine, size, tile="exact", memory=700)
        assert cut.mode == "exact" and cut.side >= max(size) and cut.cost == 2
    assert cut_for(engine, (4000, 4000), tile="exact", memory=8000).cost == 2


def test_a_strip_is_cut_into_tiles_as_long_as_memory_allows():
    cut = cut_for(sized(Tiling(32, 736, room=500)), (100, 90000), tile="exact", memory=700)
    assert cut.cost < 1.2
    assert 128 * (cut.side + 2 * cut.halo) * 500 <= 700 << 20


def test_exact_tiles_that_are_dear_are_blended_unless_they_are_asked_for():
    engine = sized(Tiling(16, 1000, room=100))
    exact = cut_for(engine, (20000, 20000), tile="exact", memory=600)
    assert exact.cost > DEAR and f"{exact.cost:.1f} times" in str(exact)
    auto = cut_for(engine, (20000, 20000), memory=600)
    assert auto.mode == "blend" and f"exact ones: {exact.cost:.1f} times" in str(auto)


def test_other_views_of_a_scene_are_not_said_to_be_exact():
    from atrous.classes import Classes
    from atrous.predict.augmentation import Augmentation
    from atrous.predict.predictor import Predictor

    engine = sized(Tiling(16, 64, room=100))
    engine.threads = 1
    views = Augmentation(), Augmentation(flip=True), Augmentation(scales=(0.75, 1.0))
    one, flip, scales = (
        str(Predictor(engine, Classes(("a", "b")), augmentation=view).cut((9000, 9000)))
        for view in views
    )
    assert "of the whole" not in one
    assert "; views by flip are of tiles" in flip
    assert "; views by scales 0.75, 1 are of tiles" in scales


@pytest.mark.parametrize(
    ("tiling", "options", "found"),
    [
        (Tiling(), {"tile": "half"}, "tile: is 'half'"),
        (Tiling(), {"memory": -1}, "memory: is -1"),
        (Tiling(inexact="it is spread"), {"tile": "exact"}, "tile: is exact"),
        (Tiling(16, 1000, room=100), {"tile": "exact", "memory": 100}, "is enough for tiles of"),
        (Tiling(512, room=1000), {"tile": "blend", "memory": 100}, "is enough for tiles of"),
    ],
)
def test_what_cannot_be_followed_is_refused(tiling, options, found):
    with pytest.raises(RecipeError, match=found):
        cut_for(sized(tiling), (9000, 9000), **options)


@given(st.integers(1, 500), st.integers(1, 20), st.integers(1, 8), st.integers(0, 30))
def test_tiles_cover_everything(n, units, unit, halo):
    side = units * unit
    own = [tile.own for tile in lattice(n, side, halo)]
    assert [i for part in own for i in range(part.start, part.stop)] == list(range(n))
    overlapping = windows(n, 4 * side, unit)
    assert {i for part in overlapping for i in range(part.start, part.stop)} == set(range(n))
    assert all(part.start % unit == 0 for part in (*own, *overlapping))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A DeepLabV3+ as a run would export it, and its engine in torch."""
    from atrous.classes import Classes
    from atrous.export.facts import tiles_of
    from atrous.export.graph import graph_of
    from atrous.export.network import pooled_channels
    from atrous.exported import Manifest, write_exported
    from atrous.predict.engines.torch import statistics_of

    engine = engine_of("deeplabv3plus")
    model, path = engine.model, tmp_path_factory.mktemp("exported") / "model.onnx"
    manifest = Manifest(
        classes=Classes(("a", "b", "c")),
        dtype="uint8",
        bands=3,
        mean=statistics_of(model).mean,
        std=statistics_of(model).std,
        placement=model.grid,
        pooled=pooled_channels(model),
        **tiles_of(model)._asdict(),
    )
    write_exported(path, graph_of(model), manifest)
    return path


def for_a_strip(engine: Any, long: int, wide: int) -> int:
    """MiB that hold tiles of a strip that is so wide, of somewhat less than a length."""
    return (long * wide * engine.tiling.room) >> 20


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("lanes", [1, 2])
def test_exported_files_know_how_to_be_cut(name, lanes, exported, monkeypatch):
    from atrous.predict.predictor import load
    from atrous.predict.tiles import cuts

    pytest.importorskip(name)
    monkeypatch.setattr(cuts, "SMALL", 0)
    torchs, image = engine_of("deeplabv3plus"), picture(1300, 40)
    memory = lanes * for_a_strip(torchs, 1200, 48)
    off_, exact = (
        load(exported, engine=name, threads=2, lanes=lanes, tile=tile, memory=memory)
        for tile in ("off", "exact")
    )
    assert exact.engine.tiling == torchs.tiling
    whole, tiled = off_(image), exact(image)
    assert (whole.cut.mode, tiled.cut.mode) == ("whole", "exact")
    assert tiled.cut.side < 1300 and tiled.cut.cost > 1
    assert off(tiled.logits, torchs(image[None])[0]) <= 1e-4
    assert off(tiled.logits, whole.logits) <= 1e-4
    assert (tiled.mask == whole.mask).mean() >= 0.9999


def test_views_of_a_picture_in_tiles_are_those_of_the_whole(exported, monkeypatch):
    from atrous.predict.predictor import load
    from atrous.predict.tiles import cuts

    monkeypatch.setattr(cuts, "SMALL", 0)
    image = picture(1300, 40)
    views: dict[str, Any] = {"flip": True, "scales": (0.75, 1.0), "engine": "onnxruntime"}
    memory = for_a_strip(engine_of("deeplabv3plus"), 1160, 48)
    whole, tiled = (
        load(exported, tile=tile, memory=memory, lanes=1, **views)(image)
        for tile in ("off", "exact")
    )
    assert tiled.cut.cost > 2  # in two passes
    assert off(tiled.logits, whole.logits) <= 1e-4


def test_a_file_of_before_says_why_its_tiles_are_blended(exported, tmp_path):
    from dataclasses import replace

    from atrous.exported import read_exported, write_exported
    from atrous.predict.engines import open_engine

    old, path = read_exported(exported), tmp_path / "old.onnx"
    write_exported(path, old.content, replace(old.manifest, pooled_stride=0))
    engine = open_engine(path, engine="onnxruntime").engine
    assert "older atrous" in str(cut_for(engine, (9000, 9000), memory=1000))


@pytest.mark.parametrize("name", ["fcn8s", "fcn16s", "deeplabv3plus"])
@settings(max_examples=5)
@given(st.data())
def test_a_block_of_a_scene_is_that_part_of_the_whole_mask(name, data):
    from atrous.classes import Classes
    from atrous.predict.predictor import Predictor

    engine = engine_of(name)
    predictor = Predictor(engine, Classes(("a", "b", "c")), tile="exact", memory=3000)
    size = data.draw(st.integers(1, 150)), data.draw(st.integers(1, 150))
    image, unit = picture(*size), engine.tiling.alignment
    scene = predictor.scene(size, image.__getitem__)
    whole = predictor(image)
    rows, columns = (
        slice(
            start := data.draw(st.integers(0, (n - 1) // unit)) * unit,
            data.draw(st.integers(start + 1, n)),
        )
        for n in size
    )
    block = predictor.block(scene, (rows, columns))
    assert block.mask.shape == whole.mask[rows, columns].shape
    assert (block.mask == whole.mask[rows, columns]).mean() >= 0.999
    assert np.abs(block.confidence() - whole.confidence()[rows, columns]).max() <= 1e-4
