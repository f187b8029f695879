from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as pil

from atrous.data.images import read_image, turn_array
from atrous.data.masks import read_mask
from atrous.data.scenes import scene
from atrous.doctor.alignment import Shift, agreement, best_shift, is_label_like, mask_is_turned

SCENES = 16
NONE = Shift(0, 0, 1.0)
BACK = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the turn that undoes each
Pairs = tuple[list[np.ndarray], list[np.ndarray]]
Change = Callable[[np.ndarray], np.ndarray]


@cache
def painted() -> list[tuple[np.ndarray, np.ndarray]]:
    return [scene(7, index) for index in range(SCENES)]


def crops(
    seed: int, *, size: int, down: int = 0, right: int = 0, change: Change | None = None
) -> Pairs:
    """Eight parts of painted scenes; the masks moved, after a change of theirs."""
    random = np.random.default_rng(seed)
    images, masks = [], []
    for index in random.permutation(SCENES)[:8]:
        image, mask = painted()[index]
        y, x = random.integers(0, 240 - size + 1), random.integers(0, 320 - size + 1)
        moved = np.roll(change(mask) if change else mask, (down, right), (0, 1))
        images.append(image[y : y + size, x : x + size])
        masks.append(moved[y : y + size, x : x + size])
    return images, masks


def test_shifts_are_found_to_the_pixel():
    right_ones = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        down, right = random.integers(-20, 21, 2)
        if max(abs(down), abs(right)) < 4:
            down = 4 + abs(down)
        shift = best_shift(*crops(seed, size=(96, 128, 160)[seed % 3], down=down, right=right))
        right_ones += shift[:2] == (down, right)
        assert max(abs(shift.rows - down), abs(shift.columns - right)) <= 1 or shift == NONE
    assert right_ones >= 19


def test_what_a_shift_brings_in_does_not_hide_it():
    """Rows and columns that come in from outside are 0 in many tools, and a border to the rest."""
    images, masks = crops(0, size=160, change=lambda mask: mask + 1)
    moved = [np.zeros_like(mask) for mask in masks]
    for new, mask in zip(moved, masks, strict=True):
        new[9:, :-6] = mask[:-9, 6:]
    assert best_shift(images, moved)[:2] == (9, -6)


def grown(label: int, by: int) -> Change:
    """One class against the rest, drawn too large by some pixels."""

    def change(mask: np.ndarray) -> np.ndarray:
        there = mask == label
        for _ in range(by):
            there = there | np.roll(there, 1, 0) | np.roll(there, -1, 0)
            there = there | np.roll(there, 1, 1) | np.roll(there, -1, 1)
        return there.astype(np.uint8)

    return change


def loose(mask: np.ndarray) -> np.ndarray:
    """Each block of 16 px taken from up to 5 px away."""
    random, out = np.random.default_rng(int(mask.sum())), mask.copy()
    for y in range(0, mask.shape[0], 16):
        for x in range(0, mask.shape[1], 16):
            moved = np.roll(mask, tuple(random.integers(-5, 6, 2)), (0, 1))
            out[y : y + 16, x : x + 16] = moved[y : y + 16, x : x + 16]
    return out


@pytest.mark.parametrize(
    "change",
    [
        None,
        lambda mask: np.roll(mask, (1, -1), (0, 1)),
        loose,
        grown(5, 4),
        grown(4, 3),
        lambda mask: np.kron(mask[4::8, 4::8], np.ones((8, 8), np.uint8)),
        lambda mask: np.zeros_like(mask),
        lambda mask: mask[::-1, ::-1],
    ],
    ids=["right", "by one", "loose", "large cars", "large trees", "coarse", "empty", "another's"],
)
def test_what_is_not_shifted_is_not_flagged(change):
    flagged = []
    for seed in range(20):
        shift = best_shift(*crops(seed, size=(96, 128, 160)[seed % 3], change=change))
        flagged += [(seed, shift)] * (shift != NONE)
    assert not flagged


def test_a_rim_of_void_moves_nothing():
    def rimmed(mask: np.ndarray) -> np.ndarray:
        edge = (mask != np.roll(mask, 1, 0)) | (mask != np.roll(mask, 1, 1))
        edge |= np.roll(edge, -1, 0) | np.roll(edge, -1, 1)
        return np.where(edge, 255, mask).astype(np.uint8)

    for seed in range(8):
        assert best_shift(*crops(seed, size=160, change=rimmed)) == NONE
        found = best_shift(*crops(seed, size=160, down=7, right=-5, change=rimmed))
        assert abs(found.rows - 7) <= 1 and abs(found.columns + 5) <= 1


def test_no_pair_is_not_shifted():
    assert best_shift([], []) == NONE


def test_a_mask_of_the_stored_picture_is_told_from_an_upright_one():
    found, trials = 0, 0
    for seed in range(20):
        for orientation in range(2, 9):
            square = orientation > 4 or seed % 2
            image, mask = painted()[seed % SCENES]
            if square:
                image, mask = image[:, 40 : 40 + 240], mask[:, 40 : 40 + 240]
                size = 96 + 8 * seed
                image, mask = image[-size:, -size:], mask[-size:, -size:]
            stored = turn_array(mask, BACK[orientation])
            found += mask_is_turned(image, stored, orientation)
            trials += 1
            assert not mask_is_turned(image, mask, orientation)
    assert found >= 0.95 * trials


@given(st.integers(5, 8), st.integers(1, 9), st.integers(1, 9))
def test_sizes_tell_where_they_differ(orientation, height, width):
    image, mask = np.zeros((height, width, 1), np.uint8), np.zeros((width, height), np.uint8)
    assert mask_is_turned(image, mask, orientation) == (height != width)


def test_a_mask_without_borders_says_nothing():
    image, mask = painted()[0]
    assert agreement(image, np.zeros_like(mask)) == 0
    assert not mask_is_turned(image[:, :240], np.zeros((240, 240), np.uint8), 6)


def test_photographs_and_labels_are_told_apart():
    for image, mask in painted():
        assert not is_label_like(image) and is_label_like(mask)
        assert is_label_like(mask[90:186, 90:186])
        colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
        assert is_label_like(colours[mask])
        assert not is_label_like(image[::3, ::3])


def test_a_scan_on_black_is_no_label():
    image = painted()[0][0].copy()
    image[:200] = 0
    assert not is_label_like(image)
    assert not is_label_like(image[..., 0])


def test_thin_lines_are_labels():
    mask = np.zeros((90, 90), np.uint8)
    mask[::15] = 1
    assert is_label_like(mask)


def folders(root: Path, images: str, masks: str, step: int) -> Pairs:
    found = [], []
    for path in sorted((root / images).iterdir())[::step]:
        (mask,) = (root / masks).glob(f"{path.stem}*")
        found[0].append(read_image(path))
        found[1].append(read_mask(mask))
    return found


@pytest.mark.parametrize(
    ("name", "images", "masks", "step"),
    [
        ("camvid", "train", "trainannot", 40),
        ("rock_ct4", "images", "masks", 60),
        ("crackforest", "images", "masks", 8),
        ("chasedb1_vessels", "images", "masks", 3),
        ("isbi_membrane", "images", "masks", 3),
    ],
)
def test_real_masks_lie_right_and_are_known_from_pictures(shared_data, name, images, masks, step):
    pictures, labels = folders(shared_data / name, images, masks, step)
    assert best_shift(pictures, labels) == NONE
    found = best_shift(pictures, [np.roll(mask, (6, -9), (0, 1)) for mask in labels])
    assert max(abs(found.rows - 6), abs(found.columns + 9)) <= 1
    assert not any(map(is_label_like, pictures)) and all(map(is_label_like, labels))


def test_masks_saved_as_jpeg_are_still_like_labels(tmp_path):
    for number, (_, mask) in enumerate(painted()[:4]):
        path = tmp_path / f"{number}.jpg"
        pil.fromarray(np.where(mask == 255, 0, mask * 30).astype(np.uint8)).save(path, quality=75)
        assert is_label_like(read_image(path))
