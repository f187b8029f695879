"""Labels of rasters: burnt and warped as rasterio itself does it, or refused with a reason."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from grounds import (
    DEGREES,
    PLACE,
    RINGS,
    SIZE,
    UTM,
    burnt,
    declare,
    noise,
    on_ground,
    write_geojson,
    write_gpkg,
    write_raster,
)

from atrous.data.dataset import open_dataset
from atrous.data.rasters import quiet
from atrous.data.windows import Box, Source, Window, labels_of
from atrous.errors import DataError

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
pytest.importorskip("pyogrio", reason="the extra geo is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*no geotransform:UserWarning")

LABELS = [{"class": 1}, {"class": 2}, {"class": 3}, {"class": 2}]


def labels(image: Path, file: Path, *, field: str = "class", side: int = 37, **more) -> np.ndarray:
    """The labels of a whole raster, read window by window."""
    with rasterio.open(image) as opened:
        height, width = opened.shape
    source, whole = Source(image, file, field, **more), np.empty((height, width), np.int32)
    for top in range(0, height, side):
        for left in range(0, width, side):
            box = Box(top, left, min(top + side, height), min(left + side, width))
            whole[box.rows, box.columns] = labels_of(Window(source, box, box))
    return whole


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "images/scene.tif", noise())


def test_polygons_of_windows_are_those_of_rasterio_burnt_at_once(tmp_path, image):
    expected = burnt(on_ground(RINGS), [1, 2, 3, 2])
    assert {*expected.flat} == {0, 1, 2, 3}
    rings = on_ground(RINGS)
    for file in (
        write_geojson(tmp_path / "a.geojson", rings, LABELS, "EPSG:32633"),
        write_gpkg(tmp_path / "a.gpkg", rings, LABELS),
    ):
        for side in (17, 64, 300):
            assert (labels(image, file, side=side) == expected).all()


def test_threads_burn_one_after_the_other(tmp_path, image):
    """Filters of warnings, which rasterio changes, belong to the process: the last one wins."""
    file = write_geojson(tmp_path / "a.geojson", on_ground(RINGS), LABELS, UTM)
    whole = Box(0, 0, *SIZE)
    with ThreadPoolExecutor(1) as other:
        with quiet():
            labels = other.submit(labels_of, Window(Source(image, file, "class"), whole, whole))
            assert not wait([labels], timeout=0.5).done
        assert {*labels.result().flat} == {0, 1, 2, 3}


def test_polygons_in_degrees_are_those_in_metres(tmp_path, image):
    expected = burnt(on_ground(RINGS), [1, 2, 3, 2])
    degrees = on_ground(RINGS, DEGREES)
    assert max(abs(x) + abs(y) for ring in degrees for x, y in ring) < 90
    for file in (
        write_geojson(tmp_path / "a.geojson", degrees, LABELS),
        write_gpkg(tmp_path / "a.gpkg", degrees, LABELS, DEGREES),
    ):
        assert (labels(image, file) == expected).all()


def test_the_later_polygon_lies_on_top_and_ignore_is_no_label(tmp_path, image):
    square = [(50.0, 50.0), (150.0, 50.0), (150.0, 150.0), (50.0, 150.0)]
    inner = [(80.0, 80.0), (120.0, 80.0), (120.0, 120.0), (80.0, 120.0)]
    rings, told = on_ground([square, inner]), [{"class": "house"}, {"class": "ignore"}]
    file = write_gpkg(tmp_path / "a.gpkg", rings, told)
    names = ("ground", "house")
    found = labels(image, file, names=names)
    assert (found[60, 50:80] == 1).all() and (found[80:120, 80:120] > 255).all()
    assert (found == 1).sum() == 100 * 100 - 40 * 40
    turned = write_gpkg(tmp_path / "b.gpkg", rings[::-1], told[::-1])
    assert (labels(image, turned, names=names) == 1).sum() == 100 * 100


def test_the_order_of_geojson_is_that_of_the_file_whatever_its_ids(tmp_path, image):
    square = [(50.0, 50.0), (150.0, 50.0), (150.0, 150.0), (50.0, 150.0)]
    inner = [(80.0, 80.0), (120.0, 80.0), (120.0, 120.0), (80.0, 120.0)]
    file = write_geojson(tmp_path / "a.geojson", on_ground([square, inner]), LABELS[:2], UTM)
    document = json.loads(file.read_text())
    for feature, number in zip(document["features"], (9, 3), strict=True):
        feature["id"] = number
    file.write_text(json.dumps(document))
    assert (labels(image, file)[80:120, 80:120] == 2).all()


def test_polygons_lie_right_on_a_raster_that_is_turned(tmp_path):
    turned = rasterio.Affine(2, 0.5, 500000, 0.5, -2, 5000000)
    image = write_raster(tmp_path / "images/a.tif", noise(), transform=turned)
    file = write_geojson(tmp_path / "a.geojson", on_ground(RINGS), LABELS, "EPSG:32633")
    from rasterio.features import rasterize

    shapes = [
        ({"type": "Polygon", "coordinates": [ring]}, told["class"])
        for ring, told in zip(on_ground(RINGS), LABELS, strict=True)
    ]
    expected = rasterize(shapes, out_shape=SIZE, transform=turned)
    assert expected is not None and expected.any()
    assert (labels(image, file) == expected).mean() > 0.9999  # an edge may meet a centre


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # of rasterio
@pytest.mark.parametrize("crs", [UTM, "EPSG:32632", DEGREES, "EPSG:3857"])
def test_labels_on_another_grid_are_those_under_the_centres_of_pixels(tmp_path, image, crs):
    from rasterio import warp

    values = burnt(on_ground(RINGS), [1, 2, 3, 2])
    here = {"src_crs": UTM, "src_transform": rasterio.Affine(*PLACE)}
    left, bottom, right, top = 499981.7, 4999580.2, 500503.1, 5000023.9
    transform, width, height = warp.calculate_default_transform(
        UTM, crs, SIZE[1], SIZE[0], left, bottom, right, top
    )
    there = np.zeros((height, width), np.uint8)
    to = {"dst_crs": crs, "dst_transform": transform, "resampling": warp.Resampling.nearest}
    warp.reproject(values, there, **here, **to)
    file = write_raster(tmp_path / "labels.tif", there, crs=crs, transform=transform)
    rows, columns = np.indices(SIZE).reshape(2, -1)
    x, y = PLACE[0] * (columns + 0.5) + PLACE[2], PLACE[4] * (rows + 0.5) + PLACE[5]
    x, y = map(np.array, warp.transform(UTM, crs, x, y))
    column, row = (x - transform.c) / transform.a, (y - transform.f) / transform.e
    expected = there[row.astype(int), column.astype(int)].reshape(SIZE)
    found = labels(image, file, field="")
    assert (found == expected).mean() > 0.9999  # a centre may lie on a border
    assert (found == values).mean() > 0.97


def test_labels_that_do_not_reach_are_unknown_there(tmp_path, image):
    half = burnt(on_ground(RINGS), [1, 2, 3, 2])[:, :120] + 1
    found = labels(image, write_raster(tmp_path / "labels.tif", half), field="")
    assert (found[:, :120] == half).all() and (found[:, 120:] > 255).all()


def test_labels_without_a_place_lie_pixel_by_pixel(tmp_path, image):
    values = burnt(on_ground(RINGS), [1, 2, 3, 2])
    file = write_raster(tmp_path / "labels.tif", values, crs=None)
    assert (labels(image, file, field="") == values).all()


def test_no_data_of_labels_is_unknown_unless_it_is_mapped(tmp_path, image):
    values = burnt(on_ground(RINGS), [1, 2, 3, 2])
    file = write_raster(tmp_path / "labels.tif", values, nodata=0)
    found = labels(image, file, field="")
    assert (found[values == 0] > 255).all() and (found == values)[values > 0].all()
    assert (labels(image, file, field="", kept=(0,)) == values).all()


def test_classes_are_the_texts_of_a_field(tmp_path, image):
    told = [{"kind": text} for text in ("tree", "house", "tree", "road")]
    write_gpkg(tmp_path / "masks/scene.gpkg", on_ground(RINGS), told)
    data = open_dataset(declare(tmp_path, '[raster]\nwindow = 48\nattribute = "kind"'))
    assert data.classes.names == ("background", "house", "road", "tree")
    expected = np.bincount(burnt(on_ground(RINGS), [3, 1, 3, 2]).flat)
    assert (data.counts["train"] <= expected).all() and data.counts["train"][3] > 100


def test_polygons_without_a_class_are_foreground(tmp_path, image):
    write_geojson(tmp_path / "masks/scene.geojson", on_ground(RINGS, DEGREES), [{}] * 4)
    data = open_dataset(declare(tmp_path))
    assert data.classes.names == ("background", "foreground")
    assert data.classes.task == "binary"


def test_polygons_make_windows_without_being_told(tmp_path):
    write_raster(tmp_path / "train/images/scene.tif", noise())
    write_raster(tmp_path / "val/images/scene.tif", noise(seed=1))
    for split in ("train", "val"):
        write_gpkg(tmp_path / split / "masks/scene.gpkg", on_ground(RINGS), LABELS)
    data = open_dataset(tmp_path)
    assert all(pair.window for pairs in data.splits.values() for pair in pairs)
    assert (np.sum([*data.counts.values()], axis=0)[1:] > 0).all()


class TestRefused:
    """What is wrong is told in four parts, before anything is trained."""

    def said(self, root: Path, *words: str, text: str = "[raster]\nwindow = 48") -> None:
        with pytest.raises(DataError) as error:
            open_dataset(declare(root, text))
        for word in words:
            assert word in str(error.value)
        assert error.value.fix and error.value.allowed

    def test_a_raster_without_a_place(self, tmp_path):
        write_raster(tmp_path / "images/scene.tif", noise(), crs=None)
        write_gpkg(tmp_path / "masks/scene.gpkg", on_ground(RINGS), LABELS)
        self.said(tmp_path, "images/scene.tif", "does not say where it lies", "gdal_translate")

    def test_a_raster_that_lies_by_points(self, tmp_path):
        from rasterio.control import GroundControlPoint

        path = write_raster(tmp_path / "images/scene.tif", noise(), crs=None)
        points = [GroundControlPoint(y, x, x, -y) for y, x in ((0, 0), (0, 9), (9, 0))]
        with rasterio.open(path, "r+") as opened:
            opened.gcps = points, UTM
        write_gpkg(tmp_path / "masks/scene.gpkg", on_ground(RINGS), LABELS)
        self.said(tmp_path, "images/scene.tif", "ground control points", "gdalwarp")

    def test_labels_of_another_size_without_a_place(self, tmp_path, image):
        write_raster(tmp_path / "masks/scene.tif", np.ones((50, 60), np.uint8), crs=None)
        self.said(tmp_path, "masks/scene.tif", "does not say where it lies")

    def test_polygons_without_a_system(self, tmp_path, image):
        write_gpkg(tmp_path / "masks/scene.gpkg", on_ground(RINGS), LABELS, None)
        self.said(tmp_path, "masks/scene.gpkg", "does not say where it lies", "ogr2ogr")

    def test_labels_elsewhere(self, tmp_path, image):
        far = rasterio.Affine(2, 0, 600000, 0, -2, 5000000)
        write_raster(tmp_path / "masks/scene.tif", np.ones(SIZE, np.uint8), transform=far)
        self.said(tmp_path, "masks/scene.tif", "x 600000 to 600480", "x 500000 to 500480")

    def test_metres_that_are_said_to_be_degrees(self, tmp_path, image):
        write_geojson(tmp_path / "masks/scene.geojson", on_ground(RINGS), LABELS)
        self.said(tmp_path, "masks/scene.geojson", "no degrees", "ogr2ogr -a_srs EPSG:32633")

    def test_a_field_that_is_not_there(self, tmp_path, image):
        told = [{"kind": 1, "area": 2}] * 4
        write_gpkg(tmp_path / "masks/scene.gpkg", on_ground(RINGS), told)
        text = '[raster]\nattribute = "kinds"'
        self.said(tmp_path, "no field 'kinds'", "did you mean 'kind'", "kind, area", text=text)

    @pytest.mark.parametrize("value", [None, -1, 1.5])
    def test_a_class_that_is_none(self, tmp_path, image, value):
        told = [{"class": 1}, {"class": value}, {"class": 2}, {"class": 1}]
        write_geojson(tmp_path / "masks/scene.geojson", on_ground(RINGS, DEGREES), told)
        self.said(tmp_path, "without the class" if value is None else f"the class {value}")

    def test_a_class_that_is_not_declared(self, tmp_path, image):
        told = [{"class": text} for text in ("tree", "house", "tre", "tree")]
        write_gpkg(tmp_path / "masks/scene.gpkg", on_ground(RINGS), told)
        text = 'classes = ["ground", "house", "tree"]'
        self.said(tmp_path, "'tre'", "did you mean 'tree'", text=text)

    def test_a_feature_without_geometry(self, tmp_path, image):
        rings = on_ground(RINGS, DEGREES)
        write_geojson(tmp_path / "masks/scene.geojson", [*rings[:2], None, rings[3]], LABELS)
        self.said(tmp_path, "masks/scene.geojson", "feature 2 has no geometry")

    def test_a_feature_that_is_a_line(self, tmp_path, image):
        path = write_geojson(tmp_path / "masks/scene.geojson", on_ground(RINGS, DEGREES), LABELS)
        document = json.loads(path.read_text())
        shape = document["features"][1]["geometry"]
        shape |= {"type": "LineString", "coordinates": shape["coordinates"][0]}
        path.write_text(json.dumps(document))
        self.said(tmp_path, "feature 1 is a LineString")

    @pytest.mark.parametrize("name", ["scene.gpkg", "scene.geojson"])
    @pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"{", b"SQLite format 3\0"])
    def test_a_file_that_is_something_else(self, tmp_path, image, name, content):
        path = tmp_path / "masks" / name
        path.parent.mkdir()
        path.write_bytes(content)
        self.said(tmp_path, f"masks/{name}")

    def test_labels_of_floats_or_of_several_bands(self, tmp_path, image):
        write_raster(tmp_path / "masks/scene.tif", np.ones(SIZE, np.float32))
        self.said(tmp_path, "holds float32")
        write_raster(tmp_path / "masks/scene.tif", noise(3))
        self.said(tmp_path, "has 3 bands")

    @pytest.mark.parametrize("package", ["rasterio", "pyogrio", "shapely"])
    def test_a_package_that_is_not_there(self, tmp_path, image, package, monkeypatch):
        write_gpkg(tmp_path / "masks/scene.gpkg", on_ground(RINGS), LABELS)
        monkeypatch.setitem(sys.modules, package, None)
        self.said(tmp_path, package, "pip install 'atrous[geo]'")


def test_buildings_of_solaris_are_burnt_as_solaris_burnt_them(shared_data, tmp_path):
    folder = shared_data / "solaris_geotiff/data"
    image = tmp_path / "scene.tif"
    shutil.copyfile(folder / "sample_geotiff.tif", image)
    found = labels(image, folder / "geotiff_labels.geojson", field="", side=90)
    with rasterio.open(folder / "sample_fp_mask_from_geojson.tif") as opened:
        expected = opened.read(1)
    known = found <= 255
    assert known.mean() > 0.99 and expected.any()
    assert (found[known] == expected[known] // 255).all()
