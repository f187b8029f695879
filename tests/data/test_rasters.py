"""Rasters: windows are what rasterio itself reads, of any layout; what is unknown stays so."""

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as pil

from atrous.data.images import read_image, refusals
from atrous.data.rasters import is_address, is_raster, open_raster, read_head
from atrous.data.rasters import raster as raster_module
from atrous.errors import ImageError

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*no geotransform:UserWarning")

BEGINNINGS = [b"II*\0", b"MM\0*", b"II+\0", b"\x89PNG\r\n\x1a\n"]
FIXTURES = [HealthCheck.function_scoped_fixture]
SIZE = (150, 203)
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles": {"tiled": True, "blockxsize": 64, "blockysize": 32, "compress": "deflate"},
    "strips": {"blockysize": 7, "compress": "lzw"},
    "one strip": {"blockysize": 150, "compress": "deflate"},
    "one plain strip": {"blockysize": 150},
    "planes": {"tiled": True, "blockxsize": 32, "blockysize": 16, "interleave": "band"},
    "BigTIFF": {"bigtiff": "yes", "tiled": True, "blockxsize": 16, "blockysize": 16},
}


def noise(bands: int, dtype: str, size=SIZE) -> np.ndarray:
    random = np.random.default_rng(bands)
    if np.dtype(dtype).kind == "f":
        return random.normal(size=(bands, *size)).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, (bands, *size), dtype, endpoint=True)


def write(path: Path, values: np.ndarray, mask: np.ndarray | None = None, **options: Any) -> Path:
    count, height, width = values.shape
    options = {"driver": "GTiff", "photometric": "minisblack", "alpha": "unspecified"} | options
    if count == 1:
        del options["alpha"]
    facts: dict[str, Any] = {"height": height, "width": width, "count": count}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES")
        with env, rasterio.open(path, "w", dtype=values.dtype, **facts, **options) as out:
            out.write(values)
            if mask is not None:
                out.write_mask(mask)
    return path


def whole(path: Path, scratch: Path, window=(64, 64)):
    raster = open_raster(path, window=window, scratch=scratch)
    return raster.read(slice(0, raster.size[0]), slice(0, raster.size[1]))


@pytest.fixture(scope="module")
def layouts(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("layouts")
    files = {
        name: write(folder / f"{name}.tif", noise(3, "uint16"), **options)
        for name, options in LAYOUTS.items()
    }
    pil.fromarray(noise(3, "uint8").transpose(1, 2, 0)).save(folder / "a.png")
    return files | {"PNG": folder / "a.png"}


windows = st.tuples(*(st.tuples(st.integers(0, n - 1), st.integers(1, 90)) for n in SIZE))


@pytest.mark.parametrize("copied", [False, True], ids=["in place", "copied"])
@pytest.mark.parametrize("name", [*LAYOUTS, "PNG"])
@settings(max_examples=15, deadline=None, suppress_health_check=FIXTURES)
@given(wanted=st.lists(windows, min_size=1, max_size=6))
def test_a_window_is_what_rasterio_reads(name, copied, wanted, layouts, tmp_path, monkeypatch):
    monkeypatch.setattr(raster_module, "STRIPS", 1000 if copied else 1 << 28)
    raster = open_raster(layouts[name], window=(32, 32), scratch=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(layouts[name]) as theirs:
            truth = theirs.read().transpose(1, 2, 0)
    for (top, height), (left, width) in wanted:
        rows = slice(top, min(top + height, SIZE[0]))
        columns = slice(left, min(left + width, SIZE[1]))
        found = raster.read(rows, columns)
        assert found.image.dtype == truth.dtype and found.known.all()
        assert np.array_equal(found.image, truth[rows, columns])
    raster.close()


def test_long_rows_are_copied_once_and_tiles_never(layouts, tmp_path, monkeypatch):
    monkeypatch.setattr(raster_module, "STRIPS", 1000)
    for name, path in layouts.items():
        scratch = tmp_path / name
        scratch.mkdir()
        open_raster(path, window=(32, 32), scratch=scratch).close()
        strips = name in ("strips", "one strip", "one plain strip", "PNG")
        assert len([*scratch.iterdir()]) == strips, name
        made = {file: file.stat().st_mtime_ns for file in scratch.iterdir()}
        open_raster(path, window=(32, 32), scratch=scratch).close()
        assert {file: file.stat().st_mtime_ns for file in scratch.iterdir()} == made


def test_each_strip_is_decoded_once_for_a_row_of_windows(layouts, tmp_path, monkeypatch):
    from atrous.data.rasters.stored import Stored

    asked, decode = [], Stored.decode
    monkeypatch.setattr(Stored, "decode", lambda *a: (asked.append(a[1:]), decode(*a))[1])
    raster = open_raster(layouts["strips"], window=(40, 40), scratch=tmp_path)
    for left in range(0, SIZE[1], 20):
        raster.read(slice(30, 70), slice(left, min(left + 40, SIZE[1])))
    assert len({str(window) for window in asked}) == len(asked)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", "int32"])
def test_pixels_are_those_of_read_image(bands, dtype, tmp_path):
    path = write(tmp_path / "a.tif", noise(bands, dtype), tiled=True, blockxsize=64, blockysize=64)
    expected, found = read_image(path), whole(path, tmp_path)
    assert found.image.dtype == expected.dtype and found.known.all()
    assert np.array_equal(found.image, expected)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_bits_and_palettes_are_those_of_read_image(mode, suffix, tmp_path):
    picture = pil.fromarray(noise(3, "uint8").transpose(1, 2, 0)).convert(mode)
    picture.save(path := tmp_path / f"a.{suffix}")
    assert np.array_equal(whole(path, tmp_path).image, read_image(path))


def test_no_data_of_whole_numbers_is_in_all_bands(tmp_path):
    values = noise(3, "uint8")
    values[:, :50] = 0
    values[1, 50:60] = 0  # a colour without green
    path = write(tmp_path / "a.tif", values, nodata=0)
    assert np.array_equal(whole(path, tmp_path).known, (values != 0).any(0))


def test_no_data_of_floats_is_in_any_band_and_nan_is_none(tmp_path):
    values = noise(3, "float32")
    values[1, 5], values[2, :, 7], values[0, 9, 9] = -9999, np.nan, np.inf
    known = np.ones(SIZE, bool)
    known[5], known[:, 7], known[9, 9] = False, False, False
    path = write(tmp_path / "a.tif", values, nodata=-9999)
    assert np.array_equal(whole(path, tmp_path).known, known)


@pytest.mark.parametrize("copied", [False, True])
def test_masks_alpha_and_a_mask_beside_are_unknown(copied, tmp_path, monkeypatch):
    monkeypatch.setattr(raster_module, "STRIPS", 100 if copied else 1 << 28)
    known = noise(1, "uint8")[0] > 100
    byte = known.astype(np.uint8) * 255
    values = noise(3, "uint8")
    write(tmp_path / "mask.tif", values, mask=byte)
    write(tmp_path / "beside.tif", values)
    write(tmp_path / "beside.tif.msk", byte[None])
    rgba = np.concatenate([values, byte[None]])
    write(tmp_path / "alpha.tif", rgba, photometric="rgb", alpha="yes")
    pil.fromarray(rgba.transpose(1, 2, 0)).save(tmp_path / "alpha.png")
    for name in ("mask.tif", "beside.tif", "alpha.tif", "alpha.png"):
        found = whole(tmp_path / name, tmp_path)
        assert found.image.shape == (*SIZE, 3)
        assert np.array_equal(found.known, known), name
        assert np.array_equal(found.image[known], values.transpose(1, 2, 0)[known])


def sparse(path: Path, size: int, **options: Any) -> Path:
    facts = {"height": size, "width": size, "count": 3, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(path, "w", driver="GTiff", photometric="rgb", **facts, **options) as out:
        values = np.maximum(noise(3, "uint8", (64, 64)), 1)
        out.write(values, window=((128, 192), (64, 128)))
    return path


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_blocks_that_were_never_written_are_unknown_and_not_decoded(interleave, tmp_path):
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": interleave}
    path = sparse(tmp_path / "a.tif", 1000, **tiles)
    known = np.zeros((1000, 1000), bool)
    known[128:192, 64:128] = True
    assert np.array_equal(whole(path, tmp_path).known, known)
    raster = open_raster(path, window=(64, 64), scratch=tmp_path)
    assert raster.is_absent(slice(512, 1000), slice(512, 1000))
    assert not raster.is_absent(slice(0, 1000), slice(0, 1000))


def test_a_raster_of_ten_billion_pixels_opens_and_knows_what_is_empty(tmp_path):
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512}
    path = sparse(tmp_path / "a.tif", 100_000, **tiles)
    raster = open_raster(path, window=(1024, 1024), scratch=tmp_path)
    assert is_raster(path) and raster.size == (100_000, 100_000)
    assert raster.is_absent(slice(50_000, 51_024), slice(50_000, 51_024))
    assert raster.read(slice(100, 200), slice(60, 70)).known[28:92, 4:].all()


def test_a_raster_is_what_lies_on_the_ground_or_is_too_large(tmp_path, monkeypatch):
    plain = write(tmp_path / "plain.tif", noise(1, "uint8"))
    placed = write(
        tmp_path / "placed.tif",
        noise(1, "uint8"),
        crs="EPSG:32633",
        transform=rasterio.Affine(2, 0, 5, 0, -2, 7),
    )
    pil.new("L", (40, 30)).save(tmp_path / "a.png")
    assert [is_raster(p) for p in (plain, placed, tmp_path / "a.png")] == [False, True, False]
    monkeypatch.setattr("atrous.data.rasters.headers.PIXEL_LIMIT", 1000)
    assert is_raster(plain) and is_raster(tmp_path / "a.png")
    assert refusals.PIXEL_LIMIT == 500_000_000
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    assert not is_raster(tmp_path / "a.jpg") and not is_raster(tmp_path / "none.tif")


@settings(suppress_health_check=FIXTURES)
@given(rest=st.binary(max_size=64), start=st.sampled_from(BEGINNINGS))
def test_a_broken_header_is_no_head(rest, start, tmp_path):
    (tmp_path / "a.tif").write_bytes(start + rest)
    read_head(tmp_path / "a.tif")


def test_what_is_cut_short_is_refused_where_it_is_read(tmp_path):
    path = write(tmp_path / "a.tif", noise(3, "uint16"), tiled=True, blockxsize=64, blockysize=64)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError) as error:
        whole(path, tmp_path)
    assert str(path) in str(error.value)


def test_files_that_are_no_windows_are_refused(tmp_path):
    picture = pil.new("L", (64, 64))
    picture.save(tmp_path / "turned.tif", tiffinfo={274: 6})
    (tmp_path / "vrt.tif").write_text('<VRTDataset rasterXSize="9" rasterYSize="9"/>')
    picture.save(tmp_path / "flat.png")
    png = bytearray((tmp_path / "flat.png").read_bytes())
    png[28] = 1
    (tmp_path / "interlaced.png").write_bytes(png)
    write(tmp_path / "complex.tif", noise(1, "float32").astype(np.complex64))
    pil.new("CMYK", (64, 64)).save(tmp_path / "print.tif")
    lying = bytearray((tmp_path / "print.tif").read_bytes())
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "head.tif").write_bytes(lying[:20])
    names = "turned.tif vrt.tif interlaced.png complex.tif print.tif empty.tif head.tif none.tif"
    for name in names.split():
        with pytest.raises(ImageError) as error:
            open_raster(tmp_path / name, window=(64, 64), scratch=tmp_path)
        assert str(tmp_path / name) in str(error.value)


def test_a_block_too_large_to_decode_is_refused(tmp_path):
    path = write(tmp_path / "a.tif", noise(1, "uint8"), tiled=True, blockxsize=64, blockysize=64)
    content = bytearray(path.read_bytes())
    for tag in (256, 257, 322, 323):  # width, height and tiles of 64 Ki
        at = content.index(struct.pack("<HHI", tag, 3, 1)) + 2
        content[at : at + 10] = struct.pack("<HII", 4, 1, 1 << 16)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=str(1 << 16)):
        open_raster(path, window=(64, 64), scratch=tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "/vsizip/a.zip/a.tif",
        "GTIFF_DIR:1:a.tif",
        "NETCDF:a.tif:x",
        "http://127.0.0.1:9/a.tif",
        "<VRTDataset/>",
        'DERIVED_SUBDATASET:AMPLITUDE:"a.tif"',
    ],
)
def test_a_path_is_never_an_expression_of_a_driver(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.tif", noise(1, "uint8"))
    with pytest.raises(ImageError):
        open_raster(Path(text), window=(64, 64), scratch=tmp_path)


@pytest.mark.parametrize("text", ["/vsicurl/http://x/a.tif", "ftp://x/a.tif", "a.tif", "s3:///a"])
def test_an_address_is_of_a_known_scheme(text, tmp_path):
    with pytest.raises(ImageError, match="https"):
        open_raster(text, window=(64, 64), scratch=tmp_path)


def test_addresses_are_told_from_paths():
    assert all(map(is_address, ("https://x/a.tif", "s3://x/a", "/vsizip/a", "zip://a!b")))
    assert not any(map(is_address, ("a.tif", "C:\\a.tif", "/tmp/a.tif", "a:b.tif")))
