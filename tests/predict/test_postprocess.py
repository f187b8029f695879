"""Steps after the network: laws of each, and the same answer wherever they are asked for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import atrous
from atrous.classes import Classes
from atrous.errors import Approximation, RecipeError
from atrous.kernels.regions import regions_reference
from atrous.predict.crf import dense_crf, windows
from atrous.predict.postprocess import State, check_steps, run_steps
from atrous.predict.postprocess.deciding import above, likeliest, preferred
from atrous.predict.postprocess.regions import without_holes, without_small_regions
from atrous.recipe import make_steps
from atrous.recipe.postprocessing import (
    BilateralGrid,
    Crf,
    Holes,
    Priority,
    SmallRegions,
    Thresholds,
)
from tiny_models import write_tiny

THREE = Classes(("red", "green", "blue"))
BINARY = Classes(("off", "on"), task="binary")
MANY = Classes(("red", "green", "blue"), task="multilabel")
SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=9)


def masks(largest=2):
    return arrays(np.uint8, SHAPES, elements=st.integers(0, largest))


def probabilities(count: int, size: tuple[int, int], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    made = random.random((count, *size), np.float32) ** 3
    return made / made.sum(0)


# Small regions and holes


def absorbed_reference(mask, pixels):
    """Round by round, each small region by itself."""
    while True:
        ids, _ = regions_reference(mask)
        sizes = np.bincount(ids.ravel())
        made = mask.copy()
        for region in np.flatnonzero(sizes < pixels):
            sides = {}
            for y, x in np.argwhere(ids == region):
                for b, a in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    inside = 0 <= b < mask.shape[0] and 0 <= a < mask.shape[1]
                    if inside and sizes[ids[b, a]] >= pixels:
                        sides[mask[b, a]] = sides.get(mask[b, a], 0) + 1
            if sides:
                made[ids == region] = min(sides, key=lambda k: (-sides[k], k))
        if np.array_equal(made, mask):
            return mask
        mask = made


def filled_reference(plane, pixels):
    ids, first = regions_reference(plane)
    made = plane.copy()
    for region, start in enumerate(first):
        inside = ids == region
        free = np.zeros_like(inside)
        free[1:-1, 1:-1] = True
        if not plane.flat[start] and (free | ~inside).all() and inside.sum() <= (pixels or 99):
            made[inside] = True
    return made


@given(masks(), st.integers(1, 9))
def test_small_regions_are_as_in_plain_numpy(mask, pixels):
    made = without_small_regions(mask, SmallRegions(pixels=pixels), THREE)
    assert made.dtype == mask.dtype and np.array_equal(made, absorbed_reference(mask, pixels))


@given(masks(), st.integers(1, 9))
def test_no_small_region_is_left_where_one_is_large(mask, pixels):
    made = without_small_regions(mask, SmallRegions(pixels=pixels), THREE)
    before, after = (np.bincount(regions_reference(m)[0].ravel()) for m in (mask, made))
    assert (after >= pixels).all() if (before >= pixels).any() else np.array_equal(mask, made)


@given(masks(3), st.integers(0, 9))
def test_holes_are_as_in_plain_numpy(mask, pixels):
    expected = mask.copy()
    for k in range(4):
        expected[filled_reference(expected == k, pixels) & (expected != k)] = k
    classes = Classes(("a", "b", "c", "d"))
    assert np.array_equal(without_holes(mask, Holes(pixels=pixels), classes), expected)


def taken(mask, step, classes):
    """The mask after a step that looks at nothing else."""
    image = np.zeros((*mask.shape, 3), np.uint8)
    return next(run_steps((step,), State(mask), image=image, classes=classes)).mask


@given(masks(3), st.integers(1, 9), st.sampled_from(["neighbours", "b"]))
def test_the_same_step_again_changes_nothing(mask, pixels, into):
    for classes in (Classes(("a", "b", "c", "d")), BINARY, Classes(("a", "b"), task="multilabel")):
        before = mask % 2 if classes is BINARY else mask
        for step in (SmallRegions(pixels=pixels, into=into), Holes(pixels=pixels)):
            once = taken(before, step, classes)
            assert np.array_equal(taken(once, step, classes), once)


@given(masks(7), st.integers(1, 9))
def test_planes_of_multilabel_are_each_as_a_binary_mask(mask, pixels):
    for step in (SmallRegions(pixels=pixels), Holes(pixels=pixels)):
        made = taken(mask, step, MANY)
        for k in range(3):
            assert np.array_equal(made >> k & 1, taken(mask >> k & 1, step, BINARY))


def test_small_regions_become_the_class_that_is_named_and_binary_ones_vanish():
    mask = np.array([[0, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 2]], np.uint8)
    named = without_small_regions(mask, SmallRegions(pixels=2, into="blue"), THREE)
    assert named[1, 1] == 2 and np.array_equal(named != mask, mask == 1)
    lonely = np.array([[1, 0, 1], [0, 0, 1]], np.uint8)
    made = without_small_regions(lonely, SmallRegions(pixels=2), BINARY)
    assert made.tolist() == [[0, 0, 1], [0, 0, 1]]


def test_a_hole_inside_a_hole_is_filled_with_what_is_outside():
    mask = np.full((7, 7), 2, np.uint8)
    mask[1:6, 1:6], mask[2:5, 2:5], mask[3, 3] = 1, 0, 2
    assert (without_holes(mask, Holes(pixels=0), THREE) == 2).all()
    assert without_holes(mask, Holes(pixels=1), THREE)[3, 3] == 0
    assert np.array_equal(without_holes(mask, Holes(pixels=9), THREE) == 1, (mask != 2) | _at(3, 3))


def _at(y, x):
    made = np.zeros((7, 7), bool)
    made[y, x] = True
    return made


# Probabilities


@pytest.mark.parametrize("classes", [THREE, BINARY, MANY])
def test_a_step_that_smooths_decides_anew_by_what_it_made(classes):
    image = np.random.default_rng(0).integers(0, 255, (9, 11, 3), np.uint8)
    probs = probabilities(len(classes), (9, 11), 1)
    for step in (Crf(iterations=2), BilateralGrid()):
        state = State(likeliest(probs, classes), probs.copy())
        ((mask, made),) = run_steps((step,), state, image=image, classes=classes, threads=1)
        assert made is not None and made.dtype == np.float32 and made.shape == probs.shape
        assert state.probabilities is not None and np.array_equal(state.probabilities, probs)
        assert not np.array_equal(made, probs)
        assert np.array_equal(mask, likeliest(made, classes))


def test_a_class_of_multilabel_is_smoothed_against_its_absence():
    image = np.random.default_rng(0).integers(0, 255, (9, 11, 3), np.uint8)
    probs = probabilities(4, (9, 11), 1)[:3]
    state = State(likeliest(probs, MANY), probs)
    ((_, made),) = run_steps((Crf(),), state, image=image, classes=MANY, threads=1)
    each = [dense_crf(image, np.stack([1 - plane, plane]), threads=1)[1] for plane in probs]
    assert made is not None and np.array_equal(made, each)


@pytest.mark.parametrize("classes", [THREE, BINARY, MANY])
def test_a_crf_too_large_for_memory_is_one_of_windows_and_says_so(classes, monkeypatch):
    image = np.random.default_rng(0).integers(0, 255, (60, 70, 3), np.uint8)
    probs = probabilities(len(classes), (60, 70), 1)
    step = Crf(bilateral_sxy=4.0, iterations=2)
    state = State(likeliest(probs, classes), probs)

    def made():
        ((_, made),) = run_steps((step,), state, image=image, classes=classes, threads=1)
        return made

    options = step.model_dump(exclude={"step"})
    whole, labels = made(), 2 if classes is MANY else len(classes)
    monkeypatch.setattr(windows, "BUDGET", 40 * 40 * windows.working_bytes(labels, 3))
    with pytest.warns(Approximation, match="windows of 40 x 40 pixels that overlap by 12") as told:
        parts = made()
    assert len(told) == 1 and whole is not None and parts is not None
    assert 0 < np.abs(parts - whole).max() < 0.5
    cases = [np.stack([1 - plane, plane]) for plane in probs] if classes is MANY else [probs]
    by_hand = [
        windows.dense_crf_windowed(image, case, window=40, overlap=12, **options) for case in cases
    ]
    assert np.array_equal(parts, [q[1] for q in by_hand] if classes is MANY else by_hand[0])


def test_thresholds_of_one_half_are_no_thresholds():
    for classes in (BINARY, MANY):
        probs = probabilities(len(classes), (9, 11), 2)
        half = (0.5,) * classes.num_logits
        assert np.array_equal(above(probs, half, classes), likeliest(probs, classes))


def test_each_threshold_is_of_its_own_class():
    probs = np.array([[[0.2]], [[0.2]], [[0.9]]], np.float32)
    assert above(probs, (0.1, 0.3, 0.95), MANY).tolist() == [[1]]
    assert above(np.array([[[0.7]], [[0.3]]], np.float32), (0.25,), BINARY).tolist() == [[1]]


def test_the_first_class_of_a_list_with_enough_probability_has_the_pixel():
    probs = np.array([[[0.6, 0.4, 0.3]], [[0.3, 0.29, 0.3]], [[0.1, 0.31, 0.4]]], np.float32)
    mask = likeliest(probs, THREE)
    step = Priority(classes=("green", "blue"), probability=0.3)
    assert mask.tolist() == [[0, 0, 2]]
    assert preferred(mask, probs, step, THREE).tolist() == [[1, 2, 1]]
    turned = Priority(classes=("blue", "green"), probability=0.3)
    assert preferred(mask, probs, turned, THREE).tolist() == [[1, 2, 2]]


# Together


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.onnx")


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 255, (40, 44, 3), np.uint8)


SEVERAL = (
    {"step": "crf", "iterations": 2, "bilateral_srgb": 60},
    {"step": "priority", "classes": ["blue"], "probability": 0.4},
    {"step": "small_regions", "pixels": 20},
    {"step": "holes", "pixels": 0},
)


def load(model, postprocess=None):
    return atrous.load(model, engine="onnxruntime", threads=1, postprocess=postprocess)


def test_steps_are_taken_in_their_order(model, picture):
    first, second = SEVERAL[1:3]
    one, other = (load(model, o)(picture).mask for o in ([first, second], [second, first]))
    assert not np.array_equal(one, other)
    *_, last = load(model, SEVERAL).stages(picture)
    masks = [stage.mask for stage in load(model, SEVERAL).stages(picture)]
    assert len(masks) == 5 and np.array_equal(last.mask, load(model, SEVERAL)(picture).mask)
    for count, mask in enumerate(masks):
        assert np.array_equal(mask, load(model, SEVERAL[:count])(picture).mask)


def test_without_steps_nothing_changes(model, picture):
    plain, none = load(model), load(model, [])
    assert plain.note == none.note and plain.postprocess == none.postprocess == ()
    a, b = plain(picture), none(picture)
    assert not a.changed and a.refined is None
    for measure in ("probabilities", "confidence", "entropy"):
        assert np.array_equal(getattr(a, measure)(), getattr(b, measure)())


def test_maps_are_of_what_the_steps_made(model, picture):
    crf = load(model, SEVERAL[:1])(picture)
    before = next(load(model, SEVERAL[:1]).stages(picture))
    probs = crf.probabilities()
    assert np.array_equal(probs.argmax(0), crf.mask)
    assert not np.array_equal(probs, before.probabilities())
    assert np.array_equal(crf.confidence(), probs.max(0))
    expected = -(probs * np.log(np.maximum(probs, 1e-38))).sum(0)
    assert np.allclose(crf.entropy(), expected, atol=1e-6)
    assert np.array_equal(crf.confidence(slice(3, 9)), crf.confidence()[3:9])
    small = load(model, SEVERAL[2:])(picture)
    of_mask = np.take_along_axis(before.probabilities(), small.mask[None].astype(int), 0)[0]
    assert np.array_equal(small.confidence(), of_mask) and (of_mask < before.confidence()).any()
    assert np.array_equal(small.entropy(), before.entropy())


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_other_tasks_have_steps_too(task, tmp_path, picture):
    classes = Classes(("off", "on")) if task == "binary" else THREE
    weights = (
        np.array([[0.02, 0, -0.02]], np.float32) if task == "binary" else np.eye(3) * 0.03 - 0.01
    )
    file = write_tiny(tmp_path / "m.onnx", weights=weights, classes=replace(classes, task=task))
    count = 1 if task == "binary" else 3
    steps = [
        {"step": "crf", "iterations": 1},
        {"step": "thresholds", "probabilities": [0.6] * count},
    ]
    made = load(file, [*steps, *SEVERAL[2:]])(picture)
    certain = made.confidence()
    assert made.mask.any() and made.entropy().shape == certain.shape == (40, 44)
    if task == "multilabel":
        p, bits = made.probabilities(), made.mask[None] >> np.arange(3)[:, None, None] & 1
        assert np.array_equal(certain, np.where(bits, p, 1 - p).min(0))


# What is refused


@pytest.mark.parametrize(
    ("steps", "classes", "parts"),
    [
        ([Priority(classes=("red", "gren"))], THREE, ["[0].priority.classes", "'gren'", "green?"]),
        ([SmallRegions(into="sky")], THREE, [".into", "'sky'", "red, green"]),
        (
            [Holes(), SmallRegions(into="off")],
            BINARY,
            ["[1].small_regions.into", "'off'"],
        ),
        ([Thresholds(probabilities=(0.5,))], THREE, ["thresholds", "multiclass", "priority"]),
        (
            [Thresholds(probabilities=(0.5,))],
            MANY,
            [".probabilities", "are 1", "needs 3"],
        ),
        ([Thresholds(probabilities=(0.5, 0.5))], BINARY, ["are 2", "needs 1", "on"]),
        ([Priority(classes=("red",))], MANY, ["priority", "multilabel", "thresholds"]),
        ([Holes(), Crf()], THREE, ["[1].crf", "comes after holes", "Put it before holes"]),
        ([Holes(), Thresholds(probabilities=(0.5,))], BINARY, ["thresholds", "after holes"]),
    ],
)
def test_steps_that_do_not_fit_are_named(steps, classes, parts):
    with pytest.raises(RecipeError) as caught:
        check_steps(tuple(steps), classes)
    for part in parts:
        assert part in str(caught.value)


def test_colours_of_float_pictures_are_refused():
    check_steps((Holes(),), THREE, dtype="float32")
    with pytest.raises(RecipeError, match=r"\[0\]\.bilateral_grid: .*float32"):
        check_steps((BilateralGrid(),), THREE, dtype="float32")


def test_a_model_is_loaded_with_steps_that_fit_alone(model):
    with pytest.raises(RecipeError, match="names 'sky'"):
        load(model, [{"step": "priority", "classes": ["sky"]}])
    with pytest.raises(RecipeError, match=r"load, postprocess\[0\].*'crff'.*the steps are crf"):
        load(model, [{"step": "crff"}])


def test_options_stand_for_tables_and_tables_for_options(model):
    steps = make_steps(SEVERAL, where="here")
    assert load(model, SEVERAL).postprocess == load(model, steps).postprocess == steps
