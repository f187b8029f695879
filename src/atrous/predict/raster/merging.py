"""Parts of rasters that several machines made -> the files: `atrous merge OUT`."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from atrous.errors import AtrousError, RunError
from atrous.files import TEMPORARY, claimed, refusals_told
from atrous.predict.raster import PARTS, Targets, assembled
from atrous.predict.raster.journal import missing, regions_in
from atrous.predict.raster.plan import FILE, Plan, read_plan
from atrous.predict.shares import FILE as SHARES
from atrous.predict.shares import update_shares
from atrous.types import Tell

PATIENCE = 60.0  # seconds that the table of shares is waited for
SHOWN = 10  # numbers of rows in a message


class Merged(NamedTuple):
    """Masks that are there now, and why those of other rasters are not."""

    masks: tuple[Path, ...]
    failures: tuple[AtrousError, ...]


def merge(out: str | Path, *, tell: Tell = lambda _: None) -> Merged:
    """Write the masks of all rasters whose parts lie in a folder of masks, and remove the parts.

    The parts of one raster, made on several machines, belong into one folder, `OUT/a/b.tif.parts`.
    The model is not needed, nor is the raster.

    Raises:
        RunError: there are no parts at all, or the folder cannot be written to.
    """
    out = Path(out)
    folders = sorted(path.parent for path in out.rglob(f"*.tif{PARTS}/{FILE}"))
    if not folders:
        raise RunError(
            out,
            found="holds no parts of rasters",
            allowed=f"parts lie in folders that end in .tif{PARTS}, until they are merged",
            fix="Give the --out of `atrous predict --shard`.",
        )
    masks, failures = [], []
    for parts in folders:
        try:
            mask = _merged(out, parts, tell)
        except AtrousError as error:
            failures.append(error)
            tell(f"left out: {parts} ({error.found})")
        else:
            masks += [mask] if mask else []
    return Merged(tuple(masks), tuple(failures))


def _merged(out: Path, parts: Path, tell: Tell) -> Path | None:
    plan = read_plan(parts)
    if lacking := missing(regions_in(parts, plan.digest), *plan.counts):
        raise _incomplete(parts, plan, sorted({row for row, _ in lacking}))
    stem = parts.relative_to(out).as_posix().removesuffix(f".tif{PARTS}")
    wanted = {"confidence": plan.confidence, "polygons": plan.polygons}
    targets = Targets.of(out, stem, **wanted)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=out) as place:
        row = assembled(targets, within=Path(place), tell=tell)
    if row is None:
        return None
    with claimed(out, patience=PATIENCE), refusals_told(out / SHARES):
        update_shares(out, {plan.name: row}, plan.classes, within=out)
    return targets.mask


def _incomplete(parts: Path, plan: Plan, rows: list[int]) -> RunError:
    first = ", ".join(str(row + 1) for row in rows[:SHOWN]) + ", ..." * (len(rows) > SHOWN)
    return RunError(
        parts,
        found=f"lacks regions in {len(rows)} of {plan.counts[0]} rows of them ({first})",
        allowed="a mask is written once the parts have all",
        fix="Let each shard end, and copy their parts here; row R is of shard (R - 1) mod N + 1.",
    )
