"""What a step is said to change, and how sure that is: as counted by hand, in table and page."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from atrous.classes import Classes
from atrous.cli.tables import steps_table
from atrous.evaluate import Evaluation, score_images, summed
from atrous.metrics.boundary import BoundaryScores
from atrous.metrics.intervals import Change, Changes, paired_changes
from atrous.metrics.steps import StepScores
from atrous.report.tables import steps_table as page_table

TASKS = ("binary", "multiclass", "multilabel")
PICTURES = 6


class Steps:
    """Pictures of noise as a data set, and as a predictor of other noise whose steps mend it."""

    threads, postprocess = 1, (SimpleNamespace(step="some"), SimpleNamespace(step="more"))

    def __init__(self, classes: Classes) -> None:
        values = 2 ** len(classes) if classes.task == "multilabel" else len(classes)
        random = np.random.default_rng(0)
        self.classes, shape = classes, (PICTURES, 12, 15)
        self.masks, self.preds = random.integers(0, values, (2, *shape)).astype(np.uint8)
        self.masks[:, 3] = classes.ignore_index

    def split(self, _: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=str(i), number=i) for i in range(PICTURES)]

    def read(self, pair: SimpleNamespace) -> SimpleNamespace:
        return SimpleNamespace(image=pair.number, mask=self.masks[pair.number])

    def stages(self, number: int):
        for stage in range(3):
            yield SimpleNamespace(mask=self.stage(stage, number))

    def stage(self, stage: int, number: int) -> np.ndarray:
        """The prediction, with as many columns right as the picture's number at each stage."""
        pred = self.preds[number].copy()
        pred[:, : stage * number] = self.masks[number, :, : stage * number]
        return pred


class Alone(Steps):
    """The same pictures, answered by one of the stages."""

    postprocess = ()

    def __init__(self, classes: Classes, stage: int) -> None:
        super().__init__(classes)
        self.alone = stage

    def stages(self, number: int):
        yield SimpleNamespace(mask=self.stage(self.alone, number))


def scored(pictures: Any) -> tuple[Evaluation, list]:
    images = [*score_images(pictures, pictures, "val")]
    return summed("val", pictures.classes, images), images


@pytest.mark.parametrize("task", TASKS)
def test_a_step_is_scored_as_if_each_stage_had_answered_alone(task):
    classes = Classes(("road", "wet"), task=task)
    found, _ = scored(Steps(classes))
    alone = [scored(Alone(classes, stage)) for stage in range(3)]
    assert [step.step for step in found.steps] == ["some", "more"]
    for i, step in enumerate(found.steps):
        overlaps, borders = (
            [np.array([getattr(image, kind).overlap for image in images]) for _, images in alone]
            for kind in ("scores", "boundary")
        )
        assert step.iou == paired_changes(*overlaps[i : i + 2], seed=0)
        assert step.boundary == paired_changes(*borders[i : i + 2], seed=0)
        assert step.boundary.miou.before == alone[i][0].boundary.miou
        assert 0 < step.boundary.miou.low < step.boundary.miou.change < step.boundary.miou.high


def test_the_overlap_of_borders_is_what_their_iou_is_the_ratio_of():
    scores = BoundaryScores(("sky", "road"), np.array([[4, 4, 2], [0, 0, 0]]))
    assert scores.overlap.tolist() == [[2, 6], [0, 0]]
    np.testing.assert_equal(scores.iou, [2 / 6, np.nan])


# Printed and written

NAN = float("nan")
WORSE = Change(0.5, 0.4, -0.15, -0.05)
NONE = Change(NAN, NAN, NAN, NAN)
ONE = Change(0.25, 0.5, NAN, NAN)  # seen on one picture: no interval
STEP = StepScores(
    "crf",
    ("road", "a sign"),
    Changes(Change(0.5, 0.625, 0.0, 0.25), (WORSE, ONE)),
    Changes(WORSE, (Change(0.125, 0.25, 0.0625, 0.1875), NONE)),
    12.34,
)


def test_each_number_of_a_step_has_its_name():
    told = STEP.to_dict()
    rows = told.pop("classes")
    assert told == {
        "step": "crf",
        "mIoU_before": 0.5,
        "mIoU": 0.625,
        "mIoU_change": 0.125,
        "mIoU_interval": [0.0, 0.25],
        "boundary_mIoU_before": 0.5,
        "boundary_mIoU": 0.4,
        "boundary_mIoU_change": pytest.approx(-0.1),
        "boundary_mIoU_interval": [-0.15, -0.05],
        "ms": 12.34,
    }
    assert rows[1] == {
        "name": "a sign",
        "IoU_before": 0.25,
        "IoU": 0.5,
        "change": 0.25,
        "interval": [None, None],
        "boundary_IoU_before": None,
        "boundary_IoU": None,
        "boundary_IoU_change": None,
        "boundary_IoU_interval": [None, None],
    }
    assert "NaN" not in json.dumps(told | {"classes": rows})


def test_the_table_of_steps_aligns_over_all_of_them():
    other = replace(STEP, step="holes", iou=STEP.boundary, boundary=STEP.iou)
    lines = steps_table([STEP, other]).splitlines()
    tables = [
        lines[lines.index(f"{step}, 12.3 ms a picture") + 1 :][:4] for step in ("crf", "holes")
    ]
    assert tables[0] == [
        "         IoU  change     95 % interval  border  change     95 % interval",
        "mean    50.0  +12.50   +0.00 to +25.00    50.0  -10.00  -15.00 to  -5.00",
        "road    50.0  -10.00  -15.00 to  -5.00    12.5  +12.50   +6.25 to +18.75",
        "a sign  25.0  +25.00                 -       -       -                 -",
    ]
    assert len({len(line) for table in tables for line in table}) == 1


def test_the_page_tells_both_scores_and_those_of_old_files_what_they_have():
    classes, new = Classes(STEP.names), STEP.to_dict()
    old = {key: value for key, value in new.items() if not _added(key)}
    old["classes"] = [{k: v for k, v in row.items() if not _added(k)} for row in new["classes"]]
    pages = page_table([new, new], classes), page_table([old, old], classes)
    for page, columns, intervals in zip(pages, (7, 4), (8, 0), strict=True):
        assert page.count('scope="col"') == columns
        assert page.count("<td ") == 4 * (columns - 1)  # mean, two classes, ms
        assert page.count("<small>") == intervals
        assert page.count("+12.50") == (4 if intervals else 2)
    assert "-10.00<small>-15.00 to -5.00</small>" in pages[0] and "Boundary" not in pages[1]


def _added(key: str) -> bool:
    """Not in the scores of steps before boundary IoU and intervals were counted for them."""
    return key.startswith("boundary") or key.endswith("interval")
