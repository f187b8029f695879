"""Pictures: every encoding comes out right, every damaged file is named."""

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as pil

from atrous.data.images import (
    SUFFIXES,
    as_image,
    as_shown,
    content_format,
    fit_image,
    is_image,
    open_picture,
    open_source,
    orientation_of,
    read_header,
    read_image,
    refusals,
)
from atrous.errors import ImageError

RAMP = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 13
GREY = RAMP[..., 0]


def save(path: Path, array: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    picture = pil.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "ppm", "webp"])
def test_rgb_comes_back_as_it_was_saved(tmp_path: Path, suffix: str):
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", RAMP, **options)
    assert np.array_equal(read_image(path), RAMP)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "pgm"])
def test_grey_has_one_band(tmp_path: Path, suffix: str):
    image = read_image(save(tmp_path / f"a.{suffix}", GREY))
    assert np.array_equal(image, GREY[..., None])


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_of_grey_are_kept(tmp_path: Path, suffix: str):
    deep = np.array([[0, 1, 300], [40000, 65534, 65535]], np.uint16)
    image = read_image(save(tmp_path / f"a.{suffix}", deep))
    assert image.dtype == np.uint16
    assert np.array_equal(image[..., 0], deep)


def test_alpha_is_dropped_and_hidden_colours_stay(tmp_path: Path):
    clear = np.dstack([RAMP, np.zeros((2, 3), np.uint8)])
    assert np.array_equal(read_image(save(tmp_path / "a.png", clear)), RAMP)
    grey = save(tmp_path / "b.png", clear[..., [0, 3]])
    assert np.array_equal(read_image(grey)[..., 0], GREY)


def test_palettes_become_colours(tmp_path: Path):
    picture = pil.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette([9, 8, 7, 70, 80, 90])
    picture.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[9, 8, 7], [70, 80, 90]]]


def test_one_bit_becomes_black_and_white(tmp_path: Path):
    path = save(tmp_path / "a.png", np.array([[0, 255]], np.uint8), "1")
    assert read_image(path).ravel().tolist() == [0, 255]


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", "jpg"), ("YCbCr", "tif"), ("LAB", "tif")])
def test_other_colour_spaces_become_rgb(tmp_path: Path, mode: str, suffix: str):
    flat = np.full((16, 16, 3), (200, 120, 40), np.uint8)
    picture = pil.fromarray(flat)
    if mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
        assert picture is not None
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / f"a.{suffix}")
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.shape == flat.shape
    assert np.abs(image.astype(int) - flat).max() <= 6


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_all_orientations_give_the_same_picture(tmp_path: Path, suffix: str):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the inverse of each turn
    for value, back in undo.items():
        picture = pil.fromarray(upright)
        stored = picture if back is None else picture.transpose(pil.Transpose(back))
        exif = pil.Exif()
        exif[0x0112] = value
        path = tmp_path / f"{value}.{suffix}"
        options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
        stored.save(path, exif=exif, **options)
        image = read_image(path)
        assert read_header(path).size == image.shape[:2] == (16, 32), value
        assert orientation_of(path) == value
        assert np.abs(image.astype(int) - upright).max() <= 8, value
        with pil.open(path) as opened:
            assert np.array_equal(as_image(opened), image), value


def test_each_orientation_is_the_turn_that_exif_means(shared_data: Path):
    turns: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: np.rot90,
    }
    root = shared_data / "bad_images/made_here"  # the same pixels, another tag
    stored = read_image(root / "exif_orientation_1.jpg")
    for value, turned in turns.items():
        image = read_image(root / f"exif_orientation_{value}.jpg")
        assert np.array_equal(image, turned(stored)), value


@given(arrays(np.uint8, (3, 4, 3)))
def test_eight_bits_survive_sixteen(image: np.ndarray):
    wide = fit_image(image, bands=3, dtype="uint16")
    assert np.array_equal(fit_image(wide, bands=3, dtype="uint8"), image)


@given(arrays(np.uint8, (3, 4, 1)), st.sampled_from(["uint8", "uint16"]))
def test_grey_survives_three_bands(image: np.ndarray, dtype: str):
    wide = fit_image(image, bands=3, dtype=dtype)
    assert np.array_equal(
        fit_image(wide, bands=1, dtype=dtype), fit_image(image, bands=1, dtype=dtype)
    )


@given(arrays(np.uint8, (3, 4, 3)))
def test_grey_is_that_of_pillow(image: np.ndarray):
    expected = np.asarray(pil.fromarray(image).convert("L"))
    assert np.array_equal(fit_image(image, bands=1, dtype="uint8")[..., 0], expected)


@given(arrays(np.uint16, (3, 4, 3)))
def test_integers_keep_their_numbers_as_floats(image: np.ndarray):
    floats = fit_image(image, bands=3, dtype="float32")
    assert floats.dtype == np.float32
    assert np.array_equal(floats, image)
    luma = fit_image(floats, bands=1, dtype="float32")
    assert np.abs(luma - fit_image(image, bands=1, dtype="uint16")).max() <= 0.51


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_floats_do_not_become_integers(dtype: str):
    with pytest.raises(ImageError, match=rf"is of float32, but the model takes {dtype}.*train"):
        fit_image(np.ones((2, 2, 3), np.float32), bands=3, dtype=dtype)


@pytest.mark.parametrize(("bands", "wanted"), [(1, 4), (4, 3), (2, 1), (13, 1)])
def test_other_bands_are_refused(bands: int, wanted: int):
    with pytest.raises(ImageError, match=f"has {bands} bands, but the model takes {wanted}"):
        fit_image(np.zeros((2, 2, bands), np.uint8), bands=wanted, dtype="uint8")


@pytest.mark.parametrize("bands", [1, 2, 3, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_picture_can_be_shown(dtype: type, bands: int):
    ramp = np.linspace(0, np.iinfo(dtype).max if dtype != np.float32 else -7000, 40 * 50 * bands)
    image = ramp.reshape(40, 50, bands).astype(dtype)
    shown = as_shown(image)
    assert shown.shape == (40, 50, 3) and shown.dtype == np.uint8
    assert shown.min() <= 2 and shown.max() >= 253
    if dtype == np.float32:
        image[0, 0], image[0, 1], image[..., -1] = np.nan, np.inf, np.nan
        assert as_shown(image)[..., 0].std() == (0 if bands == 1 else pytest.approx(73, abs=6))


def test_brightest_sixteen_bits_do_not_overflow():
    white = np.full((1, 1, 3), 65535, np.uint16)
    assert fit_image(white, bands=1, dtype="uint16").item() == 65535
    assert fit_image(white, bands=1, dtype="uint8").item() == 255


def test_a_window_is_a_part_of_the_whole(tmp_path: Path):
    source = open_source(save(tmp_path / "a.png", RAMP))
    assert (source.size, source.bands, source.dtype, source.nodata) == ((2, 3), 3, "uint8", None)
    assert np.array_equal(source.read((slice(1, 2), slice(0, 2))), RAMP[1:2, 0:2])


def test_what_a_caller_hands_over_becomes_a_picture(tmp_path: Path):
    path = save(tmp_path / "图 片.PNG", RAMP)
    for given_image in (RAMP, path, str(path), pil.fromarray(RAMP)):
        assert np.array_equal(as_image(given_image), RAMP)
    assert as_image(GREY).shape == (2, 3, 1)
    assert as_image(GREY.astype(">u2")).dtype == np.dtype("uint16")
    many = np.zeros((2, 3, 13), np.float32)
    assert as_image(many) is many


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (GREY.astype(np.float64), "float64.*as float32"),
        (GREY.astype(np.int16), "int16.*as float32"),
        (GREY > 3, "bool"),
        (np.zeros((3, 5, 7, 1), np.uint8), "3 x 5 x 7 x 1"),
        (np.zeros((0, 7), np.uint8), "0 x 7"),
        ([[1, 2]], "list"),
    ],
)
def test_unfit_arrays_are_described(array: np.ndarray, said: str):
    with pytest.raises(ImageError, match=said):
        as_image(array)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp", "gif"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_a_truncated_picture_is_named(tmp_path: Path, suffix: str, share: float):
    rng = np.random.default_rng(0)
    path = save(tmp_path / f"cut.{suffix}", rng.integers(0, 256, (40, 40, 3), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ImageError, match=rf"cut\.{suffix}"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "said", "code"),
    [
        (b"", "empty", "F203"),
        (b"<html>not found</html>", "<html>not found", "F201"),
        (b"\x89PNG\n\x1a\n\0\0\0\rIHDR", "line-ending", "F205"),
        (b"\x89PNG\r\r\n\x1a\r\n\0\0\0", "line-ending", "F205"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, content: bytes, said: str, code: str):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=said) as error:
        read_image(path)
    assert str(path) in str(error.value)
    assert error.value.code == code


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path):
    with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = save(tmp_path / "a.png", RAMP)
    monkeypatch.setattr(refusals, "PIXEL_LIMIT", 5)
    with pytest.raises(ImageError, match="3 x 2 pixels") as error:
        read_header(path)
    assert error.value.code == "F204"


def test_pillows_own_limit_neither_warns_nor_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = save(tmp_path / "a.png", RAMP)
    monkeypatch.setattr(pil, "MAX_IMAGE_PIXELS", 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_image(path), RAMP)


def test_hidden_files_are_no_pictures():
    assert [is_image(Path(n)) for n in ("a.JPEG", "a.npy", ".a.png", "._a.png")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp", "gif", "pgm"])
def test_the_first_bytes_tell_the_format(tmp_path: Path, suffix: str):
    path = save(tmp_path / f"a.{suffix}", GREY).rename(tmp_path / "a.txt")
    assert content_format(path) == SUFFIXES[f".{suffix}"]
    path.write_bytes(b"%PDF-1.7")
    assert content_format(path) == ""


@pytest.mark.parametrize("name", ["basn2c16", "basi2c16", "basn6a16", "basi6a16", "basn4a16"])
def test_sixteen_bits_of_colour_are_kept(shared_data: Path, name: str):
    path = shared_data / f"bad_images/pngsuite/{name}.png"
    image = read_image(path)
    assert image.dtype == np.uint16
    with open_picture(path) as picture:  # Pillow's is the upper byte of each value
        upper = np.array(picture)[..., : image.shape[2]]
    assert np.array_equal(image >> 8, upper)
    assert (image & 255 != upper).any()


@given(arrays(np.uint16, (3, 5, 3)))
def test_a_deep_png_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, image):
    path = tmp_path_factory.mktemp("deep") / "a.png"
    path.write_bytes(deep_png(image))
    assert np.array_equal(read_image(path), image)


def deep_png(image: np.ndarray) -> bytes:
    """A PNG of RGB of 16 bits, which Pillow cannot write; rows by the filters Sub and Up."""
    height, width, _ = image.shape
    rows = np.frombuffer(image.astype(">u2").tobytes(), np.uint8).reshape(height, -1)
    before = np.pad(rows, ((0, 0), (6, 0)))[:, :-6]
    above = np.pad(rows, ((1, 0), (0, 0)))[:-1]
    filtered = [bytes([1, *(rows - before)[0]])] + [bytes([2, *row]) for row in (rows - above)[1:]]
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(filtered))), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
