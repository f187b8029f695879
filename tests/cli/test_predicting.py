"""`atrous predict` and `atrous evaluate` with exported files, as a person meets them."""

import importlib.util
import io
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import atrous
from atrous.cli import main, progress
from atrous.cli.options import answering
from atrous.cli.progress import Progress
from tiny_models import contents, write_pictures, write_tiny

ENGINES = ["onnxruntime"] + ["openvino"] * bool(importlib.util.find_spec("openvino"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.onnx")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), 4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("sets", [(), ("predict.flip=true", "predict.scales=[1, 0.5]")])
def test_the_command_writes_what_python_gives(cli, model, pictures, tmp_path, engine, sets):
    flags = [word for text in sets for word in ("--set", text)]
    code, out, err = cli(
        "predict", model, pictures, "--out", tmp_path, "--engine", engine, "--json", *flags
    )
    answer = json.loads(out)
    assert code == 0 and len(answer["masks"]) == 4 and answer["skipped"] == []
    assert f"Engine: {engine}" in err
    options = {"flip": True, "scales": (1, 0.5)} if sets else {}
    predictor = atrous.load(model, engine=engine, threads=1, **options)
    for path in pictures.rglob("*.png"):
        with Image.open(tmp_path / path.relative_to(pictures)) as mask:
            assert np.array_equal(np.asarray(mask), predictor(path).mask)


def test_every_output_has_a_flag_and_the_same_command_goes_on(cli, model, pictures, tmp_path):
    flags = ["--overlay", "--probabilities", "--confidence", "--palette", "voc", "--threads", 1]
    for shard in ("1/2", "2/2"):
        command = ["predict", model, pictures, "--out", tmp_path, *flags, "--shard", shard]
        assert cli(*command)[:2] == (0, f"2 masks in {tmp_path}\n")
    before = contents(tmp_path)
    assert {name.partition("/")[0] for name in before} > {"overlay", "probabilities", "confidence"}
    assert (
        cli("predict", model, pictures, "--out", tmp_path, *flags)[1] == f"4 masks in {tmp_path}\n"
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("inputs", "out"), [("pictures", "."), ("pictures/**/*.*g", "pictures/masks")]
)
def test_masks_may_lie_beside_pictures_and_the_same_command_goes_on(
    cli, model, tmp_path, monkeypatch, inputs, out
):
    write_pictures(tmp_path / "pictures", 3)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        command = ["predict", model, inputs, "--out", out, "--threads", 1]
        assert cli(*command)[:2] == (0, f"3 masks in {out}\n")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_answers_are_utf_8_and_hold_any_name(model, tmp_path, monkeypatch, encoding):
    write_pictures(tmp_path / "pictures", 2)
    name = os.fsdecode("街道-".encode() + b"\xff")
    for old, new in ((tmp_path / "pictures/000.png", name), (tmp_path / "pictures/a", "ä")):
        old.rename(old.parent / f"{new}{old.suffix}")
    page = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(page, encoding, write_through=True))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    out = tmp_path / name
    words = ["atrous", "predict", str(model), str(tmp_path / "pictures"), "--out", str(out)]
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", [*words, *more])
        with pytest.raises(SystemExit) as exit:
            main()
        assert not exit.value.code
    line, _, answer = page.getvalue().partition(b"\n")
    assert line == b"2 masks in " + os.fsencode(out)
    assert str(out / f"{name}.png") in json.loads(answer.decode("utf-8"))["masks"]


PERSON = "guest_models/deeplabv3plus_mnv2_dm05_person_nchw.onnx"
SIDE = """
classes = ["background", "person"]
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
size = [513, 513]
"""


def test_a_model_of_another_program_with_its_manifest_gives_what_python_gives(
    cli, shared_data, tmp_path
):
    file, picture = shared_data / PERSON, shared_data / "dense_crf/im3.png"
    side = tmp_path / "side.toml"
    side.write_text(SIDE)
    flags = ["--engine", "onnxruntime", "--threads", 1, "--manifest", side]
    code, out, _ = cli("predict", file, picture, "--out", tmp_path / "out", *flags)
    assert (code, out) == (0, f"1 masks in {tmp_path / 'out'}\n")
    predictor = atrous.load(file, manifest=side, engine="onnxruntime", threads=1)
    with Image.open(tmp_path / "out/im3.png") as mask:
        found = np.asarray(mask)
    assert np.array_equal(found, predictor(picture).mask) and 0.05 < found.mean() < 0.5


def test_failures_are_listed_at_the_end_with_reasons(cli, model, pictures, tmp_path):
    for name in ("b.png", "a.png"):
        (tmp_path / name).write_bytes(b"no picture")
    inputs = [pictures, tmp_path / "b.png", tmp_path / "a.png"]
    code, out, err = cli("predict", model, *inputs, "--out", tmp_path / "out")
    assert code == 1 and out == f"4 masks in {tmp_path / 'out'}, 2 left out\n"
    tail = err[err.index("Left out:") :].splitlines()
    assert [line.partition(": ")[0].strip() for line in tail[1:]] == [
        str(tmp_path / "a.png"),
        str(tmp_path / "b.png"),
    ]
    assert all("is not a picture" in line for line in tail[1:])


WRONG = [
    (["--shard", "3/2"], "--shard: is '3/2'"),
    (["--palette", "nowhere"], "--palette nowhere"),
    (["--engine", "torch"], "engine: is torch"),
    (["--engine", "tensorflow"], "'tensorflow'"),
    (["--precision", "int8"], "precision: is int8"),
    (["--threads", "-1"], "is -1"),
    (["--set", "predict.scales=[0.5]"], "1 among them"),
    (["--set", "predict.flop=true"], "Did you mean predict.flip?"),
    (["--manifest", "nowhere.json"], "nowhere.json"),
]


@pytest.mark.parametrize(("flags", "said"), WRONG, ids=[" ".join(f) for f, _ in WRONG])
def test_what_cannot_be_done_is_said_before_anything_is_written(
    cli, model, pictures, tmp_path, flags, said
):
    out = tmp_path / "out"
    code, answer, err = cli("predict", model, pictures, "--out", out, *flags)
    assert code == 2 and said in err.replace("\n", " ") and answer == ""
    assert not out.exists() and "Traceback" not in err


def test_another_model_in_the_folder_is_exit_code_2(cli, model, pictures, tmp_path):
    other = write_tiny(tmp_path / "other.onnx", weights=np.eye(3)[::-1])
    out = tmp_path / "out"
    assert cli("predict", model, pictures, "--out", out)[0] == 0
    before = contents(out)
    code, _, err = cli("predict", other, pictures, "--out", out)
    assert code == 2 and "holds masks of the model" in err and contents(out) == before


def test_an_exported_file_is_evaluated_and_says_what_answered(cli, shapes, tmp_path):
    names = ("grass", "disc", "square")
    model = write_tiny(tmp_path / "m.onnx", classes=atrous.Classes(names))
    command = ["evaluate", model, shapes, "--engine", "onnxruntime", "--threads", 1]
    code, out, err = cli(*command, "--out", tmp_path / "scores", "--json")
    assert code == 0 and "Engine: onnxruntime" in err
    assert json.loads(out) == json.loads((tmp_path / "scores/scores.json").read_text())
    said = json.loads((tmp_path / "scores/model.json").read_text())
    assert said["options"] == {"engine": "onnxruntime", "threads": 1}
    code, out, _ = cli(*command, "--set", "predict.flip=true")
    assert code == 0 and "tiny weights; onnxruntime, f32, flip." in out


def test_only_what_is_asked_for_is_asked_of_load(tmp_path):
    assert answering(()) == {}
    asked = answering(("predict.flip=true", "device=cpu"), engine="openvino", threads=3)
    assert asked == {"flip": True, "device": "cpu", "engine": "openvino", "threads": 3}


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_rate_and_time_left_and_lines_above_the_bar(monkeypatch, terminal):
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    page = io.StringIO()
    console = Console(file=page, force_terminal=terminal, width=120)
    with Progress("predicting", console) as shown:
        for item in shown.track(range(4)):
            if item == 2:
                shown.line("left out: a.png")
            if terminal:
                shown.bar.refresh()
    assert "left out: a.png\n" in page.getvalue()
    assert "predicting" in page.getvalue() and "images/s" in page.getvalue()
    assert ("0 s left" in page.getvalue()) != terminal
    assert ("\x1b[" in page.getvalue()) == terminal
