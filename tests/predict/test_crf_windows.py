"""The laws of windows, and how near the CRF in windows is to that of the whole picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.errors import DataError, ImageError, RecipeError
from atrous.predict.crf import dense_crf
from atrous.predict.crf.windows import (
    BUDGET,
    dense_crf_windowed,
    stretches,
    window_for,
    working_bytes,
)

NARROW: Any = {"bilateral_sxy": 8.0, "bilateral_srgb": 40.0}


def scene(height=60, width=70, labels=3):
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, ((height + 7) // 8, (width + 7) // 8, 3))
    image = np.kron(coarse, np.ones((8, 8, 1)))[:height, :width]
    image = image + random.normal(size=image.shape) * 10
    weights = np.exp(random.normal(size=(labels, height, width)))
    return image.clip(0, 255).astype(np.uint8), (weights / weights.sum(0)).astype(np.float32)


@given(st.integers(1, 500), st.integers(1, 100), st.data())
def test_windows_cover_every_pixel_once_and_see_half_an_overlap_more(size, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    every = list(stretches(size, window, overlap))
    assert [s.first for s in every] == [0, *(s.end for s in every[:-1])] and every[-1].end == size
    for s in every:
        assert 0 <= s.start <= s.first < s.end <= s.stop <= size and s.stop - s.start <= window
        assert s.first - s.start >= overlap // 2 or s.start == 0
        assert s.stop - s.end >= overlap // 2 or s.stop == size
    assert len(every) == 1 or len(every) == -(-(size - overlap) // (window - overlap))


@pytest.mark.parametrize("mode", ["lattice", "exact-spatial"])
@pytest.mark.parametrize("labels", [2, 5])
@pytest.mark.parametrize("weight", [2.0, "each", 0.0])
def test_one_window_is_the_whole_picture(mode, labels, weight):
    image, probs = scene(labels=labels)
    weights: Any = np.arange(1.0, labels + 1) if weight == "each" else weight
    how: Any = {**NARROW, "gaussian_weight": weights, "mode": mode, "iterations": 3}
    assert np.array_equal(dense_crf_windowed(image, probs, **how), dense_crf(image, probs, **how))


def test_one_window_needs_no_overlap():
    """However wide the kernel."""
    image, probs = scene()
    how: Any = {"bilateral_sxy": 400.0, "iterations": 1}
    made = dense_crf_windowed(image, probs, window=70, **how)
    assert np.array_equal(made, dense_crf(image, probs, **how))


def test_windows_lie_on_the_lattice_of_the_whole():
    """With a kernel that ends within the overlap nothing is lost: but for the lattice's place."""
    image, probs = scene()
    how: Any = {"gaussian_sxy": 2.0, "bilateral_weight": 0.0, "iterations": 2}
    made = dense_crf_windowed(image, probs, window=50, overlap=30, **how)
    assert np.abs(made - dense_crf(image, probs, **how)).max() <= 1e-5


def test_a_larger_overlap_is_nearer():
    image, probs = scene(120, 140)
    whole = dense_crf(image, probs, **NARROW)
    apart = []
    for overlap in (0, 16, 48):
        how: Any = {**NARROW, "window": 70 + overlap // 2, "overlap": overlap}
        apart.append(np.abs(dense_crf_windowed(image, probs, **how) - whole).mean())
    assert apart[0] > 2 * apart[1] > 8 * apart[2]


@pytest.mark.parametrize("mode", ["lattice", "exact-spatial"])
def test_the_default_overlap_keeps_the_labels_of_a_street(shared_data: Path, mode):
    with np.load(shared_data / "dense_crf" / "q_camvid.npz") as golden:
        image, probs = golden["image"], golden["probs"]
    how: Any = {"bilateral_sxy": 20.0, "mode": mode}
    made, whole = (
        dense_crf_windowed(image, probs, window=190, **how),
        dense_crf(image, probs, **how),
    )
    assert (made.argmax(0) == whole.argmax(0)).mean() >= 0.999
    assert 0 < np.abs(made - whole).mean() <= 2e-4


@given(
    st.integers(1, 1 << 14),
    st.integers(1, 1 << 14),
    st.integers(1, 9),
    st.integers(1, 200),
    st.floats(1, 60),
)
def test_windows_are_as_large_as_memory_allows(height, width, bands, labels, sxy):
    window = window_for((height, width, bands), labels, bilateral_sxy=sxy)
    each = working_bytes(labels, bands)
    if window is None:
        assert height * width * each <= BUDGET
    else:
        assert height * width * each > BUDGET >= window**2 * each
        assert (window + 1) ** 2 * each > BUDGET


def test_a_window_that_would_be_nearly_all_overlap_is_refused():
    with pytest.raises(RecipeError) as caught:
        window_for((3000, 4000, 3), 21, bilateral_sxy=700.0)
    assert "is 700.0: windows of a picture of 3000 x 4000" in str(caught.value)
    assert window_for((1000, 1000, 3), 21, bilateral_sxy=700.0) is None


def test_files_are_read_and_filled(tmp_path: Path):
    """Whatever holds the arrays, and on any number of threads."""
    image, probs = scene()
    how: Any = {**NARROW, "window": 40, "overlap": 10}
    expected = dense_crf_windowed(image, probs, **how, threads=1)
    for name, array in {"image": image, "probs": probs, "out": np.zeros_like(probs)}.items():
        np.save(tmp_path / name, array)
    image, probs = (np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in ("image", "probs"))
    out = np.load(tmp_path / "out.npy", mmap_mode="r+")
    assert dense_crf_windowed(image, probs, **how, out=out, threads=2) is out
    out.flush()
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)


IMAGE, PROBS = scene(20, 30)
SMALL: Any = {"window": 12, "overlap": 4}


@pytest.mark.parametrize(
    ("image", "probs", "error", "said"),
    [
        (IMAGE[:, :, 0], PROBS, ImageError, "(20, 30)"),
        (IMAGE[:0], PROBS[:, :0], ImageError, "(0, 30, 3)"),
        (IMAGE, PROBS[:, :, :29], DataError, "(3, 20, 29)"),
        (IMAGE[:, :29], PROBS, DataError, "(3, 20, 30)"),
        (IMAGE, PROBS[0], DataError, "(20, 30)"),
        (IMAGE, PROBS * (1 + (np.arange(30) == 29)), DataError, "column 21 on: at pixel (0, 8)"),
    ],
)
def test_wrong_arrays_are_refused_before_anything_is_done(image, probs, error, said):
    out = np.zeros_like(PROBS)
    with pytest.raises(error) as caught:
        dense_crf_windowed(image, probs, **SMALL, out=out)
    assert said in str(caught.value) and not out.any()


def test_a_wrong_pixel_is_that_of_the_whole_picture():
    probs = PROBS.copy()
    probs[:, 17, 23] = 2
    with pytest.raises(DataError) as caught:
        dense_crf_windowed(IMAGE, probs, **SMALL)
    assert caught.value.pixel == (17, 23)


def test_what_cannot_be_filled_is_refused():
    """Before anything is done; whole numbers would hold nothing but 0."""
    still = np.zeros_like(PROBS)
    still.flags.writeable = False
    wrong = {"(1, 20, 30)": still[:1], "uint8": still.astype(np.uint8), "writeable: False": still}
    for said, out in wrong.items():
        with pytest.raises(DataError) as caught:
            dense_crf_windowed(IMAGE, PROBS, **SMALL, out=out)
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"window": 0, "overlap": 0}, "window: is 0"),
        ({"window": 10, "overlap": 10}, "window: is 10, and overlap 10"),
        ({"window": 10, "overlap": -1}, "overlap -1"),
        ({"window": 25}, "window: is 25, and overlap 201"),
        ({"bilateral_sxy": np.nan}, "bilateral_sxy: is nan"),
        ({"iterations": -1}, "iterations: is -1"),
        ({"gaussian_weight": np.ones(2)}, "gaussian_weight: is of shape (2,)"),
    ],
)
def test_wrong_options_are_refused(option, said):
    with pytest.raises(RecipeError) as caught:
        dense_crf_windowed(IMAGE, PROBS, **option)
    assert said in str(caught.value)
