"""The laws of the dense CRF, and parity: with brute force, with golden maps, with pydensecrf2."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as pil

from atrous.errors import AtrousError, DataError, ImageError, MaskError, RecipeError
from atrous.predict.crf import dense_crf, dense_crf_reference, unary_from_labels
from atrous.predict.crf.checks import Widths, check_options
from atrous.predict.crf.inference import LEAST

NORMALIZATIONS = ("symmetric", "before", "after", "none")
MODES = ("lattice", "exact-spatial")
NEAR = 1e-4  # of Q: what is asked of parity; 2e-6 was seen
SMALL: Any = {"gaussian_sxy": 2.0, "bilateral_sxy": 8.0, "bilateral_srgb": 40.0}
ABSENT = "pydensecrf2 is not installed (dependency group parity-built, which needs a C++ compiler)"


def scene(height=24, width=24, labels=3, seed=0, sharp=1.0):
    """A picture of a few flat regions with noise, and unsure probabilities of its labels."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, labels, ((height + 7) // 8, (width + 7) // 8))
    mask = np.kron(coarse, np.ones((8, 8), int))[:height, :width]
    colours = random.integers(0, 256, (labels, 3))
    image = colours[mask] + random.normal(size=(height, width, 3)) * 10
    logits = sharp * (mask == np.arange(labels).reshape(-1, 1, 1)) + random.normal(
        size=(labels, height, width)
    )
    weights = np.exp(logits)
    return image.clip(0, 255).astype(np.uint8), (weights / weights.sum(0)).astype(np.float32)


@st.composite
def scenes(draw):
    size = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    return scene(*size, draw(st.sampled_from([2, 3, 5, 9])), draw(st.integers(0, 99)))


# Against the exact model, every pixel with every pixel.


@pytest.mark.parametrize("normalization", NORMALIZATIONS[:3])
@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("iterations", [1, 10])
def test_the_lattice_is_near_brute_force(labels, normalization, iterations):
    """Q within 0.08, on average within 0.005."""
    image, probs = scene(labels=labels)
    how: Any = {**SMALL, "normalization": normalization, "iterations": iterations}
    apart = np.abs(dense_crf(image, probs, **how) - dense_crf_reference(image, probs, **how))
    assert apart.max() <= 0.08 and apart.mean() <= 0.005


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("weight", [0.2, "each", "pairs"])
def test_the_exact_spatial_kernel_is_brute_force(labels, normalization, weight):
    image, probs = scene(labels=labels)
    each = np.linspace(0.1, 0.3, labels)
    pairs = np.abs(np.subtract.outer(each, each))
    how: Any = {
        **SMALL,
        "gaussian_weight": {"each": each, "pairs": pairs}.get(weight, weight),
        "bilateral_weight": 0,
        "normalization": normalization,
    }
    made = dense_crf(image, probs, mode="exact-spatial", **how)
    assert np.abs(made - dense_crf_reference(image, probs, **how)).max() <= 1e-5


# Against Krahenbuhl's code.


def golden_map(shared_data: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(shared_data / "dense_crf" / f"q_{name}.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", ["anno1", "anno1-b", "anno2", "anno3"])
def test_golden_maps_of_hard_labels(shared_data: Path, name):
    golden = golden_map(shared_data, name)
    picture = shared_data / "dense_crf" / f"im{name[4]}.png"
    image = np.asarray(pil.open(picture).convert("RGB"))
    probs = unary_from_labels(golden["labels"], num_classes=len(golden["q"]))
    assert np.allclose(-np.log(probs), golden["unary"])
    how: Any = {"bilateral_sxy": 80.0, "bilateral_srgb": 13.0, "bilateral_weight": 10.0}
    agrees(dense_crf(image, probs, iterations=5, **how), golden["q"])


def test_golden_map_of_probabilities(shared_data: Path):
    golden = golden_map(shared_data, "camvid")
    agrees(dense_crf(golden["image"], golden["probs"], gaussian_sxy=1.0), golden["q"])


def test_the_exact_spatial_kernel_is_another_filter(shared_data: Path):
    """Far from the lattice at some pixels, the same label at nearly all."""
    golden = golden_map(shared_data, "camvid")
    made = dense_crf(golden["image"], golden["probs"], gaussian_sxy=1.0, mode="exact-spatial")
    assert np.abs(made - golden["q"]).max() <= 0.2
    assert (made.argmax(0) == golden["q"].argmax(0)).mean() >= 0.999


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("labels", [2, 3, 5, 21])
def test_pydensecrf_agrees(shared_data: Path, normalization, labels):
    golden = golden_map(shared_data, "camvid")
    image = golden["image"][:120, :160]
    _, probs = scene(120, 160, labels, sharp=2.0)
    weights = (0.02, 0.01) if normalization == "none" else (3.0, 4.0)
    how: Any = {"gaussian_weight": weights[0], "bilateral_weight": weights[1]}
    made = dense_crf(image, probs, normalization=normalization, prune=False, **how)
    agrees(made, by_pydensecrf(image, probs, normalization, *weights))


@pytest.mark.parametrize("kind", ["each", "pairs"])
def test_pydensecrf_agrees_on_compatibilities(shared_data: Path, kind):
    """Its gain for each label has the other sign."""
    image = golden_map(shared_data, "camvid")["image"][:120, :160]
    _, probs = scene(120, 160, 5, sharp=2.0)
    each = np.linspace(1, 4, 5).astype(np.float32)
    pairs = np.abs(np.subtract.outer(each, each))
    ours, theirs = {"each": (each, -each), "pairs": (pairs, pairs)}[kind]
    made = dense_crf(image, probs, gaussian_weight=ours, bilateral_weight=ours)
    agrees(made, by_pydensecrf(image, probs, "symmetric", theirs, theirs))


def agrees(made, expected):
    assert np.abs(made - expected).max() <= NEAR
    assert (made.argmax(0) == expected.argmax(0)).mean() >= 0.9999


def by_pydensecrf(image, probs, normalization, spatial, bilateral):
    densecrf: Any = pytest.importorskip("pydensecrf.densecrf", reason=ABSENT)
    labels, height, width = probs.shape
    names = {"none": "NO_NORMALIZATION"}
    how = getattr(densecrf, names.get(normalization, f"NORMALIZE_{normalization.upper()}"))
    crf = densecrf.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(-np.log(np.maximum(probs, LEAST)).reshape(labels, -1)))
    crf.addPairwiseGaussian(sxy=3, compat=spatial, normalization=how)
    guide = np.ascontiguousarray(image)
    crf.addPairwiseBilateral(sxy=67, srgb=3, rgbim=guide, compat=bilateral, normalization=how)
    return np.array(crf.inference(10)).reshape(probs.shape)


# Laws.


@given(scenes(), st.sampled_from(MODES), st.sampled_from(NORMALIZATIONS))
def test_probabilities_stay_normalised(case, mode, normalization):
    image, probs = case
    made = dense_crf(image, probs, **SMALL, mode=mode, normalization=normalization)
    assert made.dtype == np.float32 and made.shape == probs.shape
    assert np.abs(made.sum(0) - 1).max() <= 1e-5 and made.min() >= 0


@given(scenes(), st.sampled_from(MODES))
def test_the_order_of_labels_does_not_matter(case, mode):
    image, probs = case
    order = np.random.default_rng(0).permutation(len(probs))
    made = dense_crf(image, probs, **SMALL, mode=mode)
    assert np.allclose(dense_crf(image, probs[order], **SMALL, mode=mode), made[order], atol=NEAR)


@given(scenes(), st.floats(0.991, 1.009))
def test_a_constant_added_to_the_unary_does_not_matter(case, factor):
    image, probs = case
    scaled = probs * np.float32(factor)
    made = dense_crf(image, scaled, **SMALL)
    assert np.allclose(made, dense_crf(image, probs, **SMALL), atol=NEAR)


@given(scenes(), st.sampled_from(MODES))
def test_weights_of_zero_and_no_iterations_change_nothing(case, mode):
    image, probs = case
    nothing = np.zeros((len(probs), len(probs)))
    for weight in (0, nothing[0], nothing):
        weights: Any = {"gaussian_weight": weight, "bilateral_weight": weight}
        assert np.allclose(dense_crf(image, probs, mode=mode, **weights), probs, atol=1e-6)
    assert np.allclose(dense_crf(image, probs, mode=mode, iterations=0), probs, atol=1e-6)


@settings(max_examples=10)
@given(scenes(), st.sampled_from(MODES))
def test_potts_is_the_same_in_all_three_ways_to_say_it(case, mode):
    image, probs = case
    eye = np.eye(len(probs))
    one, *others = (
        dense_crf(
            image, probs, **SMALL, mode=mode, gaussian_weight=w, bilateral_weight=w, prune=False
        )
        for w in (1.5, 1.5 * np.ones(len(probs)), 1.5 * (1 - eye))
    )
    assert all(np.allclose(one, other, atol=NEAR) for other in others)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("labels", [2, 3, 21])
def test_threads_change_no_bit(labels, mode):
    image, probs = scene(150, 130, labels)
    made = [dense_crf(image, probs, threads=threads, mode=mode) for threads in (1, 2)]
    assert np.array_equal(made[0], made[1])


@pytest.mark.parametrize("labels", [2, 4])
def test_two_labels_alone_are_two_among_three(labels):
    """The kernel for two labels agrees with that for more, where the third is nowhere."""
    image, probs = scene(60, 50, labels)
    more = np.concatenate([probs, np.full_like(probs[:1], LEAST)])
    made = dense_crf(image, more, prune=False)[:labels]
    assert np.allclose(made, dense_crf(image, probs, prune=False), atol=1e-5)


def test_a_transposed_picture_is_nearly_transposed():
    """Columns come first in the lattice, so it is another one: labels differ at a few edges."""
    image, probs = scene(64, 48, 3, sharp=2.0)
    made = dense_crf(image, probs, **SMALL)
    turned = dense_crf(image.transpose(1, 0, 2).copy(), probs.transpose(0, 2, 1).copy(), **SMALL)
    turned = turned.transpose(0, 2, 1)
    assert np.abs(made - turned).mean() <= 0.01
    assert (made.argmax(0) == turned.argmax(0)).mean() >= 0.99
    exact: Any = {**SMALL, "bilateral_weight": 0, "mode": "exact-spatial"}
    made = dense_crf(image, probs, **exact)
    turned = dense_crf(image.transpose(1, 0, 2), probs.transpose(0, 2, 1), **exact)
    assert np.allclose(made, turned.transpose(0, 2, 1), atol=1e-5)


@pytest.mark.parametrize("labels", [2, 3])
def test_a_picture_of_one_colour_has_a_spatial_kernel_only(labels):
    """Within what a lattice of five dimensions differs from one of two."""
    _, probs = scene(40, 30, labels)
    spatial = dense_crf(np.zeros((40, 30, 3), np.uint8), probs, bilateral_weight=0)
    for value in (0, 200):
        image = np.full((40, 30, 3), value, np.uint8)
        how: Any = {"gaussian_weight": 0, "bilateral_sxy": 3.0, "bilateral_weight": 3.0}
        made = dense_crf(image, probs, **how)
        assert np.abs(made - spatial).max() <= 0.15 and np.abs(made - spatial).mean() <= 0.015
        assert (made.argmax(0) == spatial.argmax(0)).mean() >= 0.98


# Labels that are filtered no more.


def faint(labels=12, strong=3):
    """Probabilities of which most labels are faint everywhere, and some pixels unsure."""
    image, few = scene(60, 70, strong)
    rest = np.random.default_rng(0).random((labels - strong, 60, 70)).astype(np.float32)
    rest *= 0.2 / rest.sum(0).max()
    return image, np.concatenate([few * (1 - rest.sum(0)), rest])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("iterations", [0, 1, 2, 10])
def test_labels_that_fade_change_little(mode, iterations):
    image, probs = faint()
    how: Any = {"iterations": iterations, "mode": mode}
    whole, pruned = (dense_crf(image, probs, prune=prune, **how) for prune in (False, True))
    assert np.abs(pruned - whole).max() <= 0.01
    assert (pruned.argmax(0) == whole.argmax(0)).mean() >= 0.999
    assert np.abs(pruned.sum(0) - 1).max() <= 1e-5 and pruned.min() >= 0
    assert np.array_equal(pruned, whole) == (iterations < 2)


def test_all_labels_are_filtered_where_a_weight_repels_or_mixes():
    image, probs = faint()
    for weight in (-1.0, np.ones(len(probs)), 1 - np.eye(len(probs))):
        how: Any = {"gaussian_weight": weight, "iterations": 3}
        assert np.array_equal(
            dense_crf(image, probs, **how), dense_crf(image, probs, prune=False, **how)
        )


def test_a_label_that_wins_a_pixel_is_filtered_however_little_it_holds():
    image, _ = scene(16, 16)
    probs = np.full((40, 16, 16), 1 / 40, np.float32)
    probs[7] += 0.01
    probs /= probs.sum(0)
    how: Any = {"gaussian_weight": 1.0, "bilateral_weight": 0.5}
    whole, pruned = (dense_crf(image, probs, prune=prune, **how) for prune in (False, True))
    assert (pruned.argmax(0) == 7).all() and np.abs(pruned - whole).max() <= 0.01


def test_where_no_label_is_sure_pruning_keeps_the_labels_but_not_the_probabilities():
    """As the docstring of `dense_crf` says: many labels that fade hold much together."""
    mask = np.kron(np.random.default_rng(0).integers(0, 16, (4, 5)), np.ones((12, 12), np.uint8))
    image = np.stack([mask * 15] * 3, axis=2).astype(np.uint8)
    weights = np.exp(1.2 * (mask == np.arange(40).reshape(-1, 1, 1)))
    probs = (weights / weights.sum(0)).astype(np.float32)
    whole, pruned = (dense_crf(image, probs, prune=prune) for prune in (False, True))
    assert 0.3 <= np.abs(pruned - whole).max() <= 0.7
    assert np.array_equal(pruned.argmax(0), whole.argmax(0))


@pytest.mark.parametrize("strong", [1, 2, 3, 4])
def test_few_labels_may_be_left(strong):
    image, probs = faint(9, strong)
    whole, pruned = (dense_crf(image, probs, prune=prune) for prune in (False, True))
    assert np.abs(pruned - whole).max() <= 0.01


def test_one_label_that_is_everywhere_is_sure():
    image, _ = scene()
    probs = np.zeros((4, 24, 24), np.float32)
    probs[2] = 1
    assert np.allclose(dense_crf(image, probs), probs, atol=1e-6)
    assert np.array_equal(dense_crf(image, probs[2:3]), probs[2:3])


# What comes in.


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)])
@pytest.mark.parametrize("labels", [1, 2, 5])
@pytest.mark.parametrize("mode", MODES)
def test_lines_and_single_pixels_have_right_answers(size, labels, mode):
    image, probs = scene(size[0], size[1], labels)
    made = dense_crf(image, probs, **SMALL, mode=mode, iterations=1)
    expected = dense_crf_reference(image, probs, **SMALL, iterations=1)
    assert np.abs(made - expected).max() <= 0.1


@pytest.mark.parametrize("bands", [1, 2, 4, 7])
def test_guides_of_any_number_of_bands(bands):
    image, probs = scene(labels=2)
    wide = np.concatenate([image] * 3, axis=2)[:, :, :bands]
    how: Any = {**SMALL, "iterations": 1}
    made, expected = dense_crf(wide, probs, **how), dense_crf_reference(wide, probs, **how)
    assert np.abs(made - expected).mean() <= 0.03


def test_a_guide_of_16_bits_is_one_of_8_with_a_wider_kernel():
    image, probs = scene()
    deep = image.astype(np.uint16) * 256
    made = dense_crf(deep, probs, bilateral_srgb=3 * 256)
    assert np.allclose(made, dense_crf(image, probs, bilateral_srgb=3), atol=1e-6)


def test_other_layouts_and_precisions_are_taken():
    image, probs = scene(20, 30)
    made = dense_crf(image, probs)
    assert np.array_equal(dense_crf(np.asfortranarray(image), np.asfortranarray(probs)), made)
    image.flags.writeable = probs.flags.writeable = False
    assert np.array_equal(dense_crf(image, probs.astype(np.float64)), made)
    assert np.abs(dense_crf(image, probs.astype(np.float16)) - made).max() <= 0.05


IMAGE, PROBS = scene(6, 8, 3)


@pytest.mark.parametrize(
    ("image", "probs", "error", "said"),
    [
        (IMAGE[:, :, 0], PROBS, ImageError, "(6, 8)"),
        (IMAGE.astype(np.float32), PROBS, ImageError, "float32"),
        (IMAGE[:0], PROBS[:, :0], ImageError, "(0, 8, 3)"),
        (IMAGE, PROBS[:, :5], DataError, "(3, 5, 8)"),
        (IMAGE, PROBS[:0], DataError, "(0, 6, 8)"),
        (IMAGE, PROBS[0], DataError, "(6, 8)"),
        (IMAGE, PROBS * 2, DataError, "add up to 2"),
        (IMAGE, np.log(PROBS), DataError, "pixel (0, 0)"),
        (IMAGE, PROBS + np.where(np.arange(8) == 3, np.nan, 0), DataError, "pixel (0, 3)"),
        (IMAGE, PROBS + np.array([[[1]], [[-1]], [[0]]]), DataError, "from -"),
        (IMAGE, PROBS + np.array([[[np.inf]], [[-np.inf]], [[0]]]), DataError, "from -inf"),
        (IMAGE, (PROBS > 0.5).astype(np.int64), DataError, "int64"),
    ],
)
def test_wrong_arrays_are_refused(image, probs, error, said):
    with pytest.raises(error) as caught:
        dense_crf(image, probs)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"gaussian_sxy": 0.0}, "gaussian_sxy: is 0.0"),
        ({"bilateral_srgb": np.nan}, "bilateral_srgb: is nan"),
        ({"bilateral_sxy": np.inf}, "bilateral_sxy: is inf"),
        ({"bilateral_srgb": 1e-3}, "bilateral_srgb: is 0.001"),
        ({"gaussian_weight": np.ones(2)}, "gaussian_weight: is of shape (2,)"),
        ({"gaussian_sxy": 1e39}, "gaussian_sxy: is 1e+39"),
        ({"bilateral_weight": np.inf}, "up to inf"),
        ({"bilateral_weight": [1, np.nan, 2]}, "up to nan"),
        ({"bilateral_weight": -1e39}, "up to 1e+39"),
        ({"bilateral_weight": np.array([[0, 1, 2], [1, 0, 3], [2, 4, 0]])}, "costs 3.0"),
        ({"iterations": -1}, "iterations: is -1"),
        ({"iterations": 2.0}, "iterations: is 2.0"),
        ({"iterations": np.nan}, "iterations: is nan"),
        ({"normalization": "both"}, "'both'"),
        ({"mode": "exact"}, "'exact'"),
        ({"origin": (-1, 0)}, "origin: is (-1, 0)"),
        ({"origin": (0, 2.5)}, "origin: is (0, 2.5)"),
        ({"origin": (0, True)}, "origin: is (0, True)"),
        ({"origin": (3,)}, "origin: is (3,)"),
        ({"origin": (1, 2, 3)}, "origin: is (1, 2, 3)"),
        ({"origin": 5}, "origin: is 5"),
        ({"origin": (0, 1 << 24)}, "origin: is (0, 16777216)"),
    ],
)
def test_wrong_options_are_refused(option, said):
    with pytest.raises(RecipeError) as caught:
        dense_crf(IMAGE, PROBS, **option)
    assert said in str(caught.value)


def test_a_width_that_is_0_in_single_precision_is_refused():
    """Of a black picture any other will do."""
    black = np.zeros_like(IMAGE)
    with pytest.raises(RecipeError, match="bilateral_srgb: is 1e-50"):
        dense_crf(black, PROBS, bilateral_srgb=1e-50)
    assert np.isfinite(dense_crf(black, PROBS, bilateral_srgb=1e-9)).all()


def test_a_picture_whose_pixels_a_lattice_cannot_number_is_refused():
    large = np.broadcast_to(IMAGE[:1, :1], (1 << 14, 1 << 13, 3))
    with pytest.raises(ImageError, match="has 134217728 pixels of 3 bands"):
        check_options(large, Widths(3.0, 67.0, 3.0), 10, "symmetric", "lattice")


def test_keys_without_room_are_refused():
    image = np.full((4, 4, 7), 255, np.uint8)
    image[0] = 0
    with pytest.raises(RecipeError, match="7 bands need keys of"):
        dense_crf(image, np.full((2, 4, 4), 0.5, np.float32), bilateral_srgb=0.05)


# Hard labels.


@given(st.integers(2, 9), st.floats(0.01, 1))
def test_hard_labels_become_probabilities(num_classes, certainty):
    labels = np.random.default_rng(0).integers(-1, num_classes, (5, 7))
    probs = unary_from_labels(labels, num_classes=num_classes, certainty=certainty)
    assert np.abs(probs.sum(0) - 1).max() <= 1e-5
    assert np.allclose(probs[:, labels == -1], 1 / num_classes)
    y, x = np.nonzero(labels >= 0)
    assert np.allclose(probs[labels[y, x], y, x], certainty)


def test_a_label_without_another_is_sure():
    """What is left of a certainty would be nobody's, and the probabilities no sum of 1."""
    alone = np.array([[0, -1]])
    assert (unary_from_labels(alone, num_classes=1, certainty=1) == 1).all()
    with pytest.raises(RecipeError, match=r"certainty: is 0\.7, and num_classes 1"):
        unary_from_labels(alone, num_classes=1)


@pytest.mark.parametrize(
    ("labels", "how", "said"),
    [
        (np.array([[0, 3]]), {}, "pixel (0, 1) is of class 3"),
        (np.array([[0, -1]]), {"unknown": 255}, "class -1"),
        (np.array([[0.5]]), {}, "float64"),
        (np.array([0]), {}, "(1,)"),
        (np.array([[0]]), {"certainty": 1.5}, "1.5"),
    ],
)
def test_wrong_labels_are_refused(labels, how, said):
    with pytest.raises(AtrousError) as caught:
        unary_from_labels(labels, num_classes=3, **how)
    assert said in str(caught.value)
    assert isinstance(caught.value, MaskError | RecipeError)
