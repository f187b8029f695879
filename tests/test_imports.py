"""The code keeps to the stair, starts fast, and the detectors see what they are for."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stair import DETECTORS, Modules, read

SOURCE = Path(__file__).parent.parent / "src" / "atrous"
HEAVY = {"torch", "torchvision", "timm", "numba", "llvmlite", "scipy", "sklearn", "pandas"}
HEAVY |= {"numpy", "PIL", "pydantic", "jaxtyping", "onnx", "onnxscript", "onnxruntime", "openvino"}


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_code_keeps_to_the_stair(detector: Callable[[Modules], list[str]]):
    problems = detector(read(SOURCE))
    assert not problems, "\n".join(["", *problems])


GOOD = {
    "__init__.py": '"""All of it."""\nfrom atrous import cli, metrics\n',
    "errors.py": "",
    "classes.py": "from .errors import A\n",
    "recipe.py": "def f():\n    '''" + "\n" * 90 + "'''\n    from atrous import classes\n",
    "data/__init__.py": '"""Pixels."""\n',
    "data/images.py": "import numpy as np\nfrom atrous.classes import Classes\n",
    "data/masks.py": "from . import images\nfrom .. import errors\n",
    "data/loading.py": "import torch\nfrom atrous.data import images, masks\n",
    "metrics/__init__.py": '"""Scores."""\nfrom atrous.metrics.a import f\n',
    "metrics/a.py": "from atrous.metrics import b\n",
    "metrics/b.py": "def f():\n    from atrous.metrics import a\n",
    "predict/__init__.py": '"""Masks."""\nfrom atrous.predict.predictor import P\n',
    "predict/engines/__init__.py": '"""Engines."""\ndef f():\n    from . import torch\n',
    "predict/engines/torch.py": "import torch\n",
    "predict/predictor.py": "from atrous.predict import engines\n",
    "train/__init__.py": '"""Steps."""\nfrom atrous.train import loop\n',
    "train/loop.py": "import torch.nn\nfrom atrous import evaluate\n",
    "evaluate.py": "from atrous.predict import predictor\n",
    "cli.py": "def main():\n    from atrous import train\n",
}


def plant(folder: Path, files: dict[str, str]) -> Modules:
    source = folder / "atrous"
    for name, text in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read(source)


@pytest.mark.parametrize("detector", DETECTORS)
def test_good_code_passes(detector: Callable[[Modules], list[str]], tmp_path: Path):
    assert detector(plant(tmp_path, GOOD)) == []


LONG = "def f():\n" + "    pass\n" * 60
BAD = [
    ("off_the_stair", "pixels", {"pixels.py": ""}),
    ("downward", "classes:1", {"classes.py": "from atrous.recipe import R\n"}),
    ("downward", "classes:1", {"classes.py": "from .recipe import R\n"}),
    ("downward", "classes:1", {"classes.py": "from . import recipe\n"}),
    ("downward", "classes:1", {"classes.py": "import atrous.recipe\n"}),
    ("downward", "classes:1", {"classes.py": "from atrous import version\n"}),
    ("downward", "classes:2", {"classes.py": "def f():\n    from atrous import recipe\n"}),
    ("downward", "classes:2", {"classes.py": "if TYPE_CHECKING:\n    from .recipe import R\n"}),
    ("downward", "data.masks:1", {"data/masks.py": "from . import loading\n"}),
    ("downward", "data.masks:1", {"data/masks.py": "from atrous.data import Pair\n"}),
    ("downward", "predict.predictor:1", {"predict/predictor.py": "from . import Prediction\n"}),
    ("downward", "metrics.a:1", {"metrics/a.py": "from atrous.report import page\n"}),
    ("cycles", "metrics.b", {"metrics/b.py": "from atrous.metrics import a\n"}),
    ("cycles", "metrics.b", {"metrics/b.py": "class A:\n    from atrous.metrics import a\n"}),
    ("torch_elsewhere", "metrics.b:1", {"metrics/b.py": "import torch.nn.functional as F\n"}),
    ("torch_elsewhere", "metrics.b:2", {"metrics/b.py": "def f():\n    from torch import nn\n"}),
    ("torch_elsewhere", "metrics.b:2", {"metrics/b.py": "if TYPE_CHECKING:\n    import timm\n"}),
    ("torch_elsewhere", "predict.engines.onnx:1", {"predict/engines/onnx.py": "import torch\n"}),
    ("torch_elsewhere", "predict.engines:1", {"predict/engines/__init__.py": "import torch\n"}),
    ("torch_by_way_of", "cli", {"cli.py": "from atrous import train\n"}),
    ("torch_by_way_of", "data.masks", {"data/__init__.py": "from atrous.data import loading\n"}),
    ("torch_by_way_of", "evaluate", {"evaluate.py": "from .predict.engines import torch\n"}),
    ("too_long", "errors", {"errors.py": "\n" * 401}),
    ("too_long", "errors:1", {"errors.py": LONG}),
    ("too_long", "errors:2", {"errors.py": "class A:\n " + LONG}),
    ("homeless", "data.utils", {"data/utils.py": ""}),
    ("homeless", "common.a", {"common/a.py": ""}),
    ("undescribed", "metrics", {"metrics/__init__.py": "from atrous.metrics.a import f\n"}),
    ("undescribed", "doctor", {"doctor/a.py": ""}),
    ("undescribed", "__init__", {"__init__.py": ""}),
]


@pytest.mark.parametrize(("detector", "where", "files"), BAD)
def test_a_planted_violation_is_seen(
    detector: str, where: str, files: dict[str, str], tmp_path: Path
):
    (see,) = (d for d in DETECTORS if d.__name__ == detector)
    problems = see(plant(tmp_path, GOOD | files))
    assert any(problem.startswith(where + ":") for problem in problems), problems


def test_no_detector_is_without_a_planted_violation():
    assert {detector.__name__ for detector in DETECTORS} == {name for name, *_ in BAD}


COMMANDS = {
    "import atrous": "import atrous",
    "atrous --help": (
        "import contextlib, io, runpy, sys; sys.argv = ['atrous', '--help']\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    runpy.run_module('atrous', run_name='__main__')"
    ),
}


@pytest.mark.skipif(
    not (SOURCE / "cli.py").exists() and not (SOURCE / "cli").exists(),
    reason="src/atrous/cli is not there yet",
)
@pytest.mark.parametrize("command", COMMANDS)
def test_starting_loads_nothing_heavy(command: str):
    assert _loaded(COMMANDS[command]) & HEAVY == set()


def test_what_is_loaded_is_seen():
    assert "numba" in _loaded("import numba")


def _loaded(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded after running `code`."""
    tell = "\nimport json, sys; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code + tell],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent)},
    )
    return set(json.loads(answer.stdout.splitlines()[-1]))
