import math
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from atrous.losses import (
    Pixels,
    at_pixels,
    boundary,
    cross_entropy,
    dice,
    focal,
    hardest,
    jaccard_growth,
    loss,
    lovasz,
    near_borders,
    ohem,
    term,
    tversky,
)
from atrous.recipe import Loss
from atrous.recipe.training import TERMS
from atrous.types import Grid, Task

GRID = Grid(4)
TASKS = ["multiclass", "binary", "multilabel"]
PLANES = {"multiclass": 3, "binary": 1, "multilabel": 3}
VALUES = {"multiclass": 3, "binary": 2, "multilabel": 8}  # of masks, from 0 on
IGNORE = {"multiclass": 255, "binary": 255, "multilabel": 8}
of_each_term = pytest.mark.parametrize("name", TERMS)
of_each_task = pytest.mark.parametrize("task", TASKS)


def case(task: Task = "multiclass"):
    """Grid logits, and masks of blobs, so that there are borders and places far from them."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, PLANES[task], 5, 6, generator=random, requires_grad=True)
    masks = torch.randint(0, VALUES[task], (2, 3, 4), generator=random, dtype=torch.uint8)
    masks = masks.repeat_interleave(6, 1).repeat_interleave(6, 2)[:, :18, :23].clone()
    masks[:, 2:5] = IGNORE[task]
    return logits, masks


def loss_of(logits, masks, task: Task = "multiclass", weights=None, **options):
    """`loss`, of no term but those named."""
    chosen = Loss(**{"cross_entropy": 0.0, **options})
    return loss(
        logits,
        masks,
        grid=GRID,
        options=chosen,
        task=task,
        ignore_index=IGNORE[task],
        class_weights=weights,
    )


def pixels_of(task: Task = "multiclass", weights=None, size=(2, 5, 7), seed=0):
    """Random logits at pixels, in float64, and masks; a fifth is void."""
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(size[0], PLANES[task], *size[1:], generator=random, dtype=torch.float64)
    masks = torch.randint(0, VALUES[task], size, generator=random)
    masks[torch.rand(size, generator=random) < 0.2] = IGNORE[task]
    return Pixels(logits.requires_grad_(), masks, task, IGNORE[task], weights)


def answered(logits, pixels):
    """The same truth, answered otherwise."""
    return Pixels(logits, pixels.masks, pixels.task, pixels.ignore_index, pixels.class_weights)


def per_pixel(result):
    total, valid = result
    return float(total.detach() / valid)


def test_logits_at_pixels_are_half_pixel_bilinear_and_cropped():
    logits, _ = case()
    whole = F.interpolate(logits, size=(20, 24), mode="bilinear", align_corners=False)
    torch.testing.assert_close(at_pixels(logits, grid=GRID, size=(18, 23)), whole[..., :18, :23])


@of_each_term
@of_each_task
class TestEveryTermOfEveryTask:
    def test_void_is_never_trained_on(self, name, task):
        logits, masks = case(task)
        masks[:, :, 12:] = IGNORE[task]  # a void right part: the cells there get no gradient
        total, valid = loss_of(logits, masks, task, **{name: 1.0})
        total.backward()
        assert logits.grad is not None
        assert logits.grad[..., 4:].abs().sum() == 0
        assert logits.grad[..., :3].abs().sum() > 0
        assert int(valid) == int((masks != IGNORE[task]).sum())

    def test_what_is_answered_in_void_does_not_matter(self, name, task):
        pixels = pixels_of(task)
        other = torch.where(pixels.valid[:, None], pixels.logits, 5.0)
        one = term(name, pixels, Loss())[0]
        torch.testing.assert_close(term(name, answered(other, pixels), Loss())[0], one)

    def test_only_void_gives_zero_no_pixels_and_a_gradient_of_zeros(self, name, task):
        logits, masks = case(task)
        void = torch.full_like(masks, IGNORE[task])
        total, valid = loss_of(logits, void, task, **{name: 1.0})
        total.backward()
        assert float(total.detach()) == 0 and int(valid) == 0
        assert logits.grad is not None and (logits.grad == 0).all()

    def test_right_and_sure_costs_nothing_and_worse_costs_more(self, name, task):
        pixels = pixels_of(task)
        sides = pixels.truth * 2.0 - 1.0
        perfect, guessed, wrong = (
            per_pixel(term(name, answered(logits, pixels), Loss()))
            for logits in (40 * sides, 0 * sides, -40 * sides)
        )
        assert abs(perfect) < 1e-12 < 0.02 < guessed < wrong

    def test_the_gradient_is_that_of_differences(self, name, task):
        pixels = pixels_of(task, size=(1, 2, 4), seed=1)
        share = Loss(ohem_share=0.5, ohem_threshold=0.2, boundary_pixels=1)

        def total(logits):
            return term(name, answered(logits, pixels), share)[0]

        assert torch.autograd.gradcheck(total, (pixels.logits,))

    def test_answers_beyond_all_measure_leave_numbers_finite(self, name, task):
        pixels = pixels_of(task)
        extreme = (1e4 * pixels.logits).detach().float().requires_grad_()
        total, _ = term(name, answered(extreme, pixels), Loss(focal_gamma=0.5))
        total.backward()
        assert total.isfinite()
        assert extreme.grad is not None and extreme.grad.isfinite().all()

    def test_the_loss_of_the_same_pictures_twice_is_the_loss(self, name, task):
        pixels = pixels_of(task)
        logits, masks = torch.cat([pixels.logits] * 2), torch.cat([pixels.masks] * 2)
        twice = Pixels(logits, masks, task, IGNORE[task])
        once = per_pixel(term(name, pixels, Loss()))
        assert per_pixel(term(name, twice, Loss())) == pytest.approx(once)


@of_each_task
@pytest.mark.parametrize("name", ["cross_entropy", "focal", "boundary"])
def test_sums_and_counts_of_parts_add_up_to_those_of_the_whole(name, task):
    logits, masks = case(task)
    whole = loss_of(logits, masks, task, **{name: 1.0})
    parts = [loss_of(logits[i : i + 1], masks[i : i + 1], task, **{name: 1.0}) for i in range(2)]
    torch.testing.assert_close(parts[0][0] + parts[1][0], whole[0])
    assert parts[0][1] + parts[1][1] == whole[1]


@of_each_task
def test_the_loss_is_the_sum_of_its_terms_with_their_weights(task):
    logits, masks = case(task)
    weights = {name: 0.5 + i for i, name in enumerate(TERMS)}
    every, valid = loss_of(logits, masks, task, **weights)
    alone = [weights[name] * loss_of(logits, masks, task, **{name: 1.0})[0] for name in TERMS]
    torch.testing.assert_close(every, torch.stack(alone).sum())
    assert int(valid) == int((masks != IGNORE[task]).sum())


@of_each_term
def test_one_class_of_multilabel_masks_is_binary(name):
    logits, masks = case("binary")
    binary = loss_of(logits, masks, "binary", **{name: 1.0})
    bits = torch.where(masks == 255, 2, masks)
    options = Loss.model_validate({"cross_entropy": 0.0, name: 1.0})
    multilabel = loss(logits, bits, grid=GRID, options=options, task="multilabel", ignore_index=2)
    torch.testing.assert_close(multilabel, binary)


@pytest.mark.parametrize("name", ["cross_entropy", "ohem", "focal", "boundary"])
def test_a_sigmoid_is_a_soft_max_of_two(name):
    logits, masks = case("binary")
    weights = torch.tensor([0.5, 3.0])
    both = torch.cat([torch.zeros_like(logits), logits], 1)
    torch.testing.assert_close(
        loss_of(both, masks, "multiclass", weights, **{name: 1.0}),
        loss_of(logits, masks, "binary", weights, **{name: 1.0}),
    )


@of_each_task
def test_the_type_of_masks_does_not_matter_and_rough_logits_are_summed_in_float32(task):
    logits, masks = case(task)
    one = loss_of(logits.bfloat16(), masks, task, cross_entropy=1.0, dice=1.0)
    two = loss_of(
        logits.bfloat16().float(), masks.to(torch.uint16), task, cross_entropy=1.0, dice=1.0
    )
    assert one[0].dtype == torch.float32
    torch.testing.assert_close(one, two, rtol=0, atol=0)


class TestCrossEntropy:
    def test_weights_multiply_the_loss_of_their_class(self):
        weights = torch.tensor([1.0, 2.0, 0.5])
        pixels = pixels_of(weights=weights.double())
        logs, masks = pixels.logits.log_softmax(1).detach().numpy(), pixels.masks.numpy()
        expected = sum(-float(weights[k]) * logs[:, k][masks == k].sum() for k in range(3))
        np.testing.assert_allclose(float(cross_entropy(pixels)[0].detach()), expected)

    def test_of_binary_masks_it_is_the_binary_one_of_torch(self):
        pixels = pixels_of("binary", torch.tensor([0.5, 3.0]))
        logits, truth = pixels.logits[:, 0][pixels.valid], pixels.masks[pixels.valid].double()
        weights = torch.where(truth == 1, 3.0, 0.5)
        expected = F.binary_cross_entropy_with_logits(logits, truth, weights, reduction="sum")
        torch.testing.assert_close(cross_entropy(pixels)[0], expected)

    def test_of_multilabel_masks_it_is_the_mean_over_the_planes(self):
        weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
        pixels = pixels_of("multilabel", weights)
        logits, masks = pixels.logits.movedim(1, -1)[pixels.valid], pixels.masks[pixels.valid]
        truth = torch.stack([masks & 1 > 0, masks & 2 > 0, masks & 4 > 0], -1).double()
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        torch.testing.assert_close(cross_entropy(pixels)[0], (each * weights).sum() / 3)


def sure(*probabilities):
    """One row of two-class pixels, all of class 1, to which the truth has these probabilities."""
    logits = torch.tensor([[[p / (1 - p) for p in probabilities]]], dtype=torch.float64).log()
    masks = torch.ones(1, 1, len(probabilities), dtype=torch.int64)
    return Pixels(logits[None], masks, "binary", 255)


class TestOhem:
    """Five pixels, whose losses are -log of these."""

    PIXELS = sure(0.1, 0.6, 0.8, 0.9, 0.95)

    @pytest.mark.parametrize(
        ("threshold", "share", "kept"),
        [
            (0.7, 0.2, [0.1, 0.6]),  # those below the threshold are more than a fifth
            (0.7, 0.6, [0.1, 0.6, 0.8]),  # and fewer than three fifths
            (0.7, 0.45, [0.1, 0.6, 0.8]),  # a part of a pixel is a pixel
            (0.05, 0.01, [0.1]),
            (1.0, 0.2, [0.1, 0.6, 0.8, 0.9, 0.95]),
            (0.05, 1.0, [0.1, 0.6, 0.8, 0.9, 0.95]),
        ],
    )
    def test_it_is_the_mean_over_the_hardest(self, threshold, share, kept):
        total, valid = ohem(self.PIXELS, threshold=threshold, share=share)
        assert int(valid) == 5
        assert float(total / 5) == pytest.approx(sum(-math.log(p) for p in kept) / len(kept))

    def test_void_is_not_among_the_pixels_that_are_shared_out(self):
        surprise = torch.tensor([[[9.0, 3.0, 2.0, 1.0]]])
        valid = torch.tensor([[[False, True, True, True]]])
        kept = hardest(surprise, valid, threshold=0.001, share=0.5)
        assert kept.tolist() == [[[False, True, True, False]]]

    def test_rare_classes_are_no_harder_but_count_more(self):
        weights = torch.tensor([1.0, 1.0, 5.0], dtype=torch.float64)
        light = pixels_of(weights=torch.ones(3, dtype=torch.float64))
        heavy = pixels_of(weights=weights)
        kept = hardest(light.surprise.mean(1), light.valid, threshold=0.4, share=0.1)
        expected = (weights[light.masks[kept]] * light.surprise[:, 0][kept]).mean()
        total, valid = ohem(heavy, threshold=0.4, share=0.1)
        assert 0 < kept.sum() < valid
        torch.testing.assert_close(total / valid, expected)


class TestFocal:
    def test_by_hand(self):
        total, _ = focal(sure(0.9, 0.2), gamma=2.0)
        assert float(total) == pytest.approx(-(0.1**2) * math.log(0.9) - 0.8**2 * math.log(0.2))

    @of_each_task
    def test_without_focus_it_is_cross_entropy_and_with_more_it_is_less(self, task):
        pixels = pixels_of(task)
        totals = [float(focal(pixels, gamma=g)[0].detach()) for g in (0.0, 0.5, 2.0)]
        assert totals[0] == pytest.approx(float(cross_entropy(pixels)[0].detach()))
        assert totals[0] > totals[1] > totals[2]


class TestTversky:
    def test_by_hand(self):
        # Foreground: hit 0.8 of 1; claimed wrongly 0.3 + 0.5.
        logits = torch.logit(torch.tensor([[[[0.8, 0.3, 0.5]]]], dtype=torch.float64))
        pixels = Pixels(logits, torch.tensor([[[1, 0, 0]]]), "binary", 255)
        total, valid = tversky(pixels, alpha=0.3, beta=0.7)
        assert float(total / valid) == pytest.approx(1 - 0.8 / (0.8 + 0.3 * 0.8 + 0.7 * 0.2))
        assert per_pixel(dice(pixels)) == pytest.approx(1 - 2 * 0.8 / (1.6 + 1))

    @pytest.mark.parametrize("region", [dice, lovasz], ids=["dice", "lovasz"])
    def test_a_class_that_the_batch_lacks_is_left_out(self, region):
        two = pixels_of("binary")
        logits = torch.cat([0 * two.logits, two.logits], 1)
        never = torch.full_like(two.logits, -1e3)
        some = Pixels(logits, two.masks, "multiclass", 255)
        more = Pixels(torch.cat([logits, never], 1), two.masks, "multiclass", 255)
        torch.testing.assert_close(region(more), region(some))


@of_each_task
def test_of_answers_without_doubt_lovasz_and_tversky_of_ones_are_one_minus_iou(task):
    pixels = pixels_of(task, size=(2, 9, 9))
    random = torch.Generator().manual_seed(5)
    chosen = torch.randint(0, VALUES[task], (2, 9, 9), generator=random)
    said = Pixels(pixels.logits, chosen, task, IGNORE[task]).truth
    hard = answered(1e3 * (2.0 * said - 1.0), pixels)
    said, there, over = said & pixels.valid[:, None], pixels.truth, (0, 2, 3)
    expected = float(1 - ((said & there).sum(over) / (said | there).sum(over)).mean())
    assert 0.2 < expected < 0.9
    assert per_pixel(lovasz(hard)) == pytest.approx(expected, rel=1e-5)
    assert per_pixel(tversky(hard, alpha=1.0, beta=1.0)) == pytest.approx(expected, rel=1e-5)


def test_the_jaccard_loss_grows_to_one_and_by_the_difference_of_indices():
    truth = torch.rand(3, 40, generator=torch.Generator().manual_seed(0)) < 0.3
    growth = jaccard_growth(truth)
    torch.testing.assert_close(growth.sum(1), torch.ones(3))
    real = truth.sum(1, keepdim=True)
    wrong = torch.arange(1, 41) - truth.cumsum(1)
    losses = 1 - (real - truth.cumsum(1)) / (real + wrong)
    torch.testing.assert_close(growth.cumsum(1), losses)


class TestBoundary:
    @pytest.mark.parametrize(
        ("row", "width", "near"),
        [
            ([0, 0, 0, 1, 1, 1], 1, [0, 0, 1, 1, 0, 0]),
            ([0, 0, 0, 1, 1, 1], 2, [0, 1, 1, 1, 1, 0]),
            ([0, 0, 0, 0, 0, 1], 3, [0, 0, 1, 1, 1, 1]),
            ([0, 0, 255, 1, 1, 1], 1, [0, 0, 0, 0, 0, 0]),  # void makes no border
            ([0, 255, 0, 1, 1, 2], 1, [0, 0, 1, 1, 1, 1]),
        ],
    )
    def test_borders_of_a_row_and_of_a_column_by_hand(self, row, width, near):
        masks = torch.tensor([[row]])
        found = near_borders(masks, ignore_index=255, width=width)
        assert found.int().tolist() == [[near]]
        upright = near_borders(masks.mT, ignore_index=255, width=width)
        assert torch.equal(upright, found.mT)

    def test_the_zone_round_one_pixel_is_a_square(self):
        masks = torch.zeros(1, 9, 9, dtype=torch.int64)
        masks[0, 4, 4] = 1
        assert near_borders(masks, ignore_index=255, width=3).sum() == 7**2 - 4  # without corners

    def test_pixels_near_borders_count_one_and_its_weight_times(self):
        _, masks = case()
        pixels = Pixels(torch.randn(2, 3, 18, 23), masks.long(), "multiclass", 255)
        near = near_borders(pixels.masks, ignore_index=255, width=2)
        total = cross_entropy(pixels)[0] + 4 * boundary(pixels, width=2)[0]
        expected = ((1 + 4 * near) * pixels.surprise[:, 0]).sum()
        assert 0 < near[pixels.valid].float().mean() < 1
        torch.testing.assert_close(total, expected)


@pytest.fixture(scope="module")
def smp():
    """The losses of segmentation_models_pytorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("segmentation_models_pytorch").losses


class TestAgainstSegmentationModelsPytorch:
    """Where the definitions agree: all classes are present, soft-max focal is another there."""

    def planes(self, pixels):
        """Masks as they take them: for multilabel one plane each, -1 where nothing is known."""
        if pixels.task != "multilabel":
            return pixels.masks
        return torch.where(pixels.valid[:, None], pixels.truth.long(), -1)

    def ignored(self, task):
        return -1 if task == "multilabel" else 255

    @of_each_task
    def test_dice(self, smp, task):
        pixels = pixels_of(task)
        theirs = smp.DiceLoss(task, ignore_index=self.ignored(task))
        expected = float(theirs(pixels.logits, self.planes(pixels)).detach())
        assert per_pixel(dice(pixels)) == pytest.approx(expected, rel=1e-6)

    @of_each_task
    def test_tversky(self, smp, task):
        pixels = pixels_of(task)
        theirs = smp.TverskyLoss(task, ignore_index=self.ignored(task), alpha=0.2, beta=0.9)
        expected = float(theirs(pixels.logits, self.planes(pixels)).detach())
        assert per_pixel(tversky(pixels, alpha=0.2, beta=0.9)) == pytest.approx(expected, rel=1e-6)

    def test_lovasz(self, smp):
        pixels = pixels_of()
        theirs = smp.LovaszLoss("multiclass", ignore_index=255)
        expected = float(theirs(pixels.logits.float(), pixels.masks).detach())
        assert per_pixel(lovasz(pixels)) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("task", ["binary", "multilabel"])
    def test_focal(self, smp, task):
        pixels = pixels_of(task)
        logits, truth = (x.movedim(1, 0)[:, pixels.valid] for x in (pixels.logits, pixels.truth))
        theirs = smp.FocalLoss(task, gamma=3.0)  # its ignore_index fails for multilabel
        expected = float(theirs(logits[None], truth[None].double()).detach())
        assert per_pixel(focal(pixels, gamma=3.0)) == pytest.approx(expected, rel=1e-6)
