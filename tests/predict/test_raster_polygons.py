"""Polygons of rasters: laid down again they are the mask, whatever the regions were."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from atrous.classes import Classes
from atrous.kernels.regions import regions
from atrous.predict.raster import Asked, plan
from predict.rasters import scene, write_exact, write_geotiff
from predict.test_raster import predicted, read
from tiny_models import contents

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
pyogrio = pytest.importorskip("pyogrio", reason="the extra geo is not installed")
shapely = pytest.importorskip("shapely", reason="the extra geo is not installed")
KEYS = ("class", "index", "pixels", "area", "confidence")


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return write_exact(tmp_path_factory.mktemp("models") / "exact.onnx")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    picture = scene(640, 1100)
    picture[100:240, 480:700] = picture[500:503] = picture[300::41, 8::37] = 0
    return write_geotiff(tmp_path_factory.mktemp("rasters") / "a.tif", picture, nodata=0)


def read_geopackage(path: Path):
    facts, _, outlines, columns = pyogrio.raw.read(path)
    order = [facts["fields"].tolist().index(key) for key in KEYS]
    rows = [*zip(*(columns[i].tolist() for i in order), strict=True)]
    return facts["crs"], shapely.from_wkb(outlines), rows


def laid_down(outlines, values, like: Path, band: int = 0) -> np.ndarray:
    from rasterio.features import rasterize

    mask, profile = read(like)
    where = {"out_shape": mask[band].shape, "transform": profile["transform"]}
    return rasterize(zip(outlines, values, strict=True), fill=255, dtype="uint8", **where)


@pytest.mark.parametrize("side", [512, 2048])
def test_laid_down_again_they_are_the_mask(side, exact, source, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "LARGEST", 2 * side)
    asked = Asked(confidence=True, polygons="gpkg")
    _, targets, predictor = predicted(exact, source, tmp_path / "out", asked)
    assert targets.polygons and targets.confidence
    crs, outlines, rows = read_geopackage(targets.polygons)
    mask, sure = read(targets.mask)[0][0], read(targets.confidence)[0][0]
    assert np.array_equal(laid_down(outlines, [row[1] for row in rows], targets.mask), mask)
    assert crs == "EPSG:32633" and shapely.is_valid(outlines).all()

    labels, first = regions(mask)
    pixels = np.bincount(labels.ravel())
    mean = np.bincount(labels.ravel(), sure.ravel()) / pixels / 255
    names = predictor.classes.names
    expected = Counter(
        (names[mask.flat[at]], int(mask.flat[at]), int(n), n * 4.25, round(float(share), 9))
        for at, n, share in zip(first, pixels, mean, strict=True)
        if mask.flat[at] != 255
    )
    assert Counter((*row[:4], round(row[4], 9)) for row in rows) == expected
    assert np.allclose(shapely.area(outlines), [row[3] for row in rows])


def test_a_ring_through_all_regions_is_one_polygon_without_seams(exact, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "LARGEST", 1024)
    picture = np.zeros((1600, 1600, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
    picture[200:1400, 200:1400] = [0, 200, 0]
    picture[400:1200, 400:1200] = [0, 0, 200]
    source = write_geotiff(
        tmp_path / "a.tif", picture, transform=rasterio.Affine(1, 0, 0, 0, -1, 0)
    )
    _, targets, _ = predicted(exact, source, tmp_path / "out", Asked(polygons="gpkg"))
    assert targets.polygons
    _, outlines, rows = read_geopackage(targets.polygons)
    counts = np.bincount(read(targets.mask)[0].ravel()).tolist()
    names = ("red", "green", "blue")
    assert sorted(row[1:3] for row in rows) == [*enumerate(counts)]
    assert all(row[0] == names[row[1]] for row in rows)
    assert shapely.get_num_coordinates(outlines).max() <= 40  # two rings, whose corners are cut


def test_a_file_of_polygons_has_the_same_bytes_every_time(exact, source, tmp_path):
    for kind in ("gpkg", "geojson"):
        for out in ("one", "two"):
            predicted(exact, source, tmp_path / kind / out, Asked(polygons=kind))
        assert contents(tmp_path / kind / "one") == contents(tmp_path / kind / "two")


def test_geojson_is_in_degrees(exact, source, tmp_path):
    from rasterio.warp import transform_geom

    for kind in ("gpkg", "geojson"):
        predicted(exact, source, tmp_path / kind, Asked(polygons=kind))
    told = json.loads((tmp_path / "geojson/scene.geojson").read_text())["features"]
    _, outlines, rows = read_geopackage(tmp_path / "gpkg/scene.gpkg")
    assert [tuple(f["properties"][key] for key in KEYS[:3]) for f in told] == [r[:3] for r in rows]
    for feature, outline in [*zip(told, outlines, strict=True)][:50]:
        back = transform_geom("EPSG:4326", "EPSG:32633", feature["geometry"])
        ours = shapely.geometry.shape(back)
        assert ours.symmetric_difference(outline).area < 1e-3 * outline.area


def test_simplified_outlines_stay_within_the_tolerance(exact, source, tmp_path):
    for tolerance in (0.0, 2.0):
        asked = Asked(polygons="gpkg", simplify=tolerance)
        predicted(exact, source, tmp_path / str(tolerance), asked)
    _, fine, rows = read_geopackage(tmp_path / "0.0/scene.gpkg")
    _, coarse, same = read_geopackage(tmp_path / "2.0/scene.gpkg")
    assert rows == same and shapely.get_num_coordinates(coarse).sum() < (
        shapely.get_num_coordinates(fine).sum()
    )
    pixel = 4.25**0.5
    distance = shapely.hausdorff_distance(shapely.boundary(fine), shapely.boundary(coarse))
    assert distance.max() <= 2.0 * pixel + 1e-6


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_other_tasks_have_polygons_of_what_is_there(task, source, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "LARGEST", 1024)
    classes = Classes(("ground", "water") if task == "binary" else ("a", "b", "c"), task=task)
    weights = np.eye(3)[: classes.num_logits] - 0.4
    model = write_exact(tmp_path / "m.onnx", classes=classes, weights=weights)
    _, targets, _ = predicted(model, source, tmp_path / "out", Asked(polygons="gpkg"))
    assert targets.polygons
    _, outlines, rows = read_geopackage(targets.polygons)
    mask = read(targets.mask)[0]
    for k in range(3) if task == "multilabel" else (1,):
        of_class = [o for o, row in zip(outlines, rows, strict=True) if row[1] == k]
        there = laid_down(of_class, [1] * len(of_class), targets.mask)
        assert np.array_equal(there == 1, mask[k if task == "multilabel" else 0] == 1)
    assert {row[1] for row in rows} == ({0, 1, 2} if task == "multilabel" else {1})


def test_a_raster_without_data_has_no_polygons(exact, tmp_path):
    source = write_geotiff(tmp_path / "a.tif", np.zeros((99, 99, 3), np.uint8), nodata=0)
    for kind in ("gpkg", "geojson"):
        _, targets, _ = predicted(exact, source, tmp_path / kind, Asked(polygons=kind))
        assert targets.polygons and len(pyogrio.raw.read(targets.polygons)[2]) == 0
