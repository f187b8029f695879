"""The command line as a person meets it: answers, exit codes, one plain message for an error."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest
from rich.console import Console

from atrous.cli import main, training
from atrous.cli.speaking import say_approximations
from atrous.cli.training import duration
from atrous.errors import Approximation
from atrous.runs import RunFolder
from atrous.train import train_events


def call(monkeypatch, capsys, *arguments):
    """Exit code, stdout and stderr of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["atrous", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        main()
    out, err = capsys.readouterr()
    return exit.value.code or 0, out, err


@pytest.fixture
def cli(monkeypatch, capsys):
    return lambda *arguments: call(monkeypatch, capsys, *arguments)


def sets(options):
    return [word for option in options for word in ("--set", option)]


@pytest.fixture(scope="module")
def run(shapes, small, tmp_path_factory):
    import atrous

    out = tmp_path_factory.mktemp("runs") / "run"
    atrous.train(shapes, out=out, steps=2, set=small)
    return out


def test_train_evaluate_predict_info_in_a_row(cli, shapes, small, tmp_path):
    run = tmp_path / "run"
    code, out, err = cli("train", shapes, "--out", run, "--steps", 2, "--json", *sets(small))
    assert code == 0
    assert json.loads(out)["scores"]["num_images"] == 4
    assert "2 steps, about" in err

    code, out, _ = cli("evaluate", run, shapes, "--json", "--out", tmp_path / "scores")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "scores/scores.json").read_text())
    code, out, _ = cli("evaluate", run, shapes, "--split", "train")
    assert code == 0 and "disc" in out and "train: 10 images" in out

    code, out, _ = cli("predict", run, shapes / "val/images", "--out", tmp_path / "m", "--overlay")
    assert code == 0 and "4 masks" in out
    code, out, _ = cli("info", run, "--json")
    facts = json.loads(out)
    assert code == 0 and facts["step"] == 2 and facts["classes"]["names"][1] == "disc"
    assert "deeplabv3plus on efficientnet_lite0" in cli("info", run)[1]


def test_a_broken_picture_makes_exit_code_1(cli, run, shapes, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    images = [tmp_path / "broken.jpg", shapes / "val/images/0.png"]
    code, out, err = cli("predict", run, *images, "--out", tmp_path / "out", "--json")
    answer = json.loads(out)
    assert code == 1
    assert len(answer["masks"]) == 1
    assert answer["skipped"][0]["picture"] == str(tmp_path / "broken.jpg")
    assert "broken.jpg" in err


def test_models_and_recipe_are_shown(cli, run):
    assert "steps = 7 " in cli("recipe", "show", "--set", "train.steps=7")[1]
    assert "crop = 64 " in cli("recipe", "show", run)[1]
    assert json.loads(cli("recipe", "show", "--json")[1])["seed"] == 0


WRONG = [
    (["train", "NOWHERE", "--out", "OUT"], "NOWHERE"),
    (["train", "DATA", "--out", "OUT", "--set", "train.stepz=1"], "Did you mean train.steps?"),
    (["train", "DATA", "--out", "OUT", "--model", "fcn9s"], "fcn9s"),
    (["train", "DATA", "--out", "OUT", "--encoder", "resnet51"], "Did you mean"),
    (["train", "DATA", "--out", "OUT", "--stepz", "1"], "--stepz"),
    (["models", "fcn9s"], "fcn9s"),
    (["models", "--size", "big"], "HEIGHT,WIDTH"),
    (["train", "DATA", "--out", "OUT", "--steps", "many"], "many"),
    (["train", "DATA", "--out", "RUN"], "holds a run already"),
    (["evaluate", "RUN", "DATA", "--split", "test"], "has no split 'test'"),
    (["evaluate", "NOWHERE", "DATA"], "NOWHERE"),
    (["predict", "RUN", "NOWHERE", "--out", "OUT"], "NOWHERE"),
    (["predict", "RUN", "--out", "OUT"], "names no picture"),
    (["recipe", "show", "NOWHERE"], "NOWHERE"),
    (["info", "DATA"], "recipe.toml"),
    (["info", "RUN/state.safetensors"], "'state'"),
    (["evaluate", "RUN", "DATA", "--set", "train.lr=1.0"], "train.lr has no effect"),
    (["train", "DATA", "--out", "OUT", "--workers", "-1"], "is -1"),
    (["train", "DATA", "--out", "OUT", "--set", "device=mps"], "is 'mps'"),
    (["train", "DATA", "--out", "DATA/dataset.toml/run"], "cannot be made a folder"),
    (["report", "NOWHERE"], "NOWHERE"),
]


def filled(word, words):
    """`RUN/state.safetensors` -> that file of the run."""
    first, slash, rest = word.partition("/")
    return f"{words.get(first, first)}{slash}{rest}"


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_what_is_wrong_is_said_plainly_with_exit_code_2(
    cli, run, shapes, tmp_path, arguments, said
):
    words = {"DATA": shapes, "RUN": run, "OUT": tmp_path / "out", "NOWHERE": tmp_path / "NOWHERE"}
    code, out, err = cli(*(filled(word, words) for word in arguments))
    assert code == 2
    assert said in err.replace("\n", " ")
    assert "Traceback" not in err and out == ""
    assert not (tmp_path / "out").exists()


def test_a_fault_of_ours_is_code_3_and_says_so(cli, monkeypatch, shapes):
    import atrous.train

    monkeypatch.setattr(atrous.train, "train_events", lambda *a, **k: 1 / 0)
    code, _, err = cli("train", shapes, "--out", "x")
    assert code == 3
    assert "fault of atrous" in err and "ZeroDivisionError" in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_sigterm_writes_a_checkpoint_says_how_to_go_on_and_exits_143(shapes, small, tmp_path):
    run = RunFolder(tmp_path / "run")
    command = ["train", shapes, "--out", run.path, "--steps", "500", *sets(small)]
    process = subprocess.Popen(
        [sys.executable, "-m", "atrous", *map(str, command)], stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (run.log.exists() and run.log.read_bytes()):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert f"atrous train {shapes} --out {run.path} --resume" in err
    assert run.state.exists()


def test_durations_read_well():
    assert [duration(s) for s in (4, 60, 3599, 3600)] == [
        "4 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_loss_speed_and_score(shapes, small, tmp_path, monkeypatch, terminal):
    monkeypatch.setattr(training, "PLAIN_SECONDS", 0.0)
    page = io.StringIO()
    events = train_events(shapes, out=tmp_path / "run", sets=[*small, "train.steps=2"])
    last = training.show(
        events, go_on="", console=Console(file=page, force_terminal=terminal, width=140)
    )
    assert last.step == 2
    for word in ("loss", "images/s", "val mIoU", "best so far"):
        assert word in page.getvalue()
    assert ("0 s left" in page.getvalue()) != terminal
    assert ("\x1b[" in page.getvalue()) == terminal


def test_a_network_says_what_it_sees(cli, run):
    rows = cli_rows(cli("models", "deeplabv3plus", "--size", "360,480")[1])
    assert rows["output stride"].startswith("16 pixels")
    assert rows["whole picture"] == "seen by head.aspp.branches.4"
    out = cli("models", "deeplabv3", "--set", "model.aspp_rates=[12,24,36]", "--size", "360,480")[1]
    assert "rate 36 on 23 x 30 cells: 11 % of the 3x3's taps lie inside: a 1x1 convolution" in out
    assert "rate 6 on 4 x 4 cells" in cli("info", run)[1]  # at the training crop, 64


def cli_rows(text):
    pairs = [line.split("  ", 1) for line in text.splitlines()]
    return {name.strip(): value.strip() for name, value in pairs}


def test_the_list_of_models_tells_their_costs(cli):
    listed = {row["name"]: row for row in json.loads(cli("models", "--json")[1])}
    assert listed["fcn32s"]["receptive_field"] == 404  # VGG16 to fc7, as is widely known
    assert listed["fcn8s"]["encoder"] == "vgg16" and 134e6 < listed["fcn8s"]["parameters"] < 135e6
    assert listed["fcn_basic"]["encoder"] == "its own"


def test_an_approximation_is_said_once_in_a_line_and_other_warnings_as_ever(monkeypatch, capsys):
    others = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: others.append(str(message)))
    say_approximations()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("nearly", Approximation, stacklevel=1)
        warnings.warn("of others", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "nearly\n" and others == ["of others"]
