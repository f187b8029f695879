"""Pictures: every encoding comes out right, every damaged file is named."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as pil

from atrous.data import images
from atrous.data.images import (
    as_image,
    fit_image,
    is_image,
    open_source,
    read_header,
    read_image,
)
from atrous.errors import AtrousError, ImageError

T = TypeVar("T")
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


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (GREY.astype(np.float32), "float32"),
        (GREY > 3, "bool"),
        (np.zeros((3, 5, 7), np.uint8), "3 x 5 x 7"),
        (np.zeros((5, 7, 4), np.uint8), "5 x 7 x 4"),
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
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "<html>not found"),
        (b"\x89PNG\n\x1a\n\0\0\0\rIHDR", "line-ending"),
        (b"\x89PNG\r\r\n\x1a\r\n\0\0\0", "line-ending"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=said) as error:
        read_image(path)
    assert str(path) in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path):
    with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = save(tmp_path / "a.png", RAMP)
    monkeypatch.setattr(images, "PIXEL_LIMIT", 5)
    with pytest.raises(ImageError, match="3 x 2 pixels"):
        read_header(path)


def test_pillows_own_limit_neither_warns_nor_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = save(tmp_path / "a.png", RAMP)
    monkeypatch.setattr(pil, "MAX_IMAGE_PIXELS", 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_image(path), RAMP)


def test_floats_and_wide_integers_are_refused(tmp_path: Path):
    with pytest.raises(ImageError, match="32-bit floats"):
        read_image(save(tmp_path / "a.tif", np.array([[0.5]], np.float32)))
    with pytest.raises(ImageError, match="from -7 to 70000"):
        read_image(save(tmp_path / "b.tif", np.array([[-7, 70000]], np.int32)))


def test_hidden_files_are_no_pictures():
    assert [is_image(Path(n)) for n in ("a.JPEG", "a.npy", ".a.png", "._a.png")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.filterwarnings("ignore")  # Pillow warns of broken EXIF, palettes and frames
def test_every_hostile_file_is_a_picture_or_our_error(shared_data: Path):
    root = shared_data / "bad_images"
    read = 0
    for line in (root / "manifest.tsv").read_text("utf-8").splitlines()[1:]:
        name, _, pillow = line.split("\t")
        if pillow.startswith("DecompressionBomb") and name.endswith(".gif"):
            continue  # 327 million pixels in 112 bytes: seconds to decode, under our limit
        image, header = _or_error(read_image, root / name), _or_error(read_header, root / name)
        if isinstance(image, AtrousError) or isinstance(header, AtrousError):
            assert name in str(image if isinstance(image, AtrousError) else header)
            continue
        assert (image.shape, str(image.dtype)) == ((*header.size, header.bands), header.dtype), name
        assert image.flags.writeable
        read += 1
    assert read > 700


def _or_error(read: Callable[[Path], T], path: Path) -> T | AtrousError:
    try:
        return read(path)
    except AtrousError as error:
        return error
