"""`atrous doctor` and `atrous export-data` as a person and as a machine meet them."""

import io
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as pil
from rich.cells import cell_len
from rich.console import Console

import atrous.cli.doctor as command
from atrous.cli import app, main
from atrous.cli.diagnosis import answer, printable, shortened
from atrous.data.dataset import open_dataset
from atrous.doctor import Diagnosis, Finding, examine

KNOWN = "not tried here"  # what training takes; only one test lets it be tried


@pytest.fixture
def cli(cli, monkeypatch):
    """A command in this process, without an estimate."""
    monkeypatch.setattr(command, "estimated", lambda *_: KNOWN)
    return cli


@pytest.fixture(scope="module")
def scenes(shapes, tmp_path_factory) -> Path:
    """The shapes, each in a light of its own: of one lawn they would be neighbours."""
    root = tmp_path_factory.mktemp("scenes") / "set"
    shutil.copytree(shapes, root)
    for number, path in enumerate(sorted(root.rglob("images/*.png"))):
        light = np.random.default_rng(number).uniform(0.2, 1.6, (6, 8)).astype(np.float32)
        light = np.asarray(pil.fromarray(light).resize((96, 72), pil.Resampling.BICUBIC))
        lit = np.asarray(pil.open(path)) * light[..., None]
        pil.fromarray(lit.clip(0, 255).astype(np.uint8)).save(path)
    return root


@pytest.fixture
def broken(scenes, tmp_path) -> Path:
    """The scenes, with label 9 in the first pixels of eight masks."""
    root = tmp_path / "broken set"
    shutil.copytree(scenes, root)
    for i in range(8):
        path = root / "train/masks" / f"{i}.png"
        mask = np.array(pil.open(path))
        mask[i, 2 * i] = 9
        pil.fromarray(mask).save(path)
    return root


def last_command(out: str) -> list[str]:
    """The words of the command that the answer ends in."""
    return shlex.split(out.splitlines()[-1])


def test_a_clean_set_has_its_card_and_the_command_that_trains_it(cli, scenes):
    code, out, _ = cli("doctor", scenes)
    assert code == 0
    for told in ("10 train, 4 val", "72 x 96 (height x width), all alike", "uint8, 3 bands", KNOWN):
        assert told in out
    for name in ("grass", "disc", "square"):
        assert f"\n{name} " in out
    assert "No errors. Train with:" in out
    words = last_command(out)
    assert words[:3] == ["atrous", "train", str(scenes)]
    assert "augment.crop=96" in words
    app.parse_args(words[1:], exit_on_error=False, print_error=False)


def test_errors_are_told_with_file_pixel_effect_and_fix(cli, broken):
    code, out, _ = cli("doctor", broken)
    assert code == 1
    assert "M403  Label outside the label space (8)" in out
    assert "The loss has no class for it." in out
    assert "train/masks/3.png" in out and "row 3, column 6" in out
    assert out.count("Fix: Map it in dataset.toml") == 1  # the same for all
    assert "8 errors. Training refuses this data set" in out
    words = last_command(out)
    assert words == ["atrous", "doctor", str(broken), "--fix", "COPY"]
    app.parse_args(words[1:], exit_on_error=False, print_error=False)


def test_many_of_a_kind_collapse_on_the_terminal_and_not_in_json(cli, broken):
    _, out, _ = cli("doctor", broken)
    assert out.count("train/masks/") == 5 and "and 3 more" in out
    code, out, _ = cli("doctor", broken, "--json")
    told = json.loads(out)
    assert code == 1
    assert [f["file"] for f in told["findings"]] == [f"train/masks/{i}.png" for i in range(8)]
    assert told["findings"][3]["pixel"] == [3, 6]
    assert told["count"]["error"] == 8 and told["estimate"] is None
    assert told["card"]["splits"] == {"train": 2, "val": 4}


def test_a_folder_that_is_not_understood_is_exit_code_2(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("no pictures here")
    code, out, _ = cli("doctor", tmp_path)
    assert code == 2
    assert "S109  The folder is not understood" in out and "nothing can be read" in out
    assert cli("doctor", tmp_path / "nowhere", "--json")[0] == 2


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(cli, broken, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    long = broken / "train/images" / f"{'a long name ' * 9}.png"
    shutil.copy(broken / "train/images/0.png", long)  # S101
    lines = cli("doctor", broken)[1].splitlines()
    assert max(cell_len(line) for line in lines[:-2]) <= columns  # the last is a command
    assert not any(line.endswith(" ") for line in lines)


def test_the_page_and_the_copy_are_written_where_they_were_asked_for(cli, broken, tmp_path):
    out, copy = tmp_path / "out", tmp_path / "copy"
    code, _, err = cli("doctor", broken, "--out", out, "--fix", copy)
    assert code == 1
    assert f"The page with pictures: {out / 'doctor.html'}" in err
    assert "masks/7.png" in (out / "doctor.html").read_text(encoding="utf-8")
    assert f"The corrected copy: {copy} (14 pairs; 8 changes, 0 left out" in err
    assert cli("doctor", copy)[0] == 0


def test_where_nothing_can_be_mended_that_is_said(cli, tmp_path):
    (tmp_path / "set").mkdir()
    code, out, err = cli("doctor", tmp_path / "set", "--fix", tmp_path / "copy", "--json")
    assert code == 2 and json.loads(out)["fixed"] is None
    assert "There is no corrected copy: " in err
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("flag", ["--out", "--fix"])
def test_nothing_is_written_into_the_data_set(cli, broken, flag):
    before = sorted(broken.rglob("*"))
    code, out, err = cli("doctor", broken, flag, broken / "here")
    assert code == 2 and out == ""
    assert "lies in the data set" in err
    assert sorted(broken.rglob("*")) == before


def test_layout_and_task_may_be_set(cli, shapes):
    _, out, _ = cli("doctor", shapes, "--set", "task=multilabel", "--set", "layout=folder")
    assert "task        multilabel" in out
    assert last_command(out)[-4:] == ["--set", "task=multilabel", "--set", "layout=folder"]
    assert cli("doctor", shapes, "--set", "layout=coco")[0] == 2


def test_an_accepted_error_is_told_and_is_none(cli, broken):
    toml = broken / "dataset.toml"
    toml.write_text('classes = ["grass", "disc", "square"]\naccept = ["M403"]\n')
    out = cli("doctor", broken)[1]
    assert "Accepted in dataset.toml." in out
    assert "8 accepted" in out


def test_training_is_estimated_on_this_machine(monkeypatch, capsys, shapes, small):
    from atrous.train.estimate import Estimate

    options = [word for option in small for word in ("--set", option)]
    monkeypatch.setattr(sys, "argv", ["atrous", "doctor", str(shapes), *options, "--json"])
    with pytest.raises(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out)["estimate"]
    assert told["seconds"] > told["seconds_per_step"] > 0
    assert told["model"] == "deeplabv3plus on efficientnet_lite0"
    words = command.words_of(Estimate(**told))
    assert "GB of memory" in words and "s a step on cpu" in words


def test_the_doctor_needs_no_torch(shapes):
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['timm'] = None\n"
        f"sys.argv = ['atrous', 'doctor', {str(shapes)!r}]\n"
        "from atrous.cli import main; main()"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert told.returncode == 0, told.stderr
    assert "not known: that needs torch (pip install 'atrous[train]')" in told.stdout
    assert told.stderr == ""


def test_colours_are_shown_on_terminals_alone(shapes):
    diagnosis = examine(shapes)
    plain = answer(diagnosis, KNOWN, Console(file=io.StringIO(), width=80))
    bright = answer(
        diagnosis, KNOWN, Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")
    )
    assert plain.isascii()
    assert "\x1b[38;2;63;144;218m■ \x1b[0mgrass" in bright  # the first of the distinct colours


def test_of_many_classes_the_first_are_shown(shapes):
    diagnosis = examine(shapes)
    card = diagnosis.card
    assert card is not None
    many = replace(card, classes=tuple(card.classes[0]._replace(name=f"no {i}") for i in range(60)))
    text = answer(replace(diagnosis, card=many), KNOWN, Console(file=io.StringIO(), width=80))
    assert "no 39" in text and "no 40" not in text
    assert "and 20 more; --json and --out show all" in text


def test_each_file_has_its_own_fix_where_fixes_differ(shapes):
    findings = tuple(Finding("S101", f"{n}.png", "has no mask", f"Draw {n}.") for n in "abc")
    diagnosis = Diagnosis(shapes, None, findings, None, None)
    text = answer(diagnosis, KNOWN, Console(file=io.StringIO(), width=80))
    assert "Each has no mask." in text
    assert text.count("Fix: ") == 3 and "Fix: Draw b." in text


def test_further_files_of_a_finding_are_named(shapes):
    others = tuple(f"{i}.png" for i in range(7))
    finding = Finding("P302", "x.png", "is one of the fewer", "Save alike.", others=others)
    diagnosis = Diagnosis(shapes, None, (finding,), None, None)
    text = answer(diagnosis, KNOWN, Console(file=io.StringIO(), width=80))
    assert "also 0.png, 1.png and 5 more" in text


@given(st.text(min_size=1), st.integers(8, 60))
def test_a_shortened_path_fits_and_keeps_its_ends(path, width):
    path = printable(path).replace("\n", "")
    short = shortened(path, width)
    assert cell_len(short) <= width
    if cell_len(path) <= width:
        assert short == path
    else:
        head, _, tail = short.partition("…") if "…" not in path else (path[:0], "", "")
        assert path.startswith(head) and path.endswith(tail)


@given(st.text())
def test_what_would_steer_a_terminal_is_escaped(text):
    shown = printable(text)
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert shown == text or not text.isprintable()


def test_export_data_writes_the_same_masks(cli, shapes, tmp_path):
    out = tmp_path / "voc"
    code, told, err = cli("export-data", shapes, "--to", "voc", "--out", out)
    assert code == 0 and told == f"14 pairs in {out}\n" and "Layout: " in err
    ours, theirs = open_dataset(shapes), open_dataset(out)
    for split in ("train", "val"):
        assert ours.counts[split].tolist() == theirs.counts[split].tolist()
    out = tmp_path / "val"
    words = ("export-data", shapes, "--to", "folder", "--out", out, "--split", "val", "--json")
    code, told, _ = cli(*words)
    assert code == 0 and json.loads(told)["pairs"] == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "pascal"], "is 'pascal'"),
        (["--to", "voc", "--split", "test"], "has no split 'test'"),
        (["--to", "voc", "--set", "train.lr=1.0"], "train.lr has no effect"),
    ],
)
def test_what_cannot_be_exported_is_exit_code_2(cli, shapes, tmp_path, words, said):
    code, out, err = cli("export-data", shapes, "--out", tmp_path / "out", *words)
    assert code == 2 and out == ""
    assert said in err
    assert not (tmp_path / "out").exists()
