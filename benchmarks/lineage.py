"""The lineage as an ablation: the same encoder, steps and crops for FCN-32s to DeepLab v3+.

    python benchmarks/lineage.py ../shared/data/camvid --out runs/lineage

Trains every row with every seed, all rows of the first seed before any of the second, so that
what is there is comparable whenever it stops. Ctrl-C leaves runs that the same command goes on
with; finished runs are not made again. Then it measures size and speed, and writes
OUT/lineage.json (raw values) and OUT/lineage.md (the table, which is also printed).
"""

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from atrous.cli.training import duration, show
from atrous.data.dataset import open_dataset
from atrous.errors import AtrousError, RunError
from atrous.files import make_folder, write_whole
from atrous.recipe import difference, make_recipe
from atrous.runs import RunFolder
from atrous.train import train_events
from atrous.train.events import Stopped
from lineage_table import Measured, Protocol, Result, as_json, measure, read_result, table

BATCH = 8


class Row(NamedTuple):
    """A row of the table: a recipe, the row it is compared with, the row it starts from."""

    name: str
    sets: tuple[str, ...]
    against: str = ""
    start: str = ""


def _row(name: str, model: str, *more: str, against: str = "", start: str = "") -> Row:
    options = (f"name={model}", "encoder=efficientnet_lite0", *more)
    return Row(name, tuple(f"model.{option}" for option in options), against, start)


STEPS_OF_THE_LINEAGE = (
    _row("fcn32s", "fcn32s"),
    _row("fcn16s", "fcn16s", against="fcn32s"),
    _row("fcn8s", "fcn8s", against="fcn16s"),
    _row("deeplabv1", "deeplabv1", against="fcn8s"),
    _row("deeplabv2", "deeplabv2", "scales=[1.0]", against="deeplabv1"),
    _row("deeplabv3", "deeplabv3", against="deeplabv2"),
    _row("deeplabv3plus", "deeplabv3plus", against="deeplabv3"),
)
TRICKS = (  # one switch each, compared with the row that has it otherwise
    _row("fcn16s-staged", "fcn16s", against="fcn16s", start="fcn32s"),
    _row("fcn8s-staged", "fcn8s", against="fcn8s", start="fcn16s-staged"),
    _row("fcn8s-at-once", "fcn8s", "at_once=true", against="fcn8s"),
    _row("fcn8s-bilinear", "fcn8s", "upsampling=bilinear", against="fcn8s"),
    _row("deeplabv2-scales", "deeplabv2", against="deeplabv2"),
    _row("deeplabv2-aspp-s", "deeplabv2", "scales=[1.0]", "aspp=S", against="deeplabv2"),
    _row("deeplabv3-no-multi-grid", "deeplabv3", "multi_grid=[]", against="deeplabv3"),
    _row("deeplabv3-no-pooling", "deeplabv3", "image_pooling=false", against="deeplabv3"),
    _row("deeplabv3plus-no-decoder", "deeplabv3plus", "decoder=false", against="deeplabv3plus"),
    _row("deeplabv3plus-rates", "deeplabv3plus", "aspp_rates=[3, 6, 9]", against="deeplabv3plus"),
)
ROWS = STEPS_OF_THE_LINEAGE + TRICKS


class Run(NamedTuple):
    """One training: a row with a seed, in its folder."""

    row: Row
    seed: int
    folder: RunFolder
    sets: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether its scores are there."""
        return self.folder.scores.is_file()


def selected(names: Sequence[str], *, tricks: bool, rows: Sequence[Row] = ROWS) -> list[Row]:
    """The rows asked for, those that they start from before them, in the order of the list.

    Example:
        >>> [row.name for row in selected(["fcn8s-staged"], tricks=False)]
        ['fcn32s', 'fcn16s-staged', 'fcn8s-staged']
    """
    wanted = set(names) or {row.name for row in (rows if tricks else STEPS_OF_THE_LINEAGE)}
    for row in reversed(rows):
        if row.name in wanted and row.start:
            wanted.add(row.start)
    return [row for row in rows if row.name in wanted]


def planned(rows: Sequence[Row], protocol: Protocol, out: Path) -> list[Run]:
    """Every run, all rows of a seed before those of the next."""
    return [_run(row, seed, protocol, out) for seed in protocol.seeds for row in rows]


def _run(row: Row, seed: int, protocol: Protocol, out: Path) -> Run:
    steps = protocol.steps
    common = [
        f"train.steps={steps}",
        f"train.validate_every={steps}",
        f"train.batch={protocol.batch}",
    ]
    common += [f"augment.crop={protocol.crop}", f"threads={protocol.threads}", f"seed={seed}"]
    start = [f"model.from_run={_folder(out, row.start, seed)}"] if row.start else []
    return Run(row, seed, RunFolder(_folder(out, row.name, seed)), (*common, *row.sets, *start))


def _folder(out: Path, name: str, seed: int) -> Path:
    return out / name / str(seed)


def train_all(runs: Sequence[Run], data: Path, *, go_on: str) -> Stopped | None:
    """Train what is not finished; a run that fails is said and left out. None when all is done."""
    failed: set[Path] = set()
    for number, run in enumerate(runs, 1):
        check_recipe(run)
        if run.finished:
            continue
        left = [r for r in runs[number - 1 :] if not r.finished and r.folder.path not in failed]
        say(f"[{number}/{len(runs)}] {run.row.name}, seed {run.seed}; {_estimate(left, runs)}")
        events = train_events(data, out=run.folder.path, sets=run.sets, resume=True)
        try:
            last = show(events, go_on=go_on)
        except AtrousError as error:
            failed.add(run.folder.path)
            say(f"{run.row.name}, seed {run.seed}, is left out: {error}")
            continue
        if isinstance(last, Stopped):
            return last
    return None


def check_recipe(run: Run) -> None:
    """A run made with other options must not stand in the table.

    Raises:
        RunError: names the first difference.
    """
    if not run.folder.is_run:
        return
    begun, asked = make_recipe(config=run.folder.recipe), make_recipe(sets=run.sets)
    if changed := difference(begun, asked):
        raise RunError(
            run.folder.path,
            found=f"was begun with {changed}",
            allowed="all rows of a table are made with the same options",
            fix="Give another --out, or the options that it was begun with.",
        )


def _estimate(left: Sequence[Run], runs: Sequence[Run]) -> str:
    """How long the runs that are left will take, from those of their rows that are there."""
    known: dict[str, list[float]] = {}
    for run in runs:
        if result := read_result(run.folder):
            known.setdefault(run.row.name, []).append(result.seconds)
    if not known:
        return f"runs to go: {len(left)}"
    means = {name: sum(seconds) / len(seconds) for name, seconds in known.items()}
    usual = sum(means.values()) / len(means)
    seconds = sum(means.get(run.row.name, usual) for run in left)
    return f"runs to go: {len(left)}, about {duration(seconds)} in all"


def results(
    rows: Iterable[Row], runs: Iterable[Run], measured: dict[str, Measured]
) -> list[Result]:
    """What is there of each row."""
    found = {(run.row.name, run.seed): read_result(run.folder) for run in runs}
    return [
        Result(
            row.name,
            row.sets,
            row.against,
            row.start,
            {seed: scored for (name, seed), scored in found.items() if name == row.name and scored},
            measured.get(row.name),
        )
        for row in rows
    ]


def benchmark(
    rows: Sequence[Row], protocol: Protocol, data: Path, out: Path, *, train: bool, go_on: str
) -> int:
    """Train, measure, write; the exit code."""
    runs = planned(rows, protocol, out)
    if train and (stopped := train_all(runs, data, go_on=go_on)):
        return 128 + stopped.signal
    for run in runs:
        check_recipe(run)
    first = {run.row.name: run.folder.path for run in reversed(runs) if run.finished}
    dataset = open_dataset(data, only="val")
    picture = dataset.read(dataset.split("val")[0]).image
    measured = measure(first, picture, threads=protocol.threads)
    made = results(rows, runs, measured)
    text = table(made, protocol)
    make_folder(out)
    write_whole(out / "lineage.json", as_json(made, protocol).encode())
    write_whole(out / "lineage.md", text.encode())
    print(text, end="")
    return 0


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of images and masks (CamVid)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and the table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=300, help="updates of the weights, each run")
    parser.add_argument("--crop", type=int, default=240, help="side of training squares, pixels")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 = as many as cores")
    parser.add_argument("--rows", nargs="+", default=[], choices=[row.name for row in ROWS])
    parser.add_argument("--tricks", action="store_true", help="also the rows of single switches")
    parser.add_argument("--table", action="store_true", help="train nothing: what is there")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Run the benchmark; returns the exit code."""
    asked = arguments(words)
    go_on = shlex.join(["python", "benchmarks/lineage.py", *words])
    protocol = Protocol(
        str(asked.data), tuple(asked.seeds), asked.steps, asked.crop, BATCH, asked.threads
    )
    rows = selected(asked.rows, tricks=asked.tricks)
    try:
        return benchmark(rows, protocol, asked.data, asked.out, train=not asked.table, go_on=go_on)
    except AtrousError as error:
        say(f"lineage: {error}")
        return 2
    except KeyboardInterrupt:
        say(f"Stopped. Go on with:\n  {go_on}")
        return 130


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
