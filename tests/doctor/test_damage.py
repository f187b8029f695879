"""Blended masks are found, every one of them; what was drawn is not; and they can be mended."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image as pil

from atrous.classes import COLOURED, colour_label
from atrous.data.dataset import open_dataset
from atrous.data.images import Header, read_image
from atrous.data.layouts.pairs import Pair
from atrous.data.masks import read_mask
from atrous.data.survey import FileRecord, packed
from atrous.doctor import Finding, examine
from atrous.doctor.damage import check_damage
from atrous.doctor.fix import write_fixed
from atrous.doctor.meant import settled, true_labels
from atrous.kernels.labels import label_facts
from atrous.kernels.ramps import count_ramps
from broken.clean import borders, encoded, plan_clean, write_clean
from broken.forms import COLOURS, draw_form

Array = np.ndarray
ROOT = Path("set")


def record(name: str, raw: Array) -> FileRecord:
    path = ROOT / f"{name}.png"
    header, signs = Header(raw.shape[:2], 3, "uint8"), SimpleNamespace(ramps=count_ramps(raw))
    pair = Pair(name, path, path)
    table = packed(label_facts(raw))
    return FileRecord("train", pair, header, 0, b"", 0, b"", *table, None, signs)


def found(masks: list[Array]) -> list[Finding]:
    return list(check_damage([record(str(i), labelled(m)) for i, m in enumerate(masks)], ROOT))


def labelled(mask: Array) -> Array:
    """Three bands as labels of colours."""
    return mask if mask.ndim == 2 else COLOURED + mask.astype(np.int32) @ (65536, 256, 1)


def jpeg(quality: int) -> Callable[[Array], Array]:
    def through(mask: Array) -> Array:
        buffer = io.BytesIO()
        pil.fromarray(mask).save(buffer, "JPEG", quality=quality)
        return np.asarray(pil.open(buffer))

    return through


def resized(factor: float, how: pil.Resampling) -> Callable[[Array], Array]:
    def to(mask: Array) -> Array:
        height, width = mask.shape[:2]
        size = round(width * factor), round(height * factor)
        return np.asarray(pil.fromarray(mask).resize(size, how))

    return to


SMOOTH, CUBIC, NEAREST = (getattr(pil.Resampling, n) for n in ("BILINEAR", "BICUBIC", "NEAREST"))
DAMAGES = {
    "quality 50": jpeg(50),
    "quality 75": jpeg(75),
    "quality 95": jpeg(95),
    "halved": resized(0.5, SMOOTH),
    "enlarged": resized(1.4, SMOOTH),
    "doubled": resized(2, SMOOTH),
    "cubic": resized(2, CUBIC),
}
TABLES = {
    "0 and 255": np.array([0, 255, 0, 255], np.uint8),
    "far apart": np.array([0, 60, 120, 200], np.uint8),
    "with void": np.array([0, 1, 2, 255], np.uint8),
    "colours": np.array(COLOURS, np.uint8),
}


@pytest.fixture(scope="module")
def drawn() -> list[Array]:
    rng = np.random.default_rng(5)
    form = draw_form(rng, encodings=("index",), classes=(4,), void=False, sizes=(120, 160))
    return [item.labels for item in plan_clean(Path("none"), rng, form, pairs=6).items]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damaged_mask_is_found_all_of_a_set_or_one(drawn, table, damage):
    masks = [TABLES[table][labels] for labels in drawn]
    damaged = [DAMAGES[damage](mask) for mask in masks]
    assert not found(masks)
    assert len(found(damaged)) == len(masks)
    (one,) = found([*masks[:2], damaged[2], *masks[3:]])
    assert one.where == "2.png"
    assert one.code in ("M407", "M410")
    assert labelled(damaged[2])[one.pixel] not in labelled(masks[2])


@pytest.mark.parametrize("factor", [0.7, 1.5, 2, 3])
def test_class_indices_are_blended_into_other_classes(drawn, factor):
    damaged = [resized(factor, SMOOTH)(labels) for labels in drawn]
    findings = found(damaged)
    assert len(findings) == len(drawn)
    assert {finding.code for finding in findings} == {"M407"}
    assert not found([resized(factor, NEAREST)(labels) for labels in drawn])


def test_smoothed_colours_are_another_matter_than_jpeg(drawn):
    colours = [TABLES["colours"][labels] for labels in drawn]
    assert {f.code for f in found([resized(0.5, SMOOTH)(mask) for mask in colours])} == {"M410"}
    assert {f.code for f in found([jpeg(75)(mask) for mask in colours])} == {"M407"}


def test_lines_specks_and_kerbs_are_drawn(drawn):
    maps = []
    for labels in drawn:
        mask = labels * np.uint8(20)  # 0, 20, 40, 60
        mask[5:9, 5:40] = 40
        for number, row in enumerate(range(20, 60, 8)):
            mask[row, 4:60] = 21 + number  # five classes of lines of one pixel
        mask[70:90:5, 10:90:4] = 37  # specks
        maps.append(mask)
    assert not found(maps)
    things = [np.where(labels > 0, np.uint8(2), np.uint8(0)) for labels in drawn]
    assert not found([np.where(borders(thing), np.uint8(1), thing) for thing in things])


@pytest.mark.parametrize("name", ["camvid", "cocostuff21", "rock_ct4", "labelme_examples"])
def test_photographs_are_no_damaged_masks(shared_data, name):
    paths = [p for p in sorted((shared_data / name).rglob("*.*g")) if "annot" not in str(p)]
    images = [read_image(p) for p in paths[:400:40]]
    colours = [image for image in images if image.shape[2] == 3]
    assert images
    assert not found(colours)
    assert not found([image.mean(2).astype(np.uint8) for image in images])


@pytest.mark.parametrize("form", ["grey", "colours"])
def test_masks_saved_as_jpeg_can_be_mended(tmp_path, form):
    rng = np.random.default_rng(6)
    encoding = "0/255" if form == "grey" else "rgb"
    drawing = draw_form(rng, layouts=("folder",), encodings=(encoding,), sizes=(160, 224))
    clean = write_clean(tmp_path / "set", rng, drawing)
    for item in clean.items:
        item.mask.unlink()
        picture = pil.fromarray(encoded(item.labels, drawing)).convert("RGB")
        picture.save(item.mask.with_suffix(".jpg"), quality=85)
    diagnosis = examine(clean.root)
    assert {finding.code for finding in diagnosis.errors} == {"M406"}
    write_fixed(diagnosis, tmp_path / "fixed")
    assert not examine(tmp_path / "fixed").errors
    fixed = open_dataset(tmp_path / "fixed")
    pairs = {pair.name.split("/")[-1]: pair for pairs in fixed.splits.values() for pair in pairs}
    masks = [read_mask(pairs[item.name.split("/")[-1]].mask) for item in clean.items]
    same = [(m == item.labels).mean() for m, item in zip(masks, clean.items, strict=True)]
    assert np.mean(same) >= (0.9995 if form == "grey" else 0.995)
    assert min(same) > 0.99


def test_real_jpeg_masks_become_background_and_foreground(shared_data, tmp_path):
    write_fixed(examine(shared_data / "kvasir5_jpegmasks"), tmp_path / "fixed")
    after = examine(tmp_path / "fixed")
    assert not after.errors
    assert after.data is not None
    assert len(after.data.files) == 5
    assert all(set(file.labels) == {0, 1} for file in after.data.files)


def test_an_echo_is_no_label_and_a_next_class_is_one():
    mask = np.zeros((20, 40), np.uint8)
    mask[:, 20:] = 255
    echo = np.where(mask == 0, 1, mask).astype(np.uint8)
    assert true_labels({0, 255}, [(label_facts(echo), True)]) == {0, 255}
    assert true_labels({0, 255}, [(label_facts(echo), False)]) == {0, 1, 255}
    counted = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((9, 9), np.uint8))
    assert true_labels(set(), [(label_facts(counted), True)]) == {0, 1, 2, 3, 4, 5}


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=8)))
def test_of_two_labels_each_value_takes_the_nearer(mask: Array):
    assert np.array_equal(settled(mask, {0, 255}), np.where(mask < 128, 0, 255))
    assert set(np.unique(settled(mask, {0, 60, 90, 255}))) <= {0, 60, 90, 255, *range(8, 248)}


def test_a_colour_settles_with_all_its_bands():
    labels = [colour_label(c) for c in ((0, 0, 0), (128, 64, 128), (0, 0, 142))]
    near, far = colour_label((120, 70, 133)), colour_label((120, 20, 128))
    assert settled(np.array([[near, far]], np.int32), labels).tolist() == [[labels[1], far]]
