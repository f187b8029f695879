"""Mask files: labels come back exactly, and what holds no labels is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as pil

from atrous.classes import Classes
from atrous.data.masks import IGNORE_COLOUR, blend, colourise, is_mask, read_mask, write_mask
from atrous.errors import MaskError

STREET = Classes(("sky", "road", "car"), ((1, 2, 3), (40, 50, 60), (200, 100, 0)))
LABELS = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)


def save(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    picture = pil.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_grey_labels_come_back(tmp_path: Path, suffix: str):
    assert np.array_equal(read_mask(save(tmp_path / f"a.{suffix}", LABELS)), LABELS)


def test_palettes_give_indices_not_colours(tmp_path: Path):
    picture = pil.fromarray(LABELS)
    picture.putpalette([(i * 37) % 256 for i in range(768)])
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), LABELS)


def test_one_bit_gives_zero_and_one(tmp_path: Path):
    path = save(tmp_path / "a.png", np.array([[0, 255]], np.uint8), "1")
    assert read_mask(path).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "array",
    [np.array([[0, 300, 65535]], np.uint16), np.array([[-1, 70000, 3]], np.int32)],
    ids=["uint16", "int32"],
)
def test_wide_labels_are_not_clipped(tmp_path: Path, array: np.ndarray):
    assert np.array_equal(read_mask(save(tmp_path / "a.tif", array)), array)


@pytest.mark.parametrize(("bits", "most"), [(2, 3), (4, 15)])
def test_few_bits_of_grey_give_the_stored_numbers(tmp_path: Path, bits: int, most: int):
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    row = 1 << (8 - bits) | most << (8 - 2 * bits)  # the labels 1 and `most`
    header = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    body = (
        chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes([0, row])))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert read_mask(tmp_path / "a.png").tolist() == [[1, most]]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", ">i4", "int64", "uint64"])
def test_arrays_come_back(tmp_path: Path, dtype: str):
    array = np.array([[0, 1]], dtype)
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(read_mask(tmp_path / "a.npy"), array)


def test_a_mask_with_its_own_orientation_is_turned(tmp_path: Path):
    exif = pil.Exif()
    exif[0x0112] = 6
    pil.fromarray(np.array([[1, 2]], np.uint8)).save(tmp_path / "a.png", exif=exif)
    assert read_mask(tmp_path / "a.png").tolist() == [[1], [2]]


@pytest.mark.parametrize("count", [2, 3, 255, 256, 400])
def test_what_is_written_is_read(tmp_path: Path, count: int):
    classes = Classes(tuple(map(str, range(count))))
    rng = np.random.default_rng(count)
    mask = rng.integers(0, count, (5, 7)).astype(classes.dtype)
    mask[0, 0] = classes.ignore_index
    write_mask(tmp_path / "a.png", mask, classes)
    assert np.array_equal(classes.encode(read_mask(tmp_path / "a.png"), where="a"), mask)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_written_mask_shows_the_classes_colours(tmp_path: Path):
    write_mask(tmp_path / "a.png", LABELS, STREET)
    with pil.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P"
        shown = np.asarray(picture.convert("RGB"))
    assert np.array_equal(shown, colourise(LABELS, STREET))
    assert shown[0, 2].tolist() == [200, 100, 0]
    assert shown[1, 1].tolist() == list(IGNORE_COLOUR)


@given(arrays(np.uint8, (2, 3, 3)), st.floats(0, 1))
def test_a_blend_lies_between_picture_and_colours(image: np.ndarray, opacity: float):
    mixed = blend(image, LABELS, STREET, opacity)
    colours = np.where((LABELS == 255)[..., None], image, colourise(LABELS, STREET))
    assert (mixed >= np.minimum(image, colours)).all()
    assert (mixed <= np.maximum(image, colours)).all()


def test_opacity_goes_from_picture_to_colours():
    image = np.full((2, 3, 1), 77, np.uint8)
    assert (blend(image, LABELS, STREET, 0) == 77).all()
    full = blend(image.astype(np.uint16) * 257, LABELS, STREET, 1)
    assert np.array_equal(full[LABELS < 255], colourise(LABELS, STREET)[LABELS < 255])
    assert full[1, 1].tolist() == [77, 77, 77]


def test_colours_are_named_with_their_pixel(tmp_path: Path):
    colours = np.zeros((3, 4, 3), np.uint8)
    colours[2, 1] = (128, 64, 0)
    with pytest.raises(MaskError, match=r"holds colours .*128, 64, 0 at row 2, column 1"):
        read_mask(save(tmp_path / "a.png", colours))
    with pytest.raises(MaskError, match=r"RGBA.*128, 64, 0"):
        read_mask(save(tmp_path / "b.png", colours, "RGBA"))
    with pytest.raises(MaskError, match=r"7, 7, 7 at row 0.*save one band"):
        read_mask(save(tmp_path / "c.png", np.full((2, 2, 3), 7, np.uint8)))


def test_lossy_masks_are_refused(tmp_path: Path):
    with pytest.raises(MaskError, match=r"a\.jpg: is a JPEG.*lossy"):
        read_mask(save(tmp_path / "a.jpg", LABELS))
    save(tmp_path / "b.jpg", LABELS).rename(tmp_path / "b.png")
    with pytest.raises(MaskError, match=r"b\.png: is a JPEG"):
        read_mask(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([[0.5]], np.float64), "float64"),
        (np.zeros((2, 3, 4), np.uint8), "2 x 3 x 4"),
        (np.zeros((0, 4), np.uint8), "0 x 4"),
        (np.array([[{}]], object), "cannot be read"),
    ],
)
def test_unfit_arrays_are_described(tmp_path: Path, array: np.ndarray, said: str):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(MaskError, match=said) as error:
        read_mask(tmp_path / "a.npy")
    assert "a.npy" in str(error.value)


def test_float_and_broken_masks_are_refused(tmp_path: Path):
    with pytest.raises(MaskError, match="32-bit floats"):
        read_mask(save(tmp_path / "a.tif", np.array([[1]], np.float32)))
    for name in ("cut.png", "cut.npy"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(MaskError, match=name):
            read_mask(tmp_path / name)
        with pytest.raises(MaskError, match="gone"):
            read_mask(tmp_path / name.replace("cut", "gone"))


def test_suffixes_of_masks():
    assert [is_mask(Path(n)) for n in ("a.PNG", "a.npy", "._a.npy", "a.txt")] == [
        True,
        True,
        False,
        False,
    ]


def test_labelmes_arrays_and_pictures_agree(shared_data: Path):
    root = shared_data / "labelme_examples/semantic_segmentation/data_dataset_voc"
    for path in sorted((root / "SegmentationClass").iterdir()):
        array = read_mask(root / "SegmentationClassNpy" / f"{path.stem}.npy")
        assert np.array_equal(np.where(array == -1, 255, array), read_mask(path)), path
