"""`atrous export`, `verify`, `bench`, and `info` of an exported file, as a person meets them."""

import json
import shutil
from dataclasses import replace
from math import nan

import numpy as np
import onnx
import pytest

import atrous.bench
import atrous.verify
from atrous.bench import Benchmark, Configuration, Row
from atrous.classes import Classes
from atrous.cli import exported as words
from atrous.errors import RunError
from atrous.exported import read_exported, write_exported
from atrous.metrics.scores import scores_from
from atrous.verify import Verification
from atrous.verify.comparison import Comparison, Runtime


def pairs(text):
    """A table of names and values."""
    return dict(line.split("  ", 1) for line in text.splitlines() if "  " in line)


QUICK = ("--engine", "onnxruntime", "--threads", 1)


def test_a_sound_file_is_verified_with_exit_code_0(cli, exported, shapes):
    run, model = exported
    code, out, err = cli("verify", model, run, shapes, *QUICK, "--limit", 2)
    assert code == 0
    assert "It answers as the run does." in out and "onnxruntime f32" in out
    assert "Class names" in err
    lines = out.splitlines()
    assert any(line.startswith("disc ") for line in lines)
    assert len({len(line) for line in lines[:3]}) == 1  # columns align
    code, out, _ = cli("verify", model, run, shapes, *QUICK, "--limit", 2, "--json")
    facts = json.loads(out)
    assert code == 0 and facts["passed"] and facts["rows"][0]["pictures"] == 2
    assert facts["rows"][0]["flipped_allowed"] == 1e-4


def test_a_file_that_answers_otherwise_is_exit_code_1_with_its_reasons(
    cli, exported, shapes, tmp_path
):
    run, model = exported
    content, manifest, _ = read_exported(model)
    turned = replace(manifest, classes=Classes(("disc", "grass", "square")))
    write_exported(tmp_path / "turned.onnx", content, turned)
    code, out, _ = cli("verify", tmp_path / "turned.onnx", run, shapes, *QUICK)
    assert code == 1
    assert "It does not answer as the run:\n  classes stand in another order" in out
    code, out, _ = cli("verify", tmp_path / "turned.onnx", run, shapes, *QUICK, "--json")
    assert code == 1 and not json.loads(out)["passed"]


def test_export_says_what_was_written_and_how_to_go_on(cli, exported, tmp_path):
    alone = shutil.copytree(exported[0], tmp_path / "run")
    (alone / "dataset.json").unlink()
    out = tmp_path / "a b.onnx"
    code, told, err = cli("export", alone, "--out", out, "--set", "predict.weights=best")
    assert code == 0 and out.is_file()
    assert told.startswith(f"file         {out}") and "best weights" in told
    assert told == cli("info", out)[1]
    assert "made-up pictures alone" in err and f"atrous predict '{out}' IMAGES" in err
    code, told, _ = cli("export", alone, "--out", out, "--json")
    facts = json.loads(told)
    assert code == 0 and facts["file"] == str(out) and facts["verification"]["passed"]


def test_a_run_folder_that_is_called_like_a_file_is_shown_as_a_run(cli, exported, tmp_path):
    run = shutil.copytree(exported[0], tmp_path / "street.onnx")
    code, out, _ = cli("info", run)
    assert code == 0 and "last.safetensors" in out


def test_an_option_that_is_named_counts_though_it_is_the_default(cli, monkeypatch):
    asked = {}

    def verify(*_, **options):
        asked.update(options)
        raise RunError("x", found="is", allowed="was", fix="Go.")

    monkeypatch.setattr(atrous.verify, "verify", verify)
    assert cli("verify", "M", "R", "D", "--set", "predict.weights=last")[0] == 2
    assert asked["weights"] == "last" and "output_stride" not in asked
    asked.clear()
    assert cli("verify", "M", "R", "D", "--set", "predict.engine=auto", "--threads", 0)[0] == 2
    assert (asked["engine"], asked["threads"]) == ("auto", 0) and "weights" not in asked


def compared(precision, *, failure=""):
    """A runtime that answered as the reference, or failed after one of two pictures."""
    classes = Classes(("sky", "road"))
    right, shown = np.diag([50, 50]), 1 if failure else 2
    return Comparison(
        Runtime("onnxruntime", precision, "1"),
        pictures=shown,
        pixels=50 * shown,
        differing=0,
        flipped=0,
        largest=0.0,
        scale=3.0,
        scores=scores_from(classes, 0 * right if failure else right),
        reference=scores_from(classes, right),
        ms=nan if failure else 1.0,
        reference_ms=1.0,
        failure=failure,
    )


def test_a_runtime_that_failed_has_no_scores_in_the_table():
    rows = (compared("int8", failure="1.png: no luck"), compared("f32"))
    told = words.verification_table(
        Verification("m.onnx", "run", "data", Runtime("torch", "f32", "2"), "last", rows)
    )
    lines = {line.split()[0]: line.split() for line in told.splitlines() if line.strip()}
    assert lines["sky"] == ["sky", "100.00", "-", "+0.00"]
    failed = next(line for line in told.splitlines() if line.startswith("onnxruntime int8"))
    assert failed.split()[-3:] == ["-", "-", "-"]
    assert "2 pictures, 100 pixels" in told and "of the largest of their picture" in told
    assert "onnxruntime int8: 1.png: no luck" in told


GUEST = """classes = ["sky", "road", "tree"]
mean = [1, 2, 3]
std = [1, 2, 3]
[verified]
by = "hand"
[scores]
mIoU = "good"
[quantised]
float_layers = 3
pictures = 4
[model]
name = "theirs"
parameters = "few"
"""


def test_what_other_programs_say_of_a_file_is_told_plainly(cli, exported, tmp_path):
    proto = onnx.load(exported[1])
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "guest.onnx")
    (tmp_path / "guest.toml").write_text(GUEST)
    code, out, err = cli("info", tmp_path / "guest.onnx")
    rows = {name.strip(): value.strip() for name, value in pairs(out).items()}
    assert code == 0, err
    assert rows["verified"] == "by hand" and rows["scores"] == "mIoU good"
    assert rows["quantised"] == "float_layers 3, pictures 4"
    assert rows["model"] == "name theirs, parameters few"


def test_info_shows_the_manifest(cli, exported):
    _, model = exported
    code, out, _ = cli("info", model)
    rows = {name.strip(): value.strip() for name, value in pairs(out).items()}
    assert code == 0
    assert rows["file"].startswith(str(model)) and "opset" in rows["file"]
    assert rows["classes"] == "3: grass, disc, square"
    assert rows["weights"].startswith("last weights, step 16")
    assert rows["input"] == "uint8 N H W C, RGB, any size"
    assert rows["normalising"] == "less 127.5, 127.5, 127.5, divided by 127.5, 127.5, 127.5, " + (
        "by the graph"
    )
    assert rows["output"].startswith("3 logits a cell, a cell each ")
    facts = json.loads(cli("info", model, "--json")[1])
    assert facts["kind"] == "exported" and facts["classes"] == ["grass", "disc", "square"]


def test_bench_prints_a_table_or_json(cli, monkeypatch, tmp_path):
    rows = (
        Row(Configuration("onnxruntime", "f32", 1, 1), "1.2", [10.0, 20.0], 0.03, 10**8, 1.5),
        Row(Configuration("openvino", "bf16", 2, 2), "3.4", failure="RuntimeError: no luck"),
    )
    asked = {}

    def bench(file, **options):
        asked.update(options)
        return Benchmark(str(file), "last weights", (32, 48), "as asked for", rows)

    monkeypatch.setattr(atrous.bench, "bench", bench)
    code, out, _ = cli("bench", "x.onnx", "--size", "32,48", "--threads", 2)
    assert code == 1  # one of them failed
    assert asked["size"] == (32, 48) and asked["threads"] == 2
    lines = out.splitlines()
    assert lines[1].split() == "onnxruntime f32 1 1 15.0 19.0 66.7 100 1.5".split()
    assert lines[2].split() == "openvino bf16 2 2 - - - - -".split()
    assert "openvino bf16 2 2: RuntimeError: no luck" in out
    assert "Pictures of 32 x 48 (as asked for)" in out
    facts = json.loads(cli("bench", "x.onnx", "--json")[1])
    assert facts["rows"][0]["ms"] == [10, 20] and facts["machine"]["cores"] >= 1


WRONG = [
    (["verify", "MODEL", "RUN", "DATA", "--budget", "3"], "--budget: is 3.0"),
    (["verify", "MODEL", "RUN", "DATA", "--engine", "torch"], "there is onnxruntime f32"),
    (["verify", "MODEL", "RUN", "NOWHERE"], "NOWHERE"),
    (["verify", "MODEL", "NOWHERE", "DATA"], "NOWHERE"),
    (["verify", "NOWHERE", "RUN", "DATA"], "NOWHERE"),
    (["verify", "MODEL", "RUN", "DATA", "--set", "predict.flip=true"], "no effect on verify"),
    (["verify", "MODEL", "RUN", "DATA", "--set", "device=cpu"], "--set device: has no effect"),
    (["export", "RUN", "--out", "OUT", "--set", "threads=2"], "--set threads: has no effect"),
    (["export", "RUN", "--out", "OUT", "--set", "predict.flip=true"], "it follows predict.weights"),
    (["export", "RUN", "--out", "."], "Give for example --out model.onnx"),
    (["bench", "MODEL", "--size", "big"], "HEIGHT,WIDTH"),
    (["bench", "NOWHERE"], "NOWHERE"),
    (["bench", "RUN", "--engine", "openvino"], "there is torch f32"),
    (["export", "NOWHERE", "--out", "OUT"], "NOWHERE"),
    (["export", "RUN", "--out", "OUT", "--set", "predict.scales=[0.5,1]"], "no effect on export"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_what_is_wrong_is_said_plainly_with_exit_code_2(
    cli, exported, shapes, tmp_path, arguments, said
):
    run, model = exported
    words = {"MODEL": model, "RUN": run, "DATA": shapes, "OUT": tmp_path / "out.onnx"}
    words["NOWHERE"] = tmp_path / "NOWHERE"
    code, out, err = cli(*(words.get(word, word) for word in arguments))
    assert code == 2
    assert said in err.replace("\n", " ")
    assert "Traceback" not in err and out == ""
    assert not (tmp_path / "out.onnx").exists()


def test_columns_align():
    assert words.columns([["a", "b", "c"], ["long", "1", "22"]], left=2) == (
        "a     b   c\nlong  1  22"
    )
