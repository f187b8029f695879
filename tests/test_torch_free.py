"""Predicting, evaluating and reporting need neither torch nor onnx, only an exported file."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atrous.classes import Classes

ROOT = Path(__file__).parents[1]
TRAINING = ("torch", "torchvision", "timm", "onnx", "onnxscript")
HIDDEN = ("PYTHONPATH", "CI")  # what is installed answers, as it does for everybody
# One process for the three commands: what any of them loads is seen at the end.
COMMANDS = """
import importlib.util, json, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

commands, refused = json.loads(sys.argv[1])
sys.meta_path.insert(0, Refused())
import atrous
from atrous.cli import main

for words in commands:
    sys.argv = ["atrous", *words]
    try:
        main()
    except SystemExit as exit:
        assert not exit.code, (words, exit.code)
loaded = sorted({name.partition(".")[0] for name, module in sys.modules.items() if module})
print(json.dumps({"atrous": atrous.__file__, "loaded": loaded}))
"""
IMPORT = "import time; t = time.perf_counter(); import atrous; print(time.perf_counter() - t)"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that `atrous export` made of a run."""
    import atrous
    from export.made import made_run

    folder = tmp_path_factory.mktemp("exported")
    made_run(folder / "run", Classes(("grass", "disc", "square")))
    atrous.export(folder / "run", out=folder / "shapes.onnx")
    return folder / "shapes.onnx"


def commands(model: Path, data: Path, out: Path, *, engine: str) -> list[list[str]]:
    scores, answer = str(out / "scores"), ["--engine", engine]
    return [
        ["predict", str(model), str(data / "val/images"), "--out", str(out / "masks"), *answer],
        ["evaluate", str(model), str(data), "--out", scores, *answer],
        ["report", scores],
    ]


def answers(python: Path, model: Path, data: Path, out: Path, *, engine: str) -> dict:
    """What a process without torch has loaded; its masks, scores and page have been looked at."""
    told = json.dumps([commands(model, data, out, engine=engine), TRAINING])
    home = out / "home"
    home.mkdir()
    done = subprocess.run(
        [python, "-W", "error::ImportWarning", "-c", COMMANDS, told],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        cwd=out,
        timeout=120,
        env={name: os.environ[name] for name in os.environ if name not in HIDDEN}
        | {"HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    assert len(list((out / "masks").glob("*.png"))) == 4
    scores = json.loads((out / "scores" / "scores.json").read_text(encoding="utf-8"))
    page = (out / "scores" / "report.html").read_text(encoding="utf-8")
    assert scores["num_images"] == 4 and f"{scores['mIoU']:.3f}" in page
    assert page.count("<figure") == 4 and 'class="notice"' not in page
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_atrous_loads_nothing_that_takes_long():
    slow = ("numba", "onnxruntime", "openvino", "scipy", "PIL", *TRAINING)
    program = f"import atrous, sys; print(*{{*{slow!r}}} & {{*sys.modules}})"
    done = run([sys.executable, "-c", program])
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_where_torch_cannot_be_imported_a_file_still_answers(
    model: Path, shapes: Path, tmp_path: Path, engine: str
):
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    loaded = set(answers(Path(sys.executable), model, shapes, tmp_path, engine=engine)["loaded"])
    assert engine in loaded and not loaded & set(TRAINING)
    # OpenVINO's messenger tells Google Analytics of each import, and leaves a folder in HOME.
    assert "openvino_telemetry" not in loaded and not (tmp_path / "home" / "intel").exists()


def test_a_model_that_needs_torch_says_so_where_it_is_not(
    model: Path, shapes: Path, tmp_path: Path
):
    run, photos = str(model.parent / "run"), str(shapes / "val/images")
    words = ["predict", run, photos, "--out", str(tmp_path / "masks")]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps([[words], TRAINING])],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1 and "2)" in done.stderr
    assert "torch: is not installed" in done.stderr and "atrous[train]" in done.stderr


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python of a new environment that holds what `pip install .` brings, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    probe = [*pip, "--retries", "0", "--timeout", "10", "install", "--dry-run", "--no-deps"]
    found = run([*probe, "hatchling"])
    if found.returncode:
        said = (found.stderr.strip() or "pip is not here").splitlines()[-1]
        pytest.skip(f"no package index can be reached: {said}")
    installed = run([*pip, "install", "--quiet", ROOT])
    assert installed.returncode == 0, installed.stderr
    yield python
    shutil.rmtree(folder)


def run(command: list) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_plain_install_predicts_evaluates_and_reports(
    fresh: Path, model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    known = run(
        [
            fresh,
            "-c",
            f"import importlib.util, sys; print(*map(importlib.util.find_spec, {TRAINING!r}))",
        ]
    )
    assert known.stdout.split() == ["None"] * len(TRAINING), known.stderr
    said = answers(fresh, model, shapes, tmp_path, engine="auto")
    folder = fresh.parents[1]
    assert Path(said["atrous"]).is_relative_to(folder)
    assert "onnxruntime" in said["loaded"] and not set(said["loaded"]) & set(TRAINING)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    seconds = sorted(float(run([fresh, "-c", IMPORT]).stdout) for _ in range(5))[2]
    with capsys.disabled():
        print(f"\nA plain install: {size:.0f} MB, import atrous in {seconds:.2f} s.")
    if sys.platform == "linux":
        stated = re.search(r"(\d+) MB on Linux", (ROOT / "docs/deploy.md").read_text("utf-8"))
        assert stated and abs(size - int(stated[1])) < 0.2 * size, size
