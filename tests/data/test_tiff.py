"""TIFF and GeoTIFF: any bands and numbers come out right, whichever library reads them."""

import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as pil
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from atrous.data.images import (
    open_picture,
    open_source,
    orientation_of,
    read_header,
    read_image,
    read_tiff,
)
from atrous.data.images.predictor import summed
from atrous.errors import ImageError

FLOATS = ("float16", "float32", "float64")
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", *FLOATS)
random = np.random.default_rng(0)


def sample(bands: int, dtype: str) -> np.ndarray:
    shape = (45, 37, bands)
    if dtype in FLOATS:
        return (random.normal(size=shape) * 100).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def write(path: Path, image: np.ndarray, **options: Any) -> Path:
    """A TIFF of `H W C`, which tifffile wants band by band where planes are separate."""
    options = {"photometric": "minisblack", "planarconfig": "contig", **options}
    if options["planarconfig"] == "separate":
        image = np.moveaxis(image, -1, 0)
    if image.shape[-1] == 1 and options["planarconfig"] == "contig":
        image, options["planarconfig"] = image[..., 0], None
    tifffile.imwrite(path, image, **options)
    return path


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_bands_of_any_numbers_come_back(tmp_path: Path, dtype: str, bands: int):
    image = sample(bands, dtype)
    path = write(tmp_path / "a.tif", image)
    read, wanted = read_image(path), "float32" if dtype not in ("uint8", "uint16") else dtype
    assert np.array_equal(read, image.astype(wanted))
    assert read.flags.writeable
    assert read_header(path) == ((45, 37), bands, wanted)
    stored = read_tiff(path)
    assert stored.dtype == dtype
    assert np.array_equal(stored, image)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 7}, {"tile": (16, 32)}, {"bigtiff": True}])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize(
    ("dtype", "packing"),
    [
        *((dtype, {}) for dtype in ("uint8", "uint16", "int16", "float32")),
        *((dtype, {"compression": "zlib"}) for dtype in ("uint8", "uint16", "float32")),
        *((dtype, {"compression": "zlib", "predictor": 2}) for dtype in ("uint8", "int16")),
    ],
)
def test_no_way_of_laying_pixels_out_changes_them(
    tmp_path: Path, dtype: str, packing: dict, planarconfig: str, layout: dict, byteorder: str
):
    image = sample(5, dtype)
    options = {**packing, **layout, "planarconfig": planarconfig, "byteorder": byteorder}
    path = write(tmp_path / "a.tif", image, **options)
    assert np.array_equal(read_image(path), image)


@given(
    st.sampled_from(FLOATS).flatmap(lambda dtype: arrays(dtype, (3, 5, 2))), st.sampled_from("<>")
)
def test_the_predictor_of_floats_is_undone(floats: np.ndarray, byteorder: Any):
    parts = floats.astype(floats.dtype.newbyteorder(">")).view(np.uint8)
    parts = parts.reshape(3, 10, -1).swapaxes(1, 2).reshape(3, -1, 2)
    differences = np.diff(parts, axis=1, prepend=np.uint8(0)).tobytes()
    in_file = np.frombuffer(differences, floats.dtype.newbyteorder(byteorder)).reshape(3, 5, 2)
    undone = summed(in_file.astype(floats.dtype), byteorder)
    assert undone.tobytes() == floats.tobytes()


@pytest.mark.parametrize("name", ["random", "white"])
def test_predictors_of_other_programs_are_undone(shared_data: Path, name: str):
    folder = shared_data / "bad_images/image_tiff"
    by_integers = read_image(folder / f"{name}-fp16-pred2.tiff")
    assert np.array_equal(read_image(folder / f"{name}-fp16-pred3.tiff"), by_integers)
    if name == "random":
        assert np.array_equal(read_image(folder / "random-fp16.tiff"), by_integers)


def test_nan_and_nodata_are_kept(tmp_path: Path):
    image = np.array([[[np.nan, 1], [np.inf, -9999]]], np.float32)
    tags = [(42113, "s", 0, "-9999", True)]  # GDAL's
    path = write(tmp_path / "a.tif", image, extratags=tags)
    assert np.array_equal(read_image(path), image, equal_nan=True)
    assert open_source(path).nodata == -9999
    assert open_source(write(path, image)).nodata is None


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_no_band_but_what_is_unspecified_is(tmp_path: Path, kind: str):
    image = sample(5, "uint16")
    options = {"photometric": "rgb", "extrasamples": (kind, "unspecified")}
    path = write(tmp_path / "a.tif", image, **options)
    assert np.array_equal(read_image(path), image[..., [0, 1, 2, 4]])
    assert read_header(path).bands == 4
    assert np.array_equal(read_tiff(path), image)


@pytest.mark.parametrize("value", range(1, 9))
def test_both_libraries_turn_alike(tmp_path: Path, value: int):
    image = sample(3, "uint8")
    tags = [(274, "H", 1, value, True)]
    by_pillow = write(tmp_path / "a.tif", image, photometric="rgb", extratags=tags)
    deep = (image.astype(np.uint16) * 257)[..., [0, 1, 2, 0]]
    by_tifffile = write(tmp_path / "b.tif", deep, extratags=tags)
    turned = read_image(by_tifffile)
    assert np.array_equal(turned[..., :3] // 257, read_image(by_pillow))
    assert read_header(by_tifffile).size == read_header(by_pillow).size == turned.shape[:2]
    assert orientation_of(by_tifffile) == orientation_of(by_pillow) == value
    assert np.array_equal(read_tiff(by_tifffile), turned)


def test_white_may_be_low(tmp_path: Path):
    image = sample(1, "uint16")
    path = write(tmp_path / "a.tif", image, photometric="miniswhite")
    assert np.array_equal(read_image(path), 65535 - image)
    assert np.array_equal(read_tiff(path), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_stored_numbers_are_those_of_the_file_also_where_white_is_low(tmp_path: Path, dtype: type):
    labels = np.array([[0, 1, 2]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", labels, photometric="miniswhite")
    assert read_tiff(tmp_path / "a.tif")[..., 0].tolist() == [[0, 1, 2]]


def test_of_several_pages_the_first_is_read(tmp_path: Path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for value in (1, 2):
            writer.write(np.full((4, 4), value, np.int16))
    assert read_image(path).max() == 1


def test_complex_numbers_and_volumes_are_refused(tmp_path: Path):
    with pytest.raises(ImageError, match="holds complex numbers"):
        read_header(write(tmp_path / "a.tif", np.zeros((4, 4, 1), np.complex64)))
    volume = np.zeros((16, 16, 16), np.uint16)
    tifffile.imwrite(tmp_path / "b.tif", volume, volumetric=True, tile=(16, 16, 16))
    with pytest.raises(ImageError, match="holds a volume"):
        read_image(tmp_path / "b.tif")


def test_what_float64_holds_beyond_float32_becomes_infinite(tmp_path: Path):
    image = np.array([[[1e300], [0.1]]])
    read = read_image(write(tmp_path / "a.tif", image))
    assert read.tolist() == [[[np.inf], [float(np.float32(0.1))]]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_pillows_own_tiffs_come_back(tmp_path: Path, mode: str, compression: str | None):
    grey = pil.fromarray(sample(1, "uint8")[..., 0])
    if mode == "I;16":
        picture = pil.fromarray(sample(1, "uint16")[..., 0])
    else:
        picture = pil.merge(mode, [grey] * len(mode)) if len(mode) > 2 else grey.convert(mode)
    picture.save(tmp_path / "a.tif", compression=compression)
    with open_picture(tmp_path / "a.tif") as opened:
        assert opened.mode == mode
        assert opened.getpalette() == picture.getpalette()
        assert np.array_equal(np.array(opened), np.array(picture))
    stored = np.array(picture.convert("RGB") if mode == "CMYK" else picture)
    stored = stored.astype(np.uint8) if mode == "1" else stored
    assert np.array_equal(read_tiff(tmp_path / "a.tif").squeeze(), stored)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_has_its_stored_numbers(shared_data: Path, bits: int):
    path = shared_data / f"bad_images/pillow_tiff_gray_2_4_bpp/hopper{bits}.tif"
    packed = np.frombuffer(b"".join(segments_by_hand(path)), np.uint8)
    numbers = np.stack(
        [packed >> shift & (1 << bits) - 1 for shift in range(8 - bits, -1, -bits)], 1
    )
    assert np.array_equal(read_tiff(path)[..., 0], numbers.reshape(128, 128))


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs reads them")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pillow/tiff_strip_planar_16bit_RGB.tiff", "is compressed by LZW"),
        ("image_tiff/predictor-3-rgb-f32.tif", "is compressed by LZW"),
        ("pillow/hopper_webp.tif", "is compressed by WEBP"),
        ("libtiffpic/flower-rgb-contig-10.tif", "has 10 bits a sample"),
    ],
)
def test_a_missing_codec_is_named_with_what_to_install(shared_data: Path, name: str, said: str):
    with pytest.raises(ImageError, match=rf"{said}.*imagecodecs.*pip install 'atrous\[tiff\]'"):
        read_image(shared_data / "bad_images" / name)


@pytest.mark.skipif(find_spec("imagecodecs") is None, reason="imagecodecs is not installed")
@pytest.mark.parametrize("compression", ["lzw", "zstd", "zlib", "lerc"])
@pytest.mark.parametrize(("dtype", "predictor"), [("uint16", 2), ("float32", 3), ("float64", 3)])
def test_with_imagecodecs_the_rest_is_read(
    tmp_path: Path, dtype: str, predictor: int, compression: str
):
    image = sample(3, dtype)
    options: dict = {} if compression == "lerc" else {"predictor": predictor}
    path = write(tmp_path / "a.tif", image, compression=compression, **options)
    assert np.array_equal(read_tiff(path), image)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_a_tiff_cut_short_is_not_filled_up(tmp_path: Path, compression: Any, dtype: str):
    path = write(tmp_path / "a.tif", sample(1, dtype), compression=compression, rowsperstrip=4)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(ImageError, match="cut short") as error:
        read_image(path)
    assert error.value.code == "F202"


CHIP, SOLARIS = "sen1floods11_chip", "solaris_geotiff/data"


@pytest.mark.parametrize(
    ("name", "size", "bands", "stored", "nodata"),
    [
        (f"{CHIP}/s2/Spain_7370579_S2Hand.tif", (512, 512), 13, "int16", 0.0),
        (f"{CHIP}/s1/Spain_7370579_S1Hand.tif", (512, 512), 2, "float32", float("nan")),
        (f"{CHIP}/labels/Spain_7370579_LabelHand.tif", (512, 512), 1, "int16", None),
        (f"{SOLARIS}/sample_geotiff.tif", (900, 900), 1, "uint16", 0.0),
        (f"{SOLARIS}/sample_geotiff_custom_proj.tif", (512, 512), 3, "int16", -9999.0),
        (f"{SOLARIS}/sample_fp_mask.tif", (900, 900), 1, "uint8", None),
        (f"{SOLARIS}/sample_fbc_from_df2px.tif", (900, 900), 3, "uint8", None),
    ],
)
def test_real_geotiffs_hold_what_is_in_their_bytes(
    shared_data: Path, name: str, size: tuple, bands: int, stored: str, nodata: float | None
):
    path = shared_data / name
    source, wanted = open_source(path), stored if stored.startswith("u") else "float32"
    assert (source.size, source.bands, source.dtype) == (size, bands, wanted)
    assert repr(source.nodata) == repr(nodata)
    by_hand = np.frombuffer(b"".join(segments_by_hand(path)), stored)
    separate = tags_of(path).get(284) == 2
    by_hand = np.moveaxis(by_hand.reshape(bands, *size), 0, -1) if separate else by_hand
    assert np.array_equal(read_tiff(path), by_hand.reshape(*size, bands), equal_nan=True)
    assert np.array_equal(read_image(path), by_hand.reshape(*size, bands), equal_nan=True)


def test_labels_below_zero_are_kept(shared_data: Path):
    labels = read_tiff(shared_data / CHIP / "labels/Spain_7370579_LabelHand.tif")
    assert set(np.unique(labels)) <= {-1, 0, 1} and labels.min() == -1


def test_all_of_a_geotiff_data_set_reads(shared_data: Path):
    paths = sorted((shared_data / SOLARIS).rglob("*.tif"))
    for path in paths:
        image, tags = read_image(path), tags_of(path)
        assert read_header(path) == (image.shape[:2], image.shape[2], str(image.dtype))
        assert image.shape == (tags[257], tags[256], tags[277])
    assert len(paths) > 100


def segments_by_hand(path: Path) -> list[bytes]:
    """The strips or tiles of a TIFF, inflated; Pillow reads the tags, and nothing else."""
    content, tags = path.read_bytes(), tags_of(path)
    places, counts = (324, 325) if 324 in tags else (273, 279)
    parts = [content[a : a + n] for a, n in zip(tags[places], tags[counts], strict=True)]
    return [zlib.decompress(part) for part in parts] if tags[259] == 8 else parts


def tags_of(path: Path) -> ImageFileDirectory_v2:
    with path.open("rb") as file:
        tags = ImageFileDirectory_v2(file.read(8))
        file.seek(tags.next)
        tags.load(file)
    return tags
