"""Masks of rasters: those of the picture in memory, on the same ground, from any stop on."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atrous.classes import Classes
from atrous.errors import AtrousError, ImageError, RecipeError, RunError
from atrous.predict.engines.torch import TorchEngine
from atrous.predict.predictor import Predictor, load
from atrous.predict.raster import Asked, Targets, plan, predict_raster
from few_maps import few_maps
from predict.rasters import scene, write_exact, write_geotiff
from tiny_models import contents

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
OPTIONS: dict[str, Any] = {"engine": "onnxruntime", "threads": 1}
PLAIN = Asked()
MEAN = np.array([90, 100, 110], np.uint8)
SIZE = (1300, 1150)  # 3 x 3 regions of 512


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return write_exact(tmp_path_factory.mktemp("models") / "exact.onnx")


@pytest.fixture
def small_regions(monkeypatch):
    monkeypatch.setattr(plan, "LARGEST", 1024)


@pytest.fixture(scope="module")
def picture():
    return scene(*SIZE)


def predicted(model, source, out: Path, asked: Asked = PLAIN, name="scene.tif", **options):
    out.mkdir(parents=True, exist_ok=True)
    confidence = out / "confidence.tif" if asked.confidence else None
    polygons = out / f"scene.{asked.polygons}" if asked.polygons else None
    targets = Targets(out / "scene.tif", confidence, polygons)
    predictor = load(model, **OPTIONS | options)
    about = {"model": predictor.digest}
    row = predict_raster(predictor, source, name, targets, asked, about=about, within=out)
    return row, targets, predictor


def read(path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as file:
            return file.read(), file.profile | {"tags": file.tags(), "band": file.tags(1)}


def test_the_mask_and_its_confidence_are_those_of_the_picture_in_memory(
    exact, picture, small_regions, tmp_path
):
    source = write_geotiff(tmp_path / "a.tif", picture)
    row, targets, predictor = predicted(exact, source, tmp_path / "out", Asked(confidence=True))
    whole = predictor(picture)
    mask, _ = read(targets.mask)
    assert np.array_equal(mask[0], whole.mask)
    assert targets.confidence and row
    sure, _ = read(targets.confidence)
    assert np.array_equal(sure[0], np.maximum(np.rint(whole.confidence() * 255), 1))
    assert row.pixels == mask.size
    assert row.shares == tuple(f"{share:.6f}" for share in whole.shares().values())
    assert {*contents(tmp_path / "out")} == {"scene.tif", "confidence.tif"}


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (513, 1)])
def test_rasters_of_a_pixel_or_a_row_and_without_a_place_have_masks(size, exact, tmp_path):
    image = scene(*size)
    nowhere = {"crs": None, "transform": rasterio.Affine.identity()}
    source = write_geotiff(tmp_path / "a.tif", image, **nowhere)
    row, targets, predictor = predicted(exact, source, tmp_path / "out")
    mask, facts = read(targets.mask)
    assert row and np.array_equal(mask[0], predictor(image).mask)
    assert facts["crs"] is None and facts["transform"].is_identity


def test_a_mask_lies_where_its_raster_lies_with_colours_and_names(exact, picture, tmp_path):
    source = write_geotiff(tmp_path / "a.tif", picture)
    _, targets, predictor = predicted(exact, source, tmp_path / "out")
    _, theirs = read(source)
    _, ours = read(targets.mask)
    assert ours["crs"] == theirs["crs"] and ours["transform"] == theirs["transform"]
    assert ours["tiled"] and (ours["blockxsize"], ours["blockysize"]) == (512, 512)
    assert ours["compress"] == "deflate" and ours["nodata"] == 255
    assert [ours["band"][f"CLASS_{i}"] for i in range(3)] == ["red", "green", "blue"]
    with rasterio.open(targets.mask) as file:
        colours = file.colormap(1)
        assert tuple(colours[i][:3] for i in range(3)) == predictor.classes.colours
    assert json.loads(ours["tags"]["ATROUS"])["model"] == predictor.digest


@pytest.mark.parametrize("name", ["sample_geotiff.tif", "sample_geotiff_custom_proj.tif"])
def test_real_scenes_keep_their_ground(name, exact, shared_data, tmp_path):
    source = shared_data / "solaris_geotiff/data" / name
    if name.endswith("proj.tif"):  # int16, which no model of 8 bits takes
        with pytest.raises(ImageError, match="float32"):
            predicted(exact, source, tmp_path / "out")
        return
    _, targets, predictor = predicted(exact, source, tmp_path / "out")
    with rasterio.open(source) as theirs, rasterio.open(targets.mask) as ours:
        assert (ours.crs, ours.transform, ours.bounds) == (
            theirs.crs,
            theirs.transform,
            theirs.bounds,
        )
        known = theirs.dataset_mask() > 0
        mask = ours.read(1)
    assert np.array_equal(mask != 255, known)
    if known.all():
        assert np.array_equal(mask, predictor(source).mask)


def test_points_of_the_ground_and_middles_of_pixels_stay(exact, picture, tmp_path):
    points = [
        rasterio.control.GroundControlPoint(row=r, col=c, x=r + 3.0, y=c + 5.0, z=1.0)
        for r, c in ((0, 0), (0, 99), (99, 0), (99, 99))
    ]
    with_points = write_geotiff(tmp_path / "a.tif", picture[:99, :99], gcps=points, transform=None)
    middles = write_geotiff(tmp_path / "b.tif", picture[:99, :99])
    with rasterio.open(middles, "r+") as file:
        file.update_tags(AREA_OR_POINT="Point")
    for source in (with_points, middles):
        _, targets, _ = predicted(exact, source, tmp_path / source.stem)
        with rasterio.open(source) as theirs, rasterio.open(targets.mask) as ours:
            assert theirs.transform == ours.transform
            assert theirs.tags()["AREA_OR_POINT"] == ours.tags()["AREA_OR_POINT"]
            assert [p.asdict() for p in theirs.gcps[0]] == [p.asdict() for p in ours.gcps[0]]
            assert theirs.gcps[1] == ours.gcps[1]


@pytest.mark.parametrize("name", ["a.png", "plain.tif", "strips.tif", "one.tif"])
def test_plain_pictures_go_the_same_way(name, exact, picture, small_regions, tmp_path):
    from PIL import Image

    source = tmp_path / name
    part = picture[:1, :1] if name == "one.tif" else picture
    if name == "strips.tif":
        write_geotiff(source, part, tiled=False, blockysize=5, blockxsize=None, compress="lzw")
    else:
        Image.fromarray(part).save(source)
    _, targets, predictor = predicted(exact, source, tmp_path / "out")
    assert np.array_equal(read(targets.mask)[0][0], predictor(part).mask)


def holes(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture with no data in regions, in parts of them and in single pixels; what is known."""
    known = np.ones(picture.shape[:2], bool)
    known[:512, 512:1024] = known[700:760] = known[::7, 1025::5] = False
    return picture * known[..., None], known


def test_no_data_is_never_labelled_and_the_rest_is_as_if_it_were_the_mean(
    exact, picture, small_regions, tmp_path, monkeypatch
):
    holed, known = holes(picture)
    source = write_geotiff(tmp_path / "a.tif", holed, nodata=0)
    row, targets, predictor = predicted(exact, source, tmp_path / "out", Asked(confidence=True))
    filled = np.where(known[..., None], holed, MEAN)
    assert targets.confidence and row
    mask, sure = read(targets.mask)[0][0], read(targets.confidence)[0][0]
    assert np.array_equal(mask == 255, ~known) and np.array_equal(sure == 0, ~known)
    assert np.array_equal(mask[known], predictor(filled).mask[known])
    assert row.pixels == known.sum()


def test_the_network_never_sees_regions_without_data(exact, picture, small_regions, tmp_path):
    from atrous.predict.engines import ExportedEngine

    source = write_geotiff(tmp_path / "a.tif", np.zeros_like(picture), nodata=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExportedEngine, "__call__", lambda *_: pytest.fail("it was asked"))
        row, targets, _ = predicted(exact, source, tmp_path / "out")
    assert (read(targets.mask)[0] == 255).all() and row and row.pixels == 0


def test_the_network_is_shown_little_more_than_the_blocks_with_data(exact, tmp_path, monkeypatch):
    from atrous.predict.engines import ExportedEngine

    shown, answer = [], ExportedEngine.__call__
    monkeypatch.setattr(
        ExportedEngine, "__call__", lambda *a: (shown.append(a[1][0]), answer(*a))[1]
    )
    picture = np.zeros((2048, 2048, 3), np.uint8)
    parts = [np.s_[:512, :1024], np.s_[512:1024, :512], np.s_[1536:, 1000:1030]]
    for part in parts:
        picture[part] = 7
    source = write_geotiff(tmp_path / "a.tif", picture, nodata=0)
    predicted(exact, source, tmp_path / "out")
    assert sum(image.shape[0] * image.shape[1] for image in shown) < 1.05 * 5 * 512**2


def test_a_sparse_mask_takes_no_room_where_nothing_is_known(exact, tmp_path):
    facts: dict[str, Any] = {
        "driver": "GTiff",
        "height": 20_000,
        "width": 20_000,
        "count": 3,
        "dtype": "uint8",
    }
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(2, 0, 9, 0, -2, 9)}
    given: dict[str, Any] = facts | tiles | place
    with rasterio.open(tmp_path / "a.tif", "w", **given) as out:
        out.write(scene(600, 600).transpose(2, 0, 1), window=((9000, 9600), (400, 1000)))
    row, targets, _ = predicted(exact, tmp_path / "a.tif", tmp_path / "out")
    assert targets.mask.stat().st_size < 200_000 and row
    # What was written is blocks of 512, and zeros fill them up.
    assert row.pixels == (9728 - 8704) * 1024


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_other_tasks(task, picture, small_regions, tmp_path):
    classes = Classes(("ground", "water") if task == "binary" else ("a", "b", "c"), task=task)
    weights = np.eye(3)[: classes.num_logits] - 0.4
    model = write_exact(tmp_path / "m.onnx", classes=classes, weights=weights)
    holed, known = holes(picture)
    source = write_geotiff(tmp_path / "a.tif", holed, nodata=0)
    _, targets, predictor = predicted(model, source, tmp_path / "out")
    filled = np.where(known[..., None], holed, MEAN)
    truth, (mask, profile) = predictor(filled).mask, read(targets.mask)
    assert profile["nodata"] == 255
    planes = [truth] if task == "binary" else [(truth >> k) & 1 for k in range(3)]
    assert np.array_equal(mask, np.where(known, planes, 255))


def test_overviews_on_request(exact, picture, tmp_path):
    source = write_geotiff(tmp_path / "a.tif", picture)
    for asked, expected in ((False, []), (True, [2, 4, 8])):
        out = tmp_path / str(asked)
        _, targets, _ = predicted(exact, source, out, Asked(overviews=asked))
        with rasterio.open(targets.mask) as file:
            assert file.overviews(1) == expected


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_pixels_of_another_type_are_refused_or_fitted_before_any_work(
    dtype, exact, picture, tmp_path
):
    source = write_geotiff(tmp_path / "a.tif", picture.astype(dtype) * 257)
    if dtype == "uint16":
        _, targets, predictor = predicted(exact, source, tmp_path / "out")
        assert np.array_equal(read(targets.mask)[0][0], predictor(picture).mask)
        return
    with pytest.raises(ImageError, match="float32"):
        predicted(exact, source, tmp_path / "out")


def test_a_raster_that_is_cut_short_leaves_no_mask(exact, picture, small_regions, tmp_path):
    source = write_geotiff(tmp_path / "a.tif", picture)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ImageError) as error:
        predicted(exact, source, tmp_path / "out")
    assert str(source) in str(error.value)
    assert not (tmp_path / "out/scene.tif").exists()


def test_parts_of_another_way_are_not_gone_on_with(exact, picture, small_regions, tmp_path):
    source = write_geotiff(tmp_path / "a.tif", picture)
    asked = Asked(shard=(1, 2))
    assert predicted(exact, source, tmp_path / "out", asked)[0] is None
    with pytest.raises(RunError, match="confidence"):
        predicted(exact, source, tmp_path / "out", Asked(confidence=True))
    write_geotiff(source, scene(*SIZE, seed=1))
    with pytest.raises(RunError, match="fingerprint"):
        predicted(exact, source, tmp_path / "out")


def test_steps_after_the_network_are_refused(exact, picture, tmp_path):
    source = write_geotiff(tmp_path / "a.tif", picture)
    with pytest.raises(RecipeError, match="postprocess"):
        predicted(exact, source, tmp_path / "out", postprocess=[{"step": "holes"}])


def test_shards_in_any_order_make_the_file_of_one_run(exact, picture, small_regions, tmp_path):
    source = write_geotiff(tmp_path / "a.tif", holes(picture)[0], nodata=0)
    asked = Asked(confidence=True, overviews=True)
    predicted(exact, source, tmp_path / "one", asked)
    rows = [
        predicted(exact, source, tmp_path / "many", asked._replace(shard=(i, 4)))[0]
        for i in (3, 1, 4, 2)  # of three rows of regions
    ]
    assert rows[:3] == [None] * 3 and rows[3] is not None
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_it_is_said_how_a_raster_is_cut(exact, picture, tmp_path):
    source, lines = write_geotiff(tmp_path / "a.tif", picture), []
    targets = Targets(tmp_path / "scene.tif")
    predictor = load(exact, **OPTIONS, tile="blend")
    predict_raster(
        predictor, source, "a.tif", targets, PLAIN, about={}, within=tmp_path, tell=lines.append
    )
    assert lines[0].startswith("a.tif: Tiles: blended, of 2048 px")
    assert lines[0].endswith(
        "Expect another class than the whole picture's at about 6 % of pixels."
    )


def test_means_over_a_raster_are_found_once_for_all_shards(picture, small_regions, tmp_path):
    class Counting(TorchEngine):
        asked = 0

        def next_mean(self, image, own, known):
            self.asked += 1
            return super().next_mean(image, own, known)

    source = write_geotiff(tmp_path / "a.tif", picture[:600, :700])
    engine = Counting(few_maps("deeplabv3plus", num_classes=3))
    predictor = Predictor(engine, Classes(("red", "green", "blue")), tile="exact")
    for name, shards in (("straight", ((1, 1),)), ("shared", ((1, 2), (2, 2)))):
        engine.asked = 0
        (tmp_path / name).mkdir()
        targets = Targets(tmp_path / name / "scene.tif")
        for shard in shards:
            asked = Asked(shard=shard)
            predict_raster(
                predictor, source, "a.tif", targets, asked, about={}, within=tmp_path / name
            )
        assert engine.asked == 1
    assert contents(tmp_path / "shared") == contents(tmp_path / "straight")


def test_what_is_finished_is_not_done_again(exact, picture, tmp_path):
    source = write_geotiff(tmp_path / "a.tif", picture)
    first, targets, _ = predicted(exact, source, tmp_path / "out")
    before = targets.mask.stat().st_mtime_ns
    assert predicted(exact, source, tmp_path / "out")[0] == first
    assert targets.mask.stat().st_mtime_ns == before
    targets.mask.write_bytes(targets.mask.read_bytes()[:1000])
    assert predicted(exact, source, tmp_path / "out")[0] == first
    assert read(targets.mask)[0].any()


def test_what_cannot_be_opened_says_so(exact, tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(40))
    with pytest.raises(AtrousError) as error:
        predicted(exact, tmp_path / "a.tif", tmp_path / "out")
    assert "a.tif" in str(error.value)
