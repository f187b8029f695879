"""What is tried: the model's own numbers first, on some pictures, and on after what fails."""

import importlib
import json
import re
from typing import Any

import pytest

from atrous.cli.tuned import tuned_table
from atrous.errors import ImageError, RecipeError
from atrous.recipe.postprocessing import Crf, SmallRegions, plain_steps
from atrous.tune import answers
from searches import tuned, write_blotched, write_by_colour

UNFIT = Crf(bilateral_srgb=0.001)  # finer than a lattice can tell values apart
TOO_LARGE = ImageError("image", found="has 9 pixels", allowed="8 fit", fix="Cut it.")


@pytest.fixture(scope="module")
def by_colour(tmp_path_factory):
    return write_by_colour(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def blotched(shapes, tmp_path_factory):
    return write_blotched(shapes, tmp_path_factory.mktemp("blotched") / "data")


def lines(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def test_the_models_own_numbers_are_the_first_trial(by_colour, blotched, tmp_path):
    own, default = SmallRegions(pixels=5), SmallRegions()
    found = tuned(by_colour, blotched, out=tmp_path / "other", postprocess=[own])
    assert [trial.step for trial in found.trials[1:3]] == plain_steps([own, default])
    found = tuned(by_colour, blotched, out=tmp_path / "same", postprocess=[default])
    steps = [trial.step for trial in found.trials[1:]]
    assert steps[0] == default.model_dump() and steps.count(steps[0]) == 1 and len(steps) == 6


def test_a_search_that_is_done_also_tries_what_the_model_has_since(by_colour, blotched, tmp_path):
    before = tuned(by_colour, blotched, out=tmp_path)
    own = SmallRegions(pixels=7)
    after = tuned(by_colour, blotched, out=tmp_path, postprocess=[own])
    assert after.trials[:-1] == before.trials
    assert after.trials[-1].step == own.model_dump()
    again = tuned(by_colour, blotched, out=tmp_path, postprocess=[own])
    assert again.trials == after.trials


def test_a_trial_that_a_picture_cannot_take_is_told_and_the_search_goes_on(
    by_colour, blotched, tmp_path
):
    told: list[str] = []
    changed: dict[str, Any] = {"step": "crf", "out": tmp_path, "postprocess": [UNFIT]}
    found = tuned(by_colour, blotched, trials=3, tell=told.append, **changed)
    failed, *others = found.trials[1:]
    assert failed.step == UNFIT.model_dump() and "bilateral_srgb: is 0.001, but" in failed.failed
    assert not any(trial.failed for trial in others) and found.chosen in others
    assert f"trial 1 failed: {failed.failed}" in told
    assert found.to_dict()["chosen_on"]["failed"] == 1
    assert "the best of 3 trials, 1 failed, on 10 images" in tuned_table(found)
    line = lines(tmp_path)[1]
    assert line["mIoU"] is None is line["milliseconds"] and line["failed"] == failed.failed
    more = tuned(by_colour, blotched, trials=4, **changed)
    assert more.trials[1].failed == failed.failed and more.trials[2:4] == found.trials[2:]
    assert lines(tmp_path)[1] == line


def failing(monkeypatch, fails, error):
    """Steps end in an error where `fails` says so of their pixels."""
    run = answers.run_steps

    def run_or_fail(steps, state, **options):
        if any(fails(step.pixels) for step in steps):
            raise error
        return run(steps, state, **options)

    monkeypatch.setattr(answers, "run_steps", run_or_fail)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), r".+: needs more memory for the steps than there is, but "),
        (TOO_LARGE, r".+, image: has 9 pixels, but 8 fit\. Cut it\."),
    ],
)
def test_trials_that_fail_for_whatever_reason_are_never_chosen(
    by_colour, blotched, tmp_path, monkeypatch, error, said
):
    failing(monkeypatch, lambda pixels: pixels == 64, error)
    found = tuned(by_colour, blotched, out=tmp_path, trials=3)
    assert re.match(said, found.trials[1].failed) and found.best != SmallRegions()
    assert [bool(trial.failed) for trial in found.trials] == [False, True, False, False]


def test_a_search_whose_trials_all_fail_ends_with_what_to_do(
    by_colour, blotched, tmp_path, monkeypatch
):
    failing(monkeypatch, lambda _: True, TOO_LARGE)
    with pytest.raises(RecipeError, match="none of 2 trials could be taken on every picture, but"):
        tuned(by_colour, blotched, out=tmp_path, trials=2)
    assert ["failed" in line for line in lines(tmp_path)] == [False, True, True]


def test_other_steps_that_a_picture_cannot_take_end_the_search(by_colour, blotched, tmp_path):
    with pytest.raises(RecipeError, match=r"bilateral_srgb: is 0\.001"):
        tuned(by_colour, blotched, out=tmp_path, postprocess=[UNFIT])


def test_the_best_step_gives_way_where_a_picture_that_is_measured_on_cannot_take_it(
    by_colour, blotched, tmp_path, monkeypatch
):
    first = tuned(by_colour, blotched, out=tmp_path / "all")
    counted, refused = answers.Answers.counted, answers.Untaken("3", found="", allowed="", fix="")

    def counted_or_not(self, i, steps):
        if i == first.halves.reporting[2] and first.best in steps:
            raise refused
        return counted(self, i, steps)

    monkeypatch.setattr(answers.Answers, "counted", counted_or_not)
    told: list[str] = []
    found = tuned(by_colour, blotched, out=tmp_path / "few", tell=told.append)
    left = [trial.miou for trial in found.trials[1:] if trial.step != first.best.model_dump()]
    assert found.best != first.best and found.chosen.miou == max(left)
    assert f"trial {first.chosen.number} is not taken: {refused}" in told


def test_trials_use_some_pictures_of_a_large_half_and_the_other_half_is_whole(
    by_colour, blotched, tmp_path, monkeypatch
):
    whole = tuned(by_colour, blotched, out=tmp_path, trials=1)
    monkeypatch.setattr(importlib.import_module("atrous.tune.halves"), "MOST", 4)
    answered, tried = set(), set()
    answer, counted = answers.Answers._answer, answers.Answers.counted

    def seen(self, i, *, predictor):
        answered.add(i)
        answer(self, i, predictor=predictor)

    def noted(self, i, steps):
        tried.add(i)
        return counted(self, i, steps)

    monkeypatch.setattr(answers.Answers, "_answer", seen)
    monkeypatch.setattr(answers.Answers, "counted", noted)
    told: list[str] = []
    found = tuned(by_colour, blotched, out=tmp_path, trials=1, tell=told.append)
    half = found.halves.choosing
    assert found.halves == whole.halves and found.changes == whole.changes
    assert found.halves.tried == (half[0], half[2], half[5], half[7])
    assert answered == tried == {*found.halves.tried, *found.halves.reporting}
    assert "Trials use 4 of 10 images, evenly spread." in told
    assert "on 4 of 10 images of train" in tuned_table(found)
    chosen_on = found.to_dict()["chosen_on"]
    assert (chosen_on["images"], chosen_on["of"]) == (4, 10)
    assert len({line["search"] for line in lines(tmp_path)}) == 2
