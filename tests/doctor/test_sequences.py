from itertools import pairwise

import numpy as np
import pytest
from PIL import Image as pil

from atrous.doctor.neighbours import alike
from atrous.doctor.sequences import interleaved, sequence_of, tile_of
from atrous.doctor.sketches import sketch


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("0016E5_07959", ("0016E5_", 7959)),
        ("0006R0_f01080", ("0006R0_f", 1080)),
        ("000000000785", ("", 785)),
        ("bonn/bonn_000000_000019_leftImg8bit", ("bonn/bonn_000000_*_leftImg8bit", 19)),
        ("Image_04R", ("Image_*R", 4)),
        ("seq7/left", None),
        ("cju0roawvklrq", None),
    ],
)
def test_sequences_by_hand(name, place):
    assert sequence_of(name) == place


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("x_12_34", ("x_", 12, 34)),
        ("tile_r3_c4", ("tile_", 3, 4)),
        ("city/p_col3_row9", ("city/p_", 9, 3)),
        ("austin1_x0_y512", ("austin1_", 512, 0)),
        ("raster-3-4", ("raster-", 3, 4)),
        ("img_001", None),
        ("000000000785", None),
        ("bonn_000019_leftImg8bit", None),
    ],
)
def test_tiles_by_hand(name, place):
    assert tile_of(name) == place


def dealt(count: int, random: np.random.Generator, share: float = 0.2) -> list[str]:
    return ["val" if random.random() < share else "train" for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_numbers_alone_prove_no_film(seed):
    """As in VOC, COCO, and folders of photographs or of classes."""
    random = np.random.default_rng(seed)
    names = [f"img_{k:03}" for k in range(300)]
    names += [f"{year}_{k:06}" for year in (2007, 2008) for k in random.choice(9999, 80, False)]
    names += [f"{k:012}" for k in random.choice(600_000, 200, False)]
    names += [f"{kind}_{k}" for kind in ("cat", "dog") for k in range(90)]
    times = random.choice(235959, (2, 40), False)
    names += [f"IMG_2020051{day}_{time:06}" for day in (3, 4) for time in times[day - 3]]
    assert interleaved(names, dealt(len(names), random)) == []
    every_fifth = ["val" if k % 5 == 0 else "train" for k in range(300)]
    assert interleaved(names[:300], every_fifth) == []


def test_numbers_that_begin_anew_in_each_split_are_not_one_film():
    names = [f"frame_{k:04}" for k in range(50)] * 2
    assert interleaved(names, ["train"] * 50 + ["val"] * 50) == []


def test_even_steps_are_a_film():
    """Every 30th frame for training, seven seconds of every second one for validation."""
    train = [k for k in range(390, 9000, 30) if not 7920 < k < 8180]
    val = list(range(7959, 8160, 2))
    names = [f"0016E5_{k:05}" for k in train + val]
    (film,) = interleaved(names, ["train"] * len(train) + ["val"] * len(val))
    assert (film.prefix, film.kind, film.proof, film.gap) == ("0016E5_", "frames", "names", 31)
    assert [tuple(names[k] for k in pair) for pair in film.pairs] == [
        ("0016E5_08159", "0016E5_08190"),
        ("0016E5_07920", "0016E5_07959"),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_word_or_a_step_tells_of_a_film_dealt_at_random(seed):
    random = np.random.default_rng(seed)
    for names in (
        [f"a/video3_{k}" for k in range(40)],
        [f"clip_7_frame_{k:04}" for k in range(25)],
        [f"drive_{k:05}" for k in range(100, 2000, 25)],
    ):
        splits = dealt(len(names), random, 0.3)
        (film,) = interleaved(names, splits)
        assert film.proof == "names"
        assert set(film.pairs) == {
            (a, b) for a, b in pairwise(range(len(names))) if splits[a] != splits[b]
        }


@pytest.mark.parametrize("pattern", ["x_{}_{}", "tile_r{}_c{}", "ortho_{:03}_{:03}"])
def test_tiles_of_a_raster_dealt_at_random_are_said(pattern):
    random = np.random.default_rng(0)
    places = [(row, column) for row in range(6) for column in range(7)]
    names = [pattern.format(*place) for place in places]
    splits = dealt(len(names), random, 0.3)
    (raster,) = interleaved(names, splits)
    assert raster.kind == "tiles"
    expected = {
        (a, b)
        for a, (y, x) in enumerate(places)
        for b, (v, u) in enumerate(places)
        if a < b and max(abs(y - v), abs(x - u)) == 1 and splits[a] != splits[b]
    }
    assert set(raster.pairs) == expected


def test_tiles_in_pixels_are_said_wherever_the_border_runs():
    names = [f"{y}_{x}" for y in range(0, 2048, 256) for x in range(512, 2560, 256)]
    (raster,) = interleaved(names, ["train"] * 48 + ["val"] * 16)
    assert raster.kind == "tiles" and raster.gap == 256


def test_clips_that_were_kept_together_are_no_raster():
    names = [f"{clip:02}_{frame:04}" for clip in range(10) for frame in range(20)]
    splits = ["val" if k // 20 in (3, 7) else "train" for k in range(200)]
    assert interleaved(names, splits) == []


def walk(seed: int, count: int) -> list[np.ndarray]:
    """Frames of a camera that moves over a field of details."""
    random = np.random.default_rng(seed)
    field = random.integers(0, 256, (40, 40 + 2 * count), np.uint8)
    wide = pil.fromarray(field).resize((320 + 16 * count, 320), pil.Resampling.BICUBIC)
    return [np.asarray(wide)[:160, 16 * k : 16 * k + 160] for k in range(count)]


@pytest.mark.parametrize("seed", range(10))
def test_pictures_decide_where_names_do_not(seed):
    random = np.random.default_rng(seed)
    film = [sketch(frame[..., None]) for frame in walk(seed, 120)]
    names, splits = [f"img_{k:03}" for k in range(120)], dealt(120, random, 0.3)
    (found,) = interleaved(names, splits, alike(film))
    assert (found.prefix, found.proof) == ("img_", "content")
    shuffled = [film[k] for k in random.permutation(120)]
    assert interleaved(names, splits, alike(shuffled)) == []


@pytest.mark.parametrize("seed", range(20))
def test_clean_sets_of_unrelated_scenes_are_not_flagged(seed):
    random = np.random.default_rng(seed)
    for number in range(10):
        made = [sketch(walk(1000 * seed + 50 * number + k, 1)[0][..., None]) for k in range(12)]
        names = [f"scene_{k:03}" for k in range(12)]
        assert interleaved(names, dealt(12, random, 0.3), alike(made)) == []


def test_camvid_says_so_by_its_names(shared_data):
    folder = shared_data / "camvid"
    names, splits = [], []
    for split in ("train", "val"):
        for path in sorted((folder / split).iterdir()):
            names.append(path.stem)
            splits.append(split)
    (film,) = interleaved(names, splits)
    assert (film.prefix, film.gap, len(film.pairs)) == ("0016E5_", 31, 2)
