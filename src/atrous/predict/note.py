"""The note in a folder of masks that says of which model they are, and how they were made."""

import json
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

from atrous.errors import RunError
from atrous.files import PATIENCE, claimed, json_bytes, refusals_told, write_whole
from atrous.predict.folders import first_there
from atrous.predict.jobs import Job, Wanted
from atrous.predict.predictor import Predictor
from atrous.predict.shares import FILE
from atrous.recipe.postprocessing import plain_steps

NOTE = "predict.json"
WORDS = "weights"  # in the note, for a person: a file may be renamed
SHOWN = 80  # characters of a fact in a message


def mark(
    out: Path, mine: dict[str, Any], jobs: Iterable[Job], wanted: Wanted, *, within: Path
) -> None:
    """Mark the folder as this model's; masks of two models, or two ways, must not mix unseen.

    Raises:
        RunError: it holds the predictions of another model, or files that are none.
    """
    path = out / NOTE
    with claimed(out, patience=PATIENCE):
        if not path.is_file():
            _refuse_foreign(out, jobs, wanted)
            with refusals_told(path):
                return write_whole(path, json_bytes(mine), within=within)
    theirs = _read_note(path)
    if theirs.get("model") != mine["model"]:
        found = f"holds masks of the model {_named(theirs)}"
        allowed = f"this model is {_named(mine)}; a folder holds the masks of one"
    elif other := _difference("", {**theirs, WORDS: mine[WORDS]}, mine):
        key, *values = other
        before, now = (json.dumps(value, ensure_ascii=False) for value in values)
        found = f"holds masks made with {key} {before}"
        allowed = f"now it is {now}; a folder holds masks made in one way"
    else:
        return None
    raise RunError(out, found=found, allowed=allowed, fix="Give another --out.")


def _refuse_foreign(out: Path, jobs: Iterable[Job], wanted: Wanted) -> None:
    """Files that lie where the first write would go are not ours: the note comes before them."""
    table = out / FILE
    if there := table if table.exists() else first_there(jobs, wanted):
        raise RunError(
            there,
            found="is there already",
            allowed=f"no prediction made it, for there is no {out / NOTE}",
            fix="Give another --out, or move it away.",
        )


def about_masks(predictor: Predictor, output_stride: int) -> dict[str, Any]:
    """What masks depend on, and which weights these are, in words."""
    engine, augmentation = predictor.engine, predictor.augmentation
    classes = predictor.classes.to_dict()
    return {
        "model": predictor.digest,
        WORDS: predictor.description,
        "classes": {key: classes[key] for key in ("names", "colours", "task")},
        "output_stride": output_stride,  # 0 = that of the model
        "engine": engine.name,
        "precision": engine.precision,
        "flip": augmentation.flip,
        "scales": list(augmentation.scales),
        "tile": predictor.tile,
        **({"postprocess": plain_steps(predictor.postprocess)} if predictor.postprocess else {}),
    }


def _difference(key: str, theirs: Any, mine: Any) -> tuple[str, Any, Any] | None:
    """The first fact that differs, as small a part of it as can be shown, and both values."""
    if theirs == mine:
        return None
    whole = key, theirs, mine
    if key and all(len(json.dumps(value)) <= SHOWN for value in (theirs, mine)):
        return whole
    if isinstance(theirs, dict) and isinstance(mine, dict):
        names = mine | theirs
        parts = ((f"{key}.{name}".lstrip("."), theirs.get(name), mine.get(name)) for name in names)
    elif isinstance(theirs, list) and isinstance(mine, list):
        pairs = enumerate(zip_longest(theirs, mine))
        parts = ((f"{key}[{i}]", *pair) for i, pair in pairs)
    else:
        return whole
    return next(filter(None, (_difference(*part) for part in parts)), whole)


def _named(note: dict[str, Any]) -> str:
    return f"{str(note.get('model'))[:12]} ({note.get(WORDS, 'unknown weights')})"


def _read_note(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise RunError(
            path,
            found="cannot be read",
            allowed="it says of which model the masks beside it are",
            fix="Give another --out.",
        ) from None
