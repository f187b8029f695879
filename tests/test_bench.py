"""Measuring: every configuration in a process of its own; what fails or is not there says so."""

import json
import sys
from math import isnan

import numpy as np
import pytest

import atrous
import atrous.bench as bench_module
from atrous.bench import Configuration, Contender, Row, child
from atrous.errors import RecipeError, RunError
from atrous.machine import cores
from tiny_models import write_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("files") / "tiny.onnx")


def test_each_configuration_is_measured_in_turns_by_a_process_of_its_own(model, monkeypatch):
    monkeypatch.setattr(bench_module, "ROUNDS", 2)
    acts = []
    benchmark = atrous.bench(
        model, size=(32, 48), engine="onnxruntime", threads=2, track=lambda a: acts.extend(a) or a
    )
    assert [row.configuration for row in benchmark.rows] == [
        Configuration("onnxruntime", "f32", threads=2, lanes=1),
        Configuration("onnxruntime", "f32", threads=2, lanes=2),
    ]
    assert len(acts) == 2 * (1 + 1 + 2)  # start, warm, two turns
    for row in benchmark.rows:
        assert not row.failure
        assert len(row.ms) >= 2 * child.RUNS * row.configuration.lanes
        assert 0 < row.median <= row.p90 and row.rate > 0
        if sys.platform in ("linux", "darwin"):  # elsewhere nobody counts it
            assert row.peak and 50e6 < row.peak < 1e9
        assert 0 < row.first_mask_s < 60
    facts = json.loads(json.dumps(benchmark.to_dict()))
    assert facts["size"] == [32, 48] and facts["size_is"] == "as asked for"
    assert facts["weights"] == "tiny weights"
    assert len(facts["rows"][0]["ms"]) == len(benchmark.rows[0].ms)
    assert facts["machine"]["cores"] == cores() and facts["machine"]["processor"]


def test_what_cannot_be_had_is_refused(model, tmp_path):
    with pytest.raises(RecipeError, match="there is onnxruntime f32"):
        atrous.bench(model, precision="int8")
    with pytest.raises(RecipeError, match=r"'best'.*settled when the file was exported"):
        atrous.bench(model, threads=1, weights="best")
    with pytest.raises(RecipeError, match=r"is 8 .*settled when the file was exported"):
        atrous.bench(model, threads=1, output_stride=8)
    with pytest.raises(RunError, match="nowhere"):
        atrous.bench(tmp_path / "nowhere")


def test_an_engine_that_this_machine_lacks_is_left_out(model, monkeypatch):
    def start(self):  # no process: nothing is measured here
        if self.row.configuration.engine == "openvino":
            self.refused = {"where": "engine", "found": "is x", "allowed": "y", "fix": "Z."}

    monkeypatch.setattr(Contender, "start", start)
    rows = atrous.bench(model, threads=1).rows
    assert [row.configuration.engine for row in rows] == ["onnxruntime"]
    with pytest.raises(RecipeError, match="is x, but y"):
        atrous.bench(model, engine="openvino")


def test_weights_are_those_of_a_contender_that_answered(model, monkeypatch):
    def start(self):  # no process
        if self.row.configuration.engine == "openvino":
            self.weights = "last weights"
        else:
            self.row.failure = "no luck"

    monkeypatch.setattr(Contender, "start", start)
    assert atrous.bench(model, threads=1).weights == "last weights"
    assert atrous.bench(model, threads=1, engine="onnxruntime").weights == ""


def test_what_stops_a_process_is_told_in_its_row(model, tmp_path):
    configuration = Configuration("onnxruntime", "f32", 1, 1)
    lost = Contender(configuration, {"path": str(tmp_path / "lost.onnx")}, (8, 8))
    lost.start()
    assert "WeightsError" in lost.row.failure and "lost.onnx" in lost.row.failure
    killed = Contender(configuration, {"path": str(model)}, (8, 8))
    killed.start()
    assert killed.process and not killed.row.failure
    killed.process.kill()
    killed.turn()
    assert killed.row.failure.startswith("its process ended") and not killed.row.ms
    killed.turn()  # does nothing more
    assert killed.process is None


def test_numbers_are_those_of_the_times():
    row = Row(Configuration("torch", "f32", 1, 1), "2", ms=[float(n) for n in range(1, 11)])
    row.seconds = 0.5
    assert (row.median, row.p90, row.rate) == (5.5, pytest.approx(9.1), 20)
    nothing = Row(Configuration("torch", "f32", 1, 1), "2", failure="why")
    assert all(map(isnan, (nothing.median, nothing.p90, nothing.rate)))
    assert nothing.to_dict()["ms_median"] is None and nothing.to_dict()["failure"] == "why"


@pytest.mark.parametrize(("bands", "dtype"), [(1, "uint8"), (3, "uint16"), (5, "float32")])
def test_pictures_are_such_as_the_model_takes(bands, dtype):
    shown = child.pictures((20, 30), bands=bands, dtype=dtype)
    assert len(shown) == child.PICTURES
    assert all(p.shape == (20, 30, bands) and p.dtype == dtype for p in shown)
    assert not np.array_equal(shown[0], shown[1])
