"""`atrous doctor`: a data set examined, told on the terminal, on a page, mended in a copy."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from atrous.cli import as_json, say, tracked
from atrous.cli.diagnosis import answer, closing
from atrous.data.exports.plan import check_place
from atrous.doctor import Diagnosis, examine
from atrous.errors import DataError, RunError
from atrous.recipe import make_recipe
from atrous.report.doctor import write_doctor_page
from atrous.report.verdict import Verdict, counted

if TYPE_CHECKING:
    from atrous.train.estimate import Estimate

PAGE = "doctor.html"


def run_doctor(
    data: Path, *, out: Path | None, fix: Path | None, sets: tuple[str, ...], json: bool
) -> int:
    """Examine, answer, and write what was asked for; returns the exit code."""
    _check_places(data, out, fix)
    recipe = make_recipe(sets=sets)
    track = tracked("examining", "pairs")
    diagnosis = examine(data, task=recipe.task, layout=recipe.layout, track=track)
    guess = estimated(diagnosis, sets)
    training, last = words_of(guess), verdict(diagnosis, sets)
    console = Console(highlight=False, markup=False, emoji=False)
    _bear_any_name()
    if not json:
        print(answer(diagnosis, training, console))
    written: dict[str, Any] = {}
    if out:
        page = write_doctor_page(diagnosis, out / PAGE, training, last)
        written["page"] = str(page)
        say(f"The page with pictures: {page}")
    if fix:
        written["fixed"] = fixed(diagnosis, fix)
    if json:
        made = {"estimate": None if isinstance(guess, str) else guess.to_dict()}
        print(as_json({**diagnosis.to_dict(), **made, **written}))
    else:
        print(f"\n{closing(last, console)}")
    return diagnosis.exit_code


def fixed(diagnosis: Diagnosis, out: Path) -> dict[str, Any] | None:
    """Write the corrected copy; what was done, for JSON. None where nothing can be mended."""
    from atrous.doctor.fix import write_fixed

    try:
        done = write_fixed(diagnosis, out, track=tracked("mending", "pairs"))
    except DataError as error:
        say(f"There is no corrected copy: {error}")
        return None
    say(
        f"The corrected copy: {out} ({done.pairs:,} pairs; {done.changes:,} changes, "
        f"{done.left_out:,} left out, all listed in {done.log})"
    )
    return {"out": str(out), **done._asdict(), "log": str(done.log)}


def estimated(diagnosis: Diagnosis, sets: tuple[str, ...]) -> "Estimate | str":
    """What the recommended training takes on this machine; a sentence where that is not known.

    The model and whatever else `sets` name are tried.
    """
    if diagnosis.data is None or diagnosis.card is None:
        return "not known: no label space was found"
    try:
        from atrous.train.estimate import estimate
    except ModuleNotFoundError as error:
        return f"not known: that needs {error.name} (pip install 'atrous[train]')"
    crop, steps, _ = diagnosis.card.recommended
    recipe = make_recipe(flags={"augment.crop": crop, "train.steps": steps}, sets=sets)
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("trying a step of training"):
            made = estimate(diagnosis.data, recipe)
    else:
        made = estimate(diagnosis.data, recipe)
    return made or "not known: a step of training could not be made with these pictures"


def words_of(guess: "Estimate | str") -> str:
    """Time and memory of a training as a person says them."""
    if isinstance(guess, str):
        return guess
    where = "" if guess.device == "cpu" else f" of {guess.device}"
    memory = f" and {guess.bytes / 1e9:.1f} GB of memory{where}" if guess.bytes else ""
    each = f"{guess.seconds_per_step:.2g} s a step on {guess.device}"
    return f"about {rough(guess.seconds)}{memory} ({guess.model}, {each})"


def rough(seconds: float) -> str:
    """Seconds to two digits, as a guess deserves.

    Example:
        >>> rough(42), rough(2086), rough(9000)
        ('42 s', '35 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.2g} h"


def verdict(diagnosis: Diagnosis, sets: tuple[str, ...]) -> Verdict:
    """How many findings there are, and what to do next."""
    numbers, data = counted(diagnosis), shlex.quote(str(diagnosis.root))
    if diagnosis.layout is None:
        return Verdict(f"{numbers}: nothing can be read there as it is.")
    if diagnosis.errors:
        sentence = (
            f"{numbers}. Training refuses this data set until its errors are mended. "
            "To write a copy in which what can be mended is:"
        )
        chosen = "".join(f" --set {shlex.quote(text)}" for text in sets)
        return Verdict(sentence, f"atrous doctor {data} --fix COPY{chosen}")
    card = diagnosis.card
    if card is None or "train" not in card.splits:
        return Verdict(f"{numbers}, but there is no train split to train on.")
    crop, steps, _ = card.recommended
    options = [f"--steps {steps}", f"--set augment.crop={crop}"]
    options += [f"--set {shlex.quote(text)}" for text in sets]
    command = f"atrous train {data} --out RUN {' '.join(options)}"
    return Verdict(f"{numbers}. Train with:", command)


def _check_places(data: Path, out: Path | None, fix: Path | None) -> None:
    """What would be refused after the long work is refused before it."""
    if fix:
        check_place(data, fix)
    if out and out.resolve().is_relative_to(data.resolve()):
        raise RunError(
            out,
            found="lies in the data set",
            allowed="nothing is ever written there",
            fix="Give another folder.",
        )
    if out and fix and out.resolve().is_relative_to(fix.resolve()):
        raise RunError(
            fix,
            found="is to hold the page too",
            allowed="a corrected copy has a folder of its own",
            fix="Give another --out.",
        )


def _bear_any_name() -> None:
    """Names of files that the terminal's encoding lacks are escaped, not an error."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")
