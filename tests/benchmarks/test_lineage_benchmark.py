"""The benchmark of the lineage: its table, its rows, and a run of two steps."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from atrous.errors import RunError
from atrous.recipe import make_recipe

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def lineage():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield import_module("lineage")


@pytest.fixture
def tables(lineage):
    return sys.modules["lineage_table"]


def result(tables: Any, name: str, mious: dict[int, float], *, against: str = "", start: str = ""):
    scored = {seed: tables.Scored(miou, None, 60.0, 0.2, {}) for seed, miou in mious.items()}
    size = tables.Measured(3_130_000, 2_250_000_000, 32, (12.0, 40.0, 11.0))
    return tables.Result(name, (), against, start, scored, size if mious else None)


def cells(text: str) -> dict[str, list[str]]:
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


def test_a_change_is_counted_over_the_seeds_that_both_rows_have(tables):
    protocol = tables.Protocol("camvid", (0, 1), 300, 240, 8, 1)
    rows = [
        result(tables, "fcn32s", {0: 0.5, 1: 0.6}),
        result(tables, "fcn16s", {0: 0.49}, against="fcn32s"),
        result(tables, "fcn8s", {}, against="fcn16s"),
        result(tables, "staged", {0: 0.51, 1: 0.61}, against="fcn32s", start="fcn32s"),
    ]
    text = tables.table(rows, protocol)
    table = cells(text)
    assert table["fcn32s"] == "0.5500|0.5000, 0.6000|-|-|3.13|2.25|12.0|32".split("|")
    assert table["fcn16s"][:3] == ["0.4900 (1 of 2 seeds)", "0.4900, -", "-0.0100"]
    assert table["fcn8s"] == ["-", "-, -", *"------"]
    assert table["staged"][2] == "+0.0100 (fcn32s)"
    assert "`staged` from `fcn32s`" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {10}


def test_every_row_is_a_recipe_and_is_compared_with_a_row_above_it(lineage):
    seen = {""}
    for row in lineage.ROWS:
        model: Any = make_recipe(sets=row.sets).model
        assert model.encoder == "efficientnet_lite0"
        assert row.against in seen and row.start in seen
        seen.add(row.name)
    assert len(seen) == len(lineage.ROWS) + 1


TINY = ("model.encoder=efficientnet_lite0", "model.pretrained=false", "model.fc_channels=8")


@pytest.fixture(scope="module")
def rows(lineage):
    return [
        lineage.Row("fcn32s", ("model.name=fcn32s", *TINY)),
        lineage.Row("fcn8s", ("model.name=fcn8s", *TINY), "fcn32s"),
    ]


@pytest.fixture(scope="module")
def done(lineage, rows, shapes, tmp_path_factory):
    out = tmp_path_factory.mktemp("lineage")
    protocol = lineage.Protocol(str(shapes), (0,), 2, 64, 2, 1)
    assert lineage.benchmark(rows, protocol, shapes, out, train=True, go_on="") == 0
    return out, protocol


def test_the_benchmark_leaves_raw_values_and_the_table(done):
    out, _ = done
    facts = json.loads((out / "lineage.json").read_text())
    assert [row["name"] for row in facts["rows"]] == ["fcn32s", "fcn8s"]
    for row in facts["rows"]:
        scores = json.loads((out / row["name"] / "0" / "scores.json").read_text())
        assert row["scored"]["0"]["miou"] == scores["mIoU"]
        assert len(row["measured"]["milliseconds"]) == 7
        assert row["measured"]["parameters"] > 1e6
        assert row["measured"]["output_stride"] == 32
    assert facts["threads"] == 1 and facts["versions"]["torch"]
    table = cells((out / "lineage.md").read_text())
    assert list(table) == ["fcn32s", "fcn8s"] and table["fcn32s"][3] != ""


def test_finished_runs_are_not_made_again(done, lineage, rows, shapes):
    out, protocol = done
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/0/*")}
    assert lineage.benchmark(rows, protocol, shapes, out, train=True, go_on="") == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/0/*")} == before


def test_a_run_with_other_options_is_no_row_of_the_table(done, lineage, rows, shapes):
    out, protocol = done
    longer = protocol._replace(steps=3)
    with pytest.raises(RunError, match=r"train\.steps: 2 != 3"):
        lineage.benchmark(rows, longer, shapes, out, train=False, go_on="")
