import io
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

from atrous.data.images import read_image
from atrous.doctor.neighbours import alike, find_neighbours
from atrous.doctor.sketches import Sketch, sketch, variant
from atrous.doctor.twins import Twin, find_twins

TURNS = (
    "",
    "transposed",
    "flipped top to bottom",
    "turned 90 degrees left",
    "mirrored",
    "turned 90 degrees right",
    "turned 180 degrees",
    "transposed along the other diagonal",
)


def picture(seed: int, side: int = 144) -> np.ndarray:
    """Clouds whose contrast falls with the fineness of the detail, as that of photographs does."""
    random = np.random.default_rng(seed)
    down, right = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    fineness = np.maximum(np.hypot(down, right), 1 / side)
    clouds = np.fft.irfft2(np.fft.rfft2(random.normal(size=(side, side))) / fineness)
    return (128 + clouds / clouds.std() * 45).clip(0, 255).astype(np.uint8)


def sketched(image: np.ndarray) -> Sketch:
    return sketch(image[..., None])


@cache
def two_thousand() -> list[Sketch]:
    return [sketched(picture(seed)) for seed in range(2000)]


def jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    pil.fromarray(image).save(buffer, "JPEG", quality=50)
    return np.asarray(pil.open(buffer))


def scaled(image: np.ndarray, factor: float) -> np.ndarray:
    size = round(image.shape[1] * factor), round(image.shape[0] * factor)
    return np.asarray(pil.fromarray(image).resize(size))


def bright(image: np.ndarray, gain: float) -> np.ndarray:
    return (image * gain).clip(0, 255).astype(np.uint8)


CHANGES = {
    "re-encoded": jpeg,
    "half": lambda image: scaled(image, 0.5),
    "twice": lambda image: scaled(image, 2),
    "brighter": lambda image: bright(image, 1.1),
    "darker": lambda image: bright(image, 0.9),
    "all": lambda image: bright(jpeg(scaled(image, 0.7)), 1.1),
}


def test_of_2000_different_pictures_none_are_twins():
    splits = ["val" if k % 5 == 0 else "train" for k in range(2000)]
    assert find_twins(two_thousand(), [""] * 2000, splits=splits) == []


@pytest.mark.parametrize("change", CHANGES)
def test_copies_in_all_turns_are_found_among_2000_pictures(change):
    originals = [(seed, seed % 8) for seed in range(0, 2000, 25)]
    copies = [
        sketched(np.ascontiguousarray(variant(CHANGES[change](picture(seed)), turn)))
        for seed, turn in originals
    ]
    twins = find_twins(two_thousand() + copies, [""] * (2000 + len(copies)))
    expected = [(seed, 2000 + k) for k, (seed, _) in enumerate(originals)]
    found = {twin[:2]: twin for twin in twins}
    assert len(found.keys() & set(expected)) >= 0.95 * len(expected)
    assert not found.keys() - set(expected)
    for pair, (_, turn) in zip(expected, originals, strict=True):
        if pair in found:
            assert found[pair].kind == "near"
            assert found[pair].how == (TURNS[turn] or "re-encoded")


def test_sizes_say_what_was_scaled():
    image = picture(1)
    made = [sketched(x) for x in (image, scaled(image, 0.5), image[::-1], image.T)]
    sizes = [(144, 144), (72, 72), (144, 144), (144, 72)]
    twins = find_twins(made, "abcd", sizes=sizes)
    assert [twin.how for twin in twins if twin.first == 0] == [
        "scaled",
        "flipped top to bottom",
        "transposed, scaled",
    ]


def test_equal_bytes_are_exact_twins_whatever_they_show():
    flat = sketched(np.zeros((9, 9), np.uint8))
    splits = ["train", "val", "train", "val", "train"]
    twins = find_twins([flat] * 5, ["a", "a", "b", "a", "a"], splits=splits)
    assert twins == [
        Twin(0, 1, "exact"),
        Twin(0, 3, "exact"),
        Twin(1, 3, "exact"),
        Twin(0, 4, "exact"),
        Twin(1, 4, "exact"),
    ]


def test_an_unknown_digest_is_no_twin():
    assert find_twins([sketched(picture(1)), sketched(picture(2))], ["", ""]) == []


def test_ten_copies_are_nine_twins():
    made = [sketched(jpeg(bright(picture(7), 1 - k / 100))) for k in range(10)]
    assert [twin.second for twin in find_twins(made, range(1, 11))] == list(range(1, 10))


@pytest.mark.parametrize("seed", range(20))
def test_flat_pictures_are_not_all_twins(seed):
    random = np.random.default_rng(seed)
    flat = [(128 + random.normal(0, 3, (64, 64))).astype(np.uint8) for _ in range(30)]
    plain = [np.full((64, 64), k, np.uint8) for k in range(30)]
    made = [sketched(image) for image in flat + plain]
    assert find_twins(made, range(1, 61), splits=[0, 1] * 30) == []


def with_car(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The picture with an object in it, as wide as an eighth."""
    side = len(image)
    size = side // 8
    y, x = random.integers(0, side - size, 2)
    out = image.astype(np.int64)
    out[y : y + size, x : x + size] += 50
    return out.clip(0, 255).astype(np.uint8)


def test_other_cars_before_a_fixed_camera_are_neighbours_and_no_copies():
    random = np.random.default_rng(0)
    kinds = Counter()
    for seed in range(20):
        made = [sketched(with_car(picture(seed, 160), random)) for _ in range(2)]
        twins = find_twins(made + two_thousand()[20:60], range(1, 43), splits=[0, 1] * 21)
        kinds.update(twin.kind for twin in twins)
    assert kinds.keys() == {"neighbour"} and kinds["neighbour"] >= 19


def test_frames_of_a_moving_camera_are_neighbours_across_splits_alone():
    random = np.random.default_rng(1)
    made, splits = [], []
    for seed in range(40):
        scene = picture(seed, 320)
        y, x = random.integers(0, 40, 2)
        made += [sketched(scene[:240, :240]), sketched(scene[y : y + 240, x : x + 240])]
        splits += [0, 1]
    twins = find_twins(made, [""] * 80, splits=splits)
    found = {twin[:2] for twin in twins if twin.kind != "exact"}
    expected = {(2 * k, 2 * k + 1) for k in range(40)}
    assert len(found & expected) >= 0.95 * 40
    assert found <= expected
    alone = find_twins(made, [""] * 80)
    assert all(twin.kind == "near" for twin in alone)


@pytest.mark.parametrize("way", [(0, 80), (80, 0)])
def test_tiles_that_overlap_by_half_are_neighbours(way):
    made = []
    for seed in range(20):
        raster = picture(seed, 320)
        made += [sketched(raster[:160, :160])]
        made += [sketched(raster[way[0] : way[0] + 160, way[1] : way[1] + 160])]
    pairs = find_neighbours(made, np.arange(40) % 2)
    assert pairs == [(2 * k, 2 * k + 1) for k in range(20)]


def test_of_pictures_in_one_frame_only_what_stands_out_is_alike():
    """As retinas are: a bright disc on black, and far less contrast on it."""
    y, x = np.mgrid[:144, :144] - 71.5
    disc = np.hypot(y, x) < 66
    eyes = [(disc * (120 + picture(k) / 3.0)).astype(np.uint8) for k in range(40)]
    made = [sketched(eye) for eye in eyes]
    assert find_twins(made, [""] * 40, splits=[0, 1] * 20) == []
    judge = alike([*made, sketched(jpeg(eyes[3]))])
    assert judge(3, 40) and not judge(3, 4)


def of_folder(folder: Path, step: int = 1) -> list[Sketch]:
    return [sketch(read_image(path)) for path in sorted(folder.iterdir())[::step]]


@pytest.mark.parametrize("name", ["rock_ct4/images", "crackforest/images", "isbi_membrane/images"])
def test_slices_and_roads_that_look_alike_are_no_copies(shared_data, name):
    made = of_folder(shared_data / name)
    assert find_twins(made, [""] * len(made)) == []


def test_roads_and_membranes_are_no_neighbours(shared_data):
    for name in ("crackforest/images", "isbi_membrane/images"):
        made = of_folder(shared_data / name)
        assert find_twins(made, [""] * len(made), splits=[k % 4 for k in range(len(made))]) == []


def test_frames_of_camvid_are_neighbours_and_no_copies(shared_data):
    made = of_folder(shared_data / "camvid" / "val", 2)
    twins = find_twins(made, [""] * len(made), splits=[k % 2 for k in range(len(made))])
    assert {twin.kind for twin in twins} == {"neighbour"}
    assert len(twins) >= 0.8 * len(made) / 2
    assert np.mean([twin.second - twin.first == 1 for twin in twins]) > 0.9


def test_slices_of_a_rock_in_two_splits_are_neighbours(shared_data):
    made = of_folder(shared_data / "rock_ct4" / "images")[:120]
    twins = find_twins(made, [""] * 120, splits=[k % 4 == 0 for k in range(120)])
    assert {twin.kind for twin in twins} == {"neighbour"} and len(twins) >= 10
