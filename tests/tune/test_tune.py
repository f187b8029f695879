"""A search for the numbers of a step: what is kept and kept off, and that it can be killed."""

import io
import json
import re
import shutil
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import atrous
from atrous.classes import Classes
from atrous.cli import progress
from atrous.cli.progress import Progress
from atrous.cli.tuned import tuned_table
from atrous.data.dataset import open_dataset
from atrous.errors import DataError, RecipeError, RunError
from atrous.metrics.intervals import Change, Changes
from atrous.metrics.scores import scored, scores_from
from atrous.recipe import read_steps
from atrous.recipe.postprocessing import Holes, SmallRegions, Thresholds
from atrous.tune import search
from searches import tuned, write_blotched, write_by_colour, write_twice
from tiny_models import write_tiny


@pytest.fixture(scope="module")
def by_colour(tmp_path_factory):
    return write_by_colour(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def plain(shapes, tmp_path_factory):
    return write_twice(shapes, tmp_path_factory.mktemp("plain") / "data")


@pytest.fixture(scope="module")
def blotched(shapes, tmp_path_factory):
    return write_blotched(shapes, tmp_path_factory.mktemp("blotched") / "data")


def without_times(found):
    told = found.to_dict() | {"milliseconds": 0, "file": None}
    return told, [trial._replace(milliseconds=0) for trial in found.trials]


def test_what_is_measured_is_what_the_predictor_gains_on_the_half_not_chosen_on(
    by_colour, blotched, tmp_path
):
    found = tuned(by_colour, blotched, out=tmp_path)
    assert found.kept and found.steps == (found.best,) and isinstance(found.best, SmallRegions)
    bare = atrous.load(by_colour, engine="onnxruntime")
    data = open_dataset(blotched, classes=bare.classes)
    pictures = [data.read(data.split("train")[i]) for i in found.halves.reporting]
    for steps, miou in (((), "before"), (found.steps, "after")):
        predictor = replace(bare, postprocess=steps)
        counts = [scored(predictor(p.image).mask, p.mask, data.classes) for p in pictures]
        whole = scores_from(data.classes, np.sum([c.confusion for c in counts], 0))
        assert getattr(found.changes.miou, miou) == pytest.approx(whole.miou)
        assert [getattr(c, miou) for c in found.changes.classes] == pytest.approx([*whole.iou])
    assert 0.02 < found.changes.miou.low < found.changes.miou.change < found.changes.miou.high


def test_a_step_that_is_kept_is_in_a_file_that_is_read_as_it_was_meant(
    by_colour, blotched, tmp_path
):
    found = tuned(by_colour, blotched, out=tmp_path)
    file = tmp_path / "postprocess.toml"
    assert found.file == file and read_steps(file) == found.steps
    told = json.loads((tmp_path / "small_regions.json").read_text())
    assert told == json.loads(json.dumps(found.to_dict())) and told["kept"] is True
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"trials.jsonl", "postprocess.toml", "small_regions.json"}


def test_a_step_without_a_gain_is_kept_off(by_colour, plain, tmp_path):
    found = tuned(by_colour, plain, out=tmp_path)
    assert not found.kept and found.steps == () and found.file is None
    assert not (tmp_path / "postprocess.toml").exists()


def test_a_step_that_the_model_has_and_that_has_no_gain_is_taken_out(by_colour, plain, tmp_path):
    steps = (SmallRegions(pixels=5), Holes())
    found = tuned(by_colour, plain, out=tmp_path, postprocess=steps)
    assert not found.kept and found.steps == read_steps(tmp_path / "postprocess.toml") == (Holes(),)


def test_a_next_search_for_a_file_goes_on_from_what_the_first_one_kept(
    by_colour, blotched, plain, tmp_path
):
    first = tuned(by_colour, blotched, out=tmp_path)
    told: list[str] = []
    second = tuned(by_colour, blotched, out=tmp_path, step="holes", trials=1, tell=told.append)
    assert first.best in second.steps and read_steps(tmp_path / "postprocess.toml") == second.steps
    assert f"The search goes on from {tmp_path / 'postprocess.toml'}: small_regions." in told
    assert second.changes.miou.before == pytest.approx(first.changes.miou.after)
    third = tuned(by_colour, plain, out=tmp_path)
    assert not third.kept and third.file and first.best not in read_steps(third.file)
    given = tuned(by_colour, plain, out=tmp_path, postprocess=[first.best])
    assert given.halves == third.halves and given.steps == ()


def test_a_run_answers_by_what_was_found_for_it(exported, shapes, tmp_path):
    run = shutil.copytree(exported[0], tmp_path / "run")
    (run / "postprocess.toml").write_text('[[postprocess]]\nstep = "small_regions"\npixels = 3\n')
    options: dict[str, Any] = {"step": "small_regions", "trials": 2, "threads": 1}
    found = atrous.tune(run, shapes, **options)
    assert (run / "tune/trials.jsonl").is_file()
    assert atrous.load(run).postprocess == found.steps
    assert found.trials[1].step == SmallRegions(pixels=3).model_dump()
    again = atrous.tune(run, shapes, **options)
    assert again.file is None and without_times(again) == without_times(found)


class Killed(Exception):
    pass


def dying(after):
    """Progress that ends the process, as it were, when so many trials are done."""

    def track(verb, _):
        def walk(items):
            for n, item in enumerate(items):
                if verb == "trying" and n == after:
                    raise Killed
                yield item

        return walk

    return track


@pytest.mark.parametrize("after", [0, 3])
def test_a_search_that_was_killed_goes_on_to_the_same_result(
    by_colour, blotched, tmp_path, monkeypatch, after
):
    whole = tuned(by_colour, blotched, out=tmp_path / "whole")
    with pytest.raises(Killed):
        tuned(by_colour, blotched, out=tmp_path / "cut", track=dying(after))
    done = (tmp_path / "cut/trials.jsonl").read_bytes()
    assert len(done.splitlines()) == after + 1 and [*tmp_path.glob("cut/answers-*/000009.npz")]
    asked = []
    monkeypatch.setattr(
        "atrous.tune.answers.Answers._answer", lambda *_, **__: asked.append("again")
    )
    found = tuned(by_colour, blotched, out=tmp_path / "cut")
    assert without_times(found) == without_times(whole) and not asked
    assert (tmp_path / "cut/trials.jsonl").read_bytes().startswith(done)
    assert not [*tmp_path.glob("cut/answers-*")]


def test_more_trials_go_on_after_those_that_are_done(by_colour, blotched, tmp_path, monkeypatch):
    few = tuned(by_colour, blotched, out=tmp_path)
    tried = []
    monkeypatch.setattr(
        search.Search,
        "_trial",
        lambda self, n, step: tried.append(n) or few.trials[0]._replace(number=n, miou=0.0),
    )
    more = tuned(by_colour, blotched, out=tmp_path, trials=9)
    assert tried == [7, 8, 9] and more.trials[:7] == few.trials and more.best == few.best


def test_searches_share_a_folder_and_do_not_mix(by_colour, blotched, tmp_path):
    one = tuned(by_colour, blotched, out=tmp_path)
    before = (tmp_path / "trials.jsonl").read_bytes()
    other = tuned(by_colour, blotched, out=tmp_path, seed=1)
    lines = (tmp_path / "trials.jsonl").read_bytes()
    assert lines.startswith(before) and len(lines.splitlines()) == 2 * len(before.splitlines())
    assert len({json.loads(line)["search"] for line in lines.splitlines()}) == 2
    assert other.halves != one.halves and other.trials != one.trials


def test_a_line_that_is_no_trial_is_named(by_colour, blotched, tmp_path):
    (tmp_path / "trials.jsonl").write_text('{"trial": 1}\n')
    with pytest.raises(RunError, match=r"trials\.jsonl, line 1: cannot be read"):
        tuned(by_colour, blotched, out=tmp_path)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"step": "priority"}, RecipeError, "'priority', but what can be searched is crf"),
        ({"trials": 0}, RecipeError, "--trials: is 0"),
        ({"seed": -1}, RecipeError, "--seed: is -1"),
        ({"step": "thresholds"}, RecipeError, "is for a multiclass model"),
        ({"split": "test"}, DataError, "no split 'test'"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_the_first_answer(
    by_colour, blotched, tmp_path, changed, error, message
):
    with pytest.raises(error, match=message):
        tuned(by_colour, blotched, out=tmp_path / "out", **changed)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("step", ["crf", "bilateral_grid", "holes"])
def test_other_steps_are_searched_as_well(by_colour, blotched, tmp_path, step):
    found = tuned(by_colour, blotched, out=tmp_path, step=step, trials=3)
    assert found.best.step == step and len(found.trials) == 4
    assert all(trial.step and trial.step["step"] == step for trial in found.trials[1:])
    if step == "crf":
        tried = [trial.step or {} for trial in found.trials[1:3]]
        assert [step["bilateral_srgb"] for step in tried] == [5, 3]


def test_the_threshold_of_a_binary_model_is_found(tmp_path):
    """Background of the logit 0.4 is taken for a disc, whose logit is 3, below 0.6."""
    classes = Classes(("back", "disc"), task="binary")
    model = write_tiny(tmp_path / "m.onnx", weights=np.array([[0.05, -0.05, 0]]), classes=classes)
    for folder in ("images", "masks"):
        (tmp_path / "data/val" / folder).mkdir(parents=True)
    (tmp_path / "data/dataset.toml").write_text('classes = ["back", "disc"]\n')
    for i in range(20):
        mask = (np.arange(32) < 12 + 4 * (i % 3))[None].repeat(24, 0).astype(np.uint8)
        image = np.array([[108, 100, 0], [160, 100, 0]], np.uint8)[mask]
        Image.fromarray(image).save(tmp_path / f"data/val/images/{i}.png")
        Image.fromarray(mask).save(tmp_path / f"data/val/masks/{i}.png")
    found = tuned(model, tmp_path / "data", step="thresholds", split="val", trials=12)
    assert found.kept and found.changes.miou.before < 0.5 and found.changes.miou.after > 0.9
    assert isinstance(found.best, Thresholds) and found.best.probabilities[0] > 0.59
    assert found.file == tmp_path / "m-tune/postprocess.toml"


def test_what_a_killed_search_of_other_weights_left_is_removed(by_colour, shapes, tmp_path):
    (tmp_path / "answers-0123").mkdir()
    (tmp_path / "answers-0123/000000.npz").touch()
    tuned(by_colour, shapes, out=tmp_path, trials=1)
    assert not (tmp_path / "answers-0123").exists()


COMMAND = ["--step", "small_regions", "--split", "train", "--threads", 1, "--engine", "onnxruntime"]


def test_the_command_says_what_is_kept_and_what_to_do_with_it(cli, by_colour, blotched, tmp_path):
    command = ["tune", by_colour, blotched, *COMMAND, "--trials", 3, "--out", tmp_path]
    code, table, told = cli(*command)
    lines = table.splitlines()
    head = lines[0]
    assert code == 0 and head.split() == [
        "class",
        "before",
        "after",
        "change",
        "95",
        "%",
        "interval",
    ]
    assert len({line.index(" to ") for line in lines[1:4]}) == 1
    assert "is kept: the interval of its change of mIoU, +" in table
    assert f"Written to {tmp_path / 'postprocess.toml'}." in table
    assert "harms" not in table and "narrower than it should be" in table
    assert "without small_regions: mIoU" in told and "best so far" in told
    assert "export it again" in told
    found = json.loads(cli(*command, "--json")[1])
    assert (
        found["kept"] and found["step"]["step"] == "small_regions" and found["mIoU"]["change"] > 0
    )


def test_a_class_that_a_kept_step_harms_is_named(by_colour, blotched, tmp_path):
    found = tuned(by_colour, blotched, out=tmp_path, trials=1)
    whole, (grass, disc, square) = found.changes
    classes = (grass, Change(0.5, 0.3, -0.3, -0.1), square._replace(low=-0.1, high=0.1))
    assert "It harms disc: look" in tuned_table(replace(found, changes=Changes(whole, classes)))
    off = Changes(whole._replace(low=-0.1), (grass, disc, square))
    assert "It harms" not in tuned_table(replace(found, changes=off))


@pytest.mark.parametrize(("count", "kept"), [(5, False), (9, False), (10, True)])
def test_a_gain_on_few_pictures_is_kept_off_in_words(by_colour, blotched, tmp_path, count, kept):
    found = tuned(by_colour, blotched, out=tmp_path, trials=1)
    found = replace(found, halves=found.halves._replace(reporting=(*range(count),)))
    assert found.changes.miou.low > 0 and found.kept == kept == found.to_dict()["kept"]
    said = f"is kept off: it is measured on {count} images, and 10 are needed to show a gain"
    assert (said in tuned_table(found)) != kept


def test_a_step_measured_on_few_pictures_is_not_written(by_colour, blotched, tmp_path):
    few = shutil.copytree(blotched, tmp_path / "few")
    for path in few.glob("train/*/1?.png"):
        path.unlink()
    told: list[str] = []
    found = tuned(by_colour, few, out=tmp_path / "out", trials=1, tell=told.append)
    assert found.changes.miou.low > 0 and not found.kept and found.steps == ()
    assert not (tmp_path / "out/postprocess.toml").exists()
    assert "There are 5 images to measure on: of fewer than 10 no step is kept." in told


def test_the_command_says_that_a_step_is_kept_off(cli, by_colour, plain, tmp_path):
    code, table, _ = cli("tune", by_colour, plain, *COMMAND, "--trials", 2, "--out", tmp_path)
    assert code == 0
    assert (
        "small_regions is kept off: the interval of its change of mIoU, +0.00 to +0.00, does"
        in table
    )
    assert "Nothing is written." in table


def test_trials_that_are_slow_are_told_in_seconds_each(monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", -1.0)
    said = io.StringIO()
    bar = Progress("trying", Console(file=said, width=200), unit="trials")
    for _ in bar.track([1, 2]):
        time.sleep(0.01)
    assert re.fullmatch(r"(trying [12]/2  \d+\.\d trials/s  0 s left\n){2}", said.getvalue())
    assert progress.paced(0.1, "trials") == "10.0 s a trial"
