"""What every test may rely on: the shared data sets, few and repeatable examples, one thread."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# No test may reach the network; the libraries that would ask a hub are told so.
os.environ["HF_HUB_OFFLINE"] = "1"

# Behind `&` in a script Ctrl-C is ignored, and children inherit that; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("here", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_runtest_setup() -> None:
    # Not imported for this: most tests need no torch. The other libraries: scripts/test.
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; ATROUS_SHARED names another than ../shared/data."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ATROUS_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(
            f"the shared data sets are not at {folder}; ATROUS_SHARED may name their folder"
        )
    return folder


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, quick to learn: bright discs and dark squares on grass; void borders."""
    return write_shapes(tmp_path_factory.mktemp("shapes"), train=10, val=4)


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Options of a training that takes seconds: an untrained network, small pictures."""
    return (
        "model.pretrained=false",
        "model.aspp_channels=16",
        "model.decoder_channels=16",
        "augment.crop=64",
        "train.batch=2",
        "threads=1",
    )


@pytest.fixture(scope="session")
def exported(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of a small network, whose masks hold two of the three classes, and its file."""
    import atrous

    folder = tmp_path_factory.mktemp("exported")
    run, file = folder / "run", folder / "model.onnx"
    options = ["model.name=fcn_basic", "augment.crop=64", "threads=1", "train.batch=2"]
    atrous.train(shapes, out=run, steps=16, set=[*options, "train.lr=0.01", "train.warmup=2"])
    atrous.export(run, out=file)
    return run, file


def write_shapes(root: Path, *, train: int, val: int) -> Path:
    """Pictures of 72 x 96 with three classes, in the folder layout."""
    import numpy as np
    from PIL import Image

    (root / "dataset.toml").write_text('classes = ["grass", "disc", "square"]\n')
    for split, count in (("train", train), ("val", val)):
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True)
        for i in range(count):
            random = np.random.default_rng([i, len(split)])
            y, x = np.mgrid[:72, :96]
            cy, cx, sy, sx = random.integers(16, 56, 4)
            disc = (y - cy) ** 2 + (x - cx) ** 2 - 144
            square = np.maximum(abs(y - sy), abs(x - sx - 24)) - 9
            mask = np.where(disc < 0, 1, np.where(square < 0, 2, 0)).astype(np.uint8)
            colours = np.array([[60, 130, 50], [230, 220, 90], [40, 40, 70]])
            image = (colours[mask] + random.normal(0, 12, (72, 96, 3))).clip(0, 255)
            mask[(abs(disc) < 24) | (square == 0)] = 255
            Image.fromarray(image.astype(np.uint8)).save(root / split / "images" / f"{i}.png")
            Image.fromarray(mask).save(root / split / "masks" / f"{i}.png")
    return root


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of a command in this process."""
    from atrous.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["atrous", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            main()
        out, err = capsys.readouterr()
        return int(exit.value.code or 0), out, err

    return call
