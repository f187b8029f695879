"""What an exported file must show before anybody gets it: that it answers as its run."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import numpy as np

from atrous.errors import DataError, WeightsError
from atrous.exported import Manifest
from atrous.runs import RunFolder
from atrous.types import Image, Track
from atrous.verify import Verification, verify

SIZES = ((97, 131), (64, 161), (150, 89))  # of made-up pictures: a graph must know no size
GROSS = 0.01  # of the largest logit: more than rounding does, even on noise
SEED = 0


def passed(
    file: Path,
    manifest: Manifest,
    run: Path,
    *,
    data: str | Path | None,
    limit: int | None,
    track: Track = iter,
) -> tuple[Verification, tuple[str, ...]]:
    """How a file compares with its run, which is well enough; and notes.

    Made-up pictures of several sizes come first, where logits may not differ grossly. Then
    `limit` pictures of val, by the rules of `verify`: of `data`, else of what the run was trained
    on; if it is no longer there, these rules hold for the made-up ones. Each in the file's own
    precision, in all engines found here.

    Raises:
        WeightsError: it does not answer as the run.
        DataError: `data` cannot be read, or has another label space.
    """
    own, known = manifest.precision, _data_of(run) if data is None else Path(data)
    result, notes = verify(file, run, made_up(manifest), precision=own), ()
    if reasons := [*result.mismatches, *_gross(result)]:
        _refuse(file, run, reasons, own)
    try:
        if known is None:
            notes = ("Compared on made-up pictures alone: its data set is not here.",)
        else:
            result = verify(file, run, known, limit=limit, precision=own, track=track)
    except DataError as error:
        if data is not None:
            raise
        notes = (f"Compared on made-up pictures alone: {error}",)
    if not result.passed:
        _refuse(file, run, result.reasons, own)
    return result, notes


def made_up(manifest: Manifest) -> list[Image]:
    """Pictures of noise around the mean colour, of sizes that no model pads alike."""
    random = np.random.default_rng(SEED)
    dtype, bands, pictures = np.dtype(manifest.dtype), manifest.bands, []
    for size in SIZES:
        noise = random.normal(manifest.mean, manifest.std, (*size, bands))
        if dtype.kind == "u":
            noise = noise.clip(0, np.iinfo(dtype).max)
        pictures.append(noise.astype(dtype))
    return pictures


def _gross(result: Verification) -> list[str]:
    """Runtimes that failed, or in f32 gave other logits."""
    reasons = []
    for row in result.rows:
        if row.failure:
            reasons.append(f"{row.runtime}: {row.failure}")
        elif row.runtime.precision == "f32" and row.largest > GROSS * row.scale:
            reasons.append(
                f"{row.runtime}: logits differ by {row.largest:.2g}, the largest is {row.scale:.2g}"
            )
    return reasons


def _data_of(run: Path) -> Path | None:
    """The data set that a run was trained on, if it is still where it was."""
    folder = run if run.is_dir() else run.parent
    try:
        root = Path(json.loads(RunFolder(folder).dataset.read_text(encoding="utf-8"))["root"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return root if root.is_dir() else None


def _refuse(file: Path, run: Path, reasons: Iterable[str], precision: str) -> NoReturn:
    fixes = {
        "f32": "The run itself still predicts, with torch; please report its recipe.",
        "int8": "Leave --int8 out, or give pictures that are more like those to come.",
    }
    raise WeightsError(
        file.name,
        found=f"does not answer as {run} ({'; '.join(reasons)})",
        allowed="an exported file is written once it is as good as its run",
        fix=fixes[precision],
    )
