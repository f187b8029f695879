"""Mask files: labels come back exactly, and what holds no labels is refused."""

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zlib import compress, crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image as pil

from atrous.classes import TRANSPARENT, Classes, colour_label, label_text, label_values
from atrous.data.masks import (
    IGNORE_COLOUR,
    blend,
    colourise,
    is_mask,
    read_lossy_mask,
    read_mask,
    read_planes,
    write_mask,
)
from atrous.errors import MaskError

STREET = Classes(("sky", "road", "car"), ((1, 2, 3), (40, 50, 60), (200, 100, 0)))
LABELS = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 128, 7), (255, 255, 255), (0, 0, 0)
colours_of = np.vectorize(label_text, otypes=[object])


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
    [
        np.array([[0, 300, 65535]], np.uint16),
        np.array([[-1, 2, 3]], np.int16),
        np.array([[-1, 70000, 3]], np.int32),
    ],
    ids=["uint16", "int16", "int32"],
)
def test_wide_labels_are_not_clipped(tmp_path: Path, array: np.ndarray):
    import tifffile  # Pillow writes no int16

    tifffile.imwrite(tmp_path / "a.tif", array)
    assert np.array_equal(read_mask(tmp_path / "a.tif"), array)


def write_png(path: Path, width: int, bits: int, kind: int, row: bytes) -> None:
    """A PNG of one row, packed in a way that Pillow does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc32(name + body))

    header = struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", compress(b"\0" + row)), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in chunks))


@pytest.mark.parametrize(("bits", "most"), [(2, 3), (4, 15)])
def test_few_bits_of_grey_give_the_stored_numbers(tmp_path: Path, bits: int, most: int):
    row = 1 << (8 - bits) | most << (8 - 2 * bits)  # the labels 1 and `most`
    write_png(tmp_path / "a.png", 2, bits, 0, bytes([row]))
    assert read_mask(tmp_path / "a.png").tolist() == [[1, most]]


@pytest.mark.parametrize("times", [1, 257])
def test_colours_and_alpha_of_16_bits_are_not_cut_to_their_upper_ones(tmp_path: Path, times: int):
    seven, most = 7 * times, 65535
    write_png(tmp_path / "a.png", 2, 16, 2, struct.pack(">6H", seven, 0, 0, 0, 0, seven))
    assert colours_of(read_mask(tmp_path / "a.png")).tolist() == [["#070000", "#000007"]]
    write_png(tmp_path / "b.png", 3, 16, 4, struct.pack(">6H", seven, most, 0, 0, times, most))
    assert colours_of(read_mask(tmp_path / "b.png")).tolist() == [
        [str(seven), "transparent", str(times)]
    ]


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


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp", "ppm"])
def test_colours_are_labels(tmp_path: Path, suffix: str):
    colours = np.array([[RED, GREEN, BLACK], [WHITE, (1, 2, 3), RED]], np.uint8)
    pil.fromarray(colours).save(tmp_path / f"a.{suffix}", lossless=True)
    raw = read_mask(tmp_path / f"a.{suffix}")
    assert raw.dtype == np.int32
    assert colours_of(raw).tolist() == [
        ["#ff0000", "#008007", "#000000"],
        ["#ffffff", "#010203", "#ff0000"],
    ]


def test_a_mask_in_colours_is_that_in_numbers_once_it_is_encoded(tmp_path: Path):
    remap: dict[int, int | str] = {colour_label(IGNORE_COLOUR): "ignore"}
    remap |= {colour_label(colour): index for index, colour in enumerate(STREET.colours)}
    in_colours = Classes(STREET.names, STREET.colours, remap)
    raw = read_mask(save(tmp_path / "a.png", colourise(LABELS, STREET)))
    assert np.array_equal(in_colours.encode(raw, where="a.png"), LABELS)


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 3)))
def test_numbers_of_any_width_encode_alike(mask: np.ndarray):
    values = np.array([-1, 7, 300, 70_000])
    classes = Classes(tuple("abc"), remap={-1: "ignore", 7: 0, 300: 1, 70_000: 2})
    wide = values[mask]
    encoded = classes.encode(wide.astype(np.int32), where="a.png")
    assert label_values(wide) == sorted(set(wide.ravel().tolist()))
    assert np.array_equal(encoded, np.array([255, 0, 1, 2])[mask])


def test_a_colour_outside_the_label_space_is_named_as_such():
    raw = np.full((2, 3), colour_label(GREEN), np.int32)
    with pytest.raises(
        MaskError, match=r"label #008007 \(first at row 0.*\"#008007\" = CLASS"
    ) as it:
        STREET.encode(raw, where="a.png")
    assert (it.value.code, it.value.pixel) == ("M409", (0, 0))
    with pytest.raises(MaskError, match=r"label 9 .*\[remap\] 9 = CLASS") as it:
        STREET.encode(np.array([[0, 1], [0, 9]]), where="a.png")
    assert (it.value.code, it.value.pixel) == ("M403", (1, 1))


def test_greys_of_16_bits_in_three_bands_are_those_of_8(tmp_path: Path):
    import tifffile

    grey = np.array([[0, 7, 255]], np.uint16)
    for name, deep in (("small.tif", grey), ("spread.tif", grey * 257)):
        tifffile.imwrite(tmp_path / name, np.repeat(deep[..., None], 3, 2), photometric="rgb")
        assert colours_of(read_mask(tmp_path / name)).tolist() == [
            ["#000000", "#070707", "#ffffff"]
        ]
    tifffile.imwrite(tmp_path / "deep.tif", np.full((1, 1, 3), 1000, np.uint16), photometric="rgb")
    with pytest.raises(MaskError, match="three bands of uint16 from 1000 to 1000") as error:
        read_mask(tmp_path / "deep.tif")
    assert error.value.code == "M416"


CLEAR = (9, 9, 9, 0)


@pytest.mark.parametrize(
    ("row", "labels"),
    [
        pytest.param([(*RED, 255), (*GREEN, 255)], ["#ff0000", "#008007"], id="opaque"),
        pytest.param([(*RED, 99), (*GREEN, 99)], ["#ff0000", "#008007"], id="constant"),
        pytest.param([(*RED, 0), (*GREEN, 0)], ["#ff0000", "#008007"], id="all clear"),
        pytest.param([CLEAR, (*RED, 255)], ["transparent", "#ff0000"], id="one colour"),
        pytest.param(
            [CLEAR, (*RED, 1), (*GREEN, 255)], ["transparent", "#ff0000", "#008007"], id="two"
        ),
        pytest.param([CLEAR, (*WHITE, 255), (*WHITE, 9)], ["0", "255", "9"], id="white"),
        pytest.param([CLEAR, (*BLACK, 255)], ["0", "255"], id="black"),
        pytest.param([(*RED, 0), (*RED, 255)], ["0", "255"], id="constant colour"),
        pytest.param([(*WHITE, 0), (*WHITE, 0)], ["0", "0"], id="nothing in white"),
        pytest.param([(*BLACK, 0), (*BLACK, 0)], ["transparent"] * 2, id="nothing"),
        pytest.param([(*WHITE, 255), (*WHITE, 255)], ["#ffffff"] * 2, id="opaque white"),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_alpha_is_what_is_not_there_or_the_mask_itself(
    tmp_path: Path, row: list, labels: list[str], suffix: str
):
    path = tmp_path / f"a.{suffix}"
    pil.fromarray(np.array([row], np.uint8)).save(path, lossless=True, exact=True)
    assert colours_of(read_mask(path)).tolist() == [labels]


def test_grey_with_alpha_stays_a_number(tmp_path: Path):
    pixels = np.array([[(0, 0), (1, 255), (2, 255)]], np.uint8)
    raw = read_mask(save(tmp_path / "a.png", pixels))
    assert colours_of(raw).tolist() == [["transparent", "1", "2"]]
    assert read_mask(
        save(tmp_path / "b.png", np.maximum(pixels, [0, 255]).astype(np.uint8))
    ).tolist() == [[0, 1, 2]]


def test_a_palette_gives_its_indices_whatever_is_transparent(tmp_path: Path):
    picture = pil.fromarray(np.array([[0, 1, 2]], np.uint8))
    picture.putpalette([*BLACK, *RED, *GREEN])
    for name, transparency in (("a", 0), ("b", 2), ("c", b"\xff\xff\xff")):
        picture.save(tmp_path / f"{name}.png", transparency=transparency)
        assert read_mask(tmp_path / f"{name}.png").tolist() == [[0, 1, 2]]


def test_numbers_beside_alpha_stay_numbers_whatever_a_file_shows(tmp_path: Path):
    for number in (0, 3, 255):
        bands = np.array([[[number, 255], [number, 0]]], np.uint8)
        pil.fromarray(bands, "LA").save(tmp_path / "a.png")
        assert read_mask(tmp_path / "a.png").tolist() == [[number, TRANSPARENT]]


@pytest.mark.parametrize("largest", [2, 20, 255, 1000, 65535])
def test_a_pgm_gives_the_numbers_it_holds(tmp_path: Path, largest: int):
    stored = np.array([0, 1, largest], ">u2" if largest > 255 else "u1")
    (tmp_path / "a.pgm").write_bytes(f"P5 3 1 {largest}\n".encode() + stored.tobytes())
    assert read_mask(tmp_path / "a.pgm").tolist() == [[0, 1, largest]]


def test_planes_in_colours_are_black_where_the_class_is_not(tmp_path: Path):
    one = np.array([[BLACK, WHITE, RED]], np.uint8)
    save(tmp_path / "sky.png", one)
    clear = np.array([[CLEAR, (*RED, 255), (*GREEN, 255)]], np.uint8)
    save(tmp_path / "road.png", clear)
    classes = Classes(("sky", "road"), task="multilabel")
    assert read_planes(tmp_path, classes).tolist() == [[0, 3, 3]]


def test_more_bands_than_a_colour_has_are_refused(tmp_path: Path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4, 5), np.uint8), planarconfig="contig")
    with pytest.raises(MaskError, match="has 5 bands") as error:
        read_mask(tmp_path / "a.tif")
    assert error.value.code == "M416"


def test_lossy_masks_are_refused(tmp_path: Path):
    for name, compression in (("a.jpg", None), ("b.webp", None), ("c.tif", "jpeg")):
        picture = pil.fromarray(LABELS.repeat(8, 0).repeat(8, 1))
        picture.convert("RGB").save(tmp_path / name, compression=compression)
        with pytest.raises(MaskError, match=rf"{name}: is a.*lossy compression") as error:
            read_mask(tmp_path / name)
        assert error.value.code == "M406"
    (tmp_path / "a.jpg").rename(tmp_path / "b.png")
    with pytest.raises(MaskError, match=r"b\.png: is a JPEG"):
        read_mask(tmp_path / "b.png")


def test_a_moving_webp_is_judged_by_its_first_frame(tmp_path: Path):
    frames = [pil.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 99)]
    for lossless in (True, False):
        frames[0].save(
            tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=lossless
        )
        if lossless:
            assert (read_mask(tmp_path / "a.webp") == colour_label(BLACK)).all()
        else:
            with pytest.raises(MaskError, match="lossy WebP"):
                read_mask(tmp_path / "a.webp")


def test_a_lossy_mask_can_still_be_looked_at(tmp_path: Path):
    grey, red = np.full((8, 8), 77, np.uint8), np.full((8, 8, 3), (200, 30, 30), np.uint8)
    exif = pil.Exif()
    exif[0x0112] = 6
    pil.fromarray(grey[:4]).save(tmp_path / "a.jpg", exif=exif)
    assert np.array_equal(read_lossy_mask(tmp_path / "a.jpg"), grey[:, :4])
    pil.fromarray(grey).convert("RGB").save(tmp_path / "b.jpg")
    assert np.array_equal(read_lossy_mask(tmp_path / "b.jpg"), grey)
    pil.fromarray(red).save(tmp_path / "c.jpg")
    assert abs(read_lossy_mask(tmp_path / "c.jpg").astype(int) - red).max() < 4
    (tmp_path / "d.jpg").write_bytes(b"")
    with pytest.raises(MaskError, match="empty") as error:
        read_lossy_mask(tmp_path / "d.jpg")
    assert error.value.code == "F203"


@pytest.mark.parametrize(
    ("array", "said", "code"),
    [
        (np.array([[0.5]], np.float64), "float64", "M415"),
        (np.zeros((2, 3, 4), np.uint8), "2 x 3 x 4", "M416"),
        (np.zeros((0, 4), np.uint8), "0 x 4", "M416"),
        (np.array([[{}]], object), "cannot be read", "F201"),
    ],
)
def test_unfit_arrays_are_described(tmp_path: Path, array: np.ndarray, said: str, code: str):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(MaskError, match=said) as error:
        read_mask(tmp_path / "a.npy")
    assert "a.npy" in str(error.value)
    assert error.value.code == code


def test_float_and_broken_masks_are_refused(tmp_path: Path):
    with pytest.raises(MaskError, match="32-bit floats") as error:
        read_mask(save(tmp_path / "a.tif", np.array([[1]], np.float32)))
    assert error.value.code == "M415"
    for name in ("cut.png", "cut.npy"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(MaskError, match=name) as error:
            read_mask(tmp_path / name)
        assert error.value.code == "F203"
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


def test_negative_labels_of_a_geotiff_stay_negative(shared_data: Path):
    (path,) = (shared_data / "sen1floods11_chip/labels").glob("*.tif")
    raw = read_mask(path)
    assert raw.dtype == np.int16
    assert label_values(raw) == [-1, 0, 1]


def test_what_is_no_picture_is_a_mask_error_with_a_code(shared_data: Path):
    for path in sorted((shared_data / "bad_images/git_eol_damaged").rglob("*.png"))[:20]:
        with pytest.raises(MaskError) as error:
            read_mask(path)
        assert error.value.code.startswith("F2"), path


def test_arrays_are_read_by_many_threads_at_once(tmp_path: Path):
    for number in range(40):
        np.save(tmp_path / f"{number}.npy", np.full((2, 3), number, np.uint8))
    paths = [tmp_path / f"{number % 40}.npy" for number in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        masks = list(pool.map(read_mask, paths))
    assert [int(mask[0, 0]) for mask in masks] == [number % 40 for number in range(2000)]
