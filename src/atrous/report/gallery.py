"""The worst and the best pictures of a split, predicted again to be looked at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrous.classes import Classes
from atrous.errors import AtrousError, RunError
from atrous.metrics.scores import scored
from atrous.report.contents import MODEL, Contents, Shown
from atrous.report.pictures import layers
from atrous.report.tables import largest_confusions
from atrous.runs import RunFolder
from atrous.types import Image, Mask, Sample

if TYPE_CHECKING:
    from atrous.predict.predictor import Predictor

EACH = 4  # pictures of the worst, and of the best
SAME = 5e-4  # mIoU further apart than this is not the picture that was scored

Read = Callable[[str], Sample]
Predict = Callable[[Image], Mask]


def with_pictures(contents: Contents, run: Path) -> Contents:
    """The contents with the worst and best pictures, or with a note that says why without."""
    worst, best = extremes(contents.scores.get("images", ()))
    if not worst:
        return replace(contents, note="Pictures are left out: scores.json names none.")
    try:
        read, predict = _opened(contents, run)
    except (AtrousError, ImportError, OSError) as error:
        return replace(contents, note=f"Pictures are left out. {error}")
    return shown(contents, worst, best, read=read, predict=predict)


def shown(
    contents: Contents,
    worst: Sequence[Mapping[str, Any]],
    best: Sequence[Mapping[str, Any]],
    *,
    read: Read,
    predict: Predict,
) -> Contents:
    """The contents with these pictures; those that cannot be read or changed are noted."""
    notes: list[str] = []
    groups = [
        tuple(p for row in rows if (p := _shown(row, contents.classes, read, predict, notes)))
        for rows in (worst, best)
    ]
    return replace(contents, worst=groups[0], best=groups[1], note=" ".join(notes))


def extremes(
    rows: Sequence[Mapping[str, Any]], each: int = EACH
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The worst pictures, worst first, and the best, best first; no picture is in both.

    Example:
        >>> worst, best = extremes([{"name": n, "mIoU": m} for n, m in [("a", 0.9), ("b", 0.2)]])
        >>> worst[0]["name"], best[0]["name"]
        ('b', 'a')
    """
    known = [row for row in rows if row.get("mIoU") is not None]
    order = sorted(known, key=lambda row: (row["mIoU"], row["name"]))
    low = min(each, (len(order) + 1) // 2)
    return order[:low], order[low:][::-1][:each]


def _opened(contents: Contents, run: Path) -> tuple[Read, Predict]:
    """Ways to a picture of the split by its name, and to its mask."""
    from atrous.data.dataset import open_dataset

    root = contents.dataset.get("root")
    if not root:
        raise FileNotFoundError("dataset.json does not say where the data set is.")
    if not Path(root).is_dir():
        raise FileNotFoundError(f"The data set is no longer at {root}.")
    predictor = _predictor(contents, run)
    dataset = open_dataset(Path(root), classes=predictor.classes)
    pairs = {pair.name: pair for pair in dataset.split(contents.scores.get("split", "val"))}

    def read(name: str) -> Sample:
        return dataset.read(pairs[name])

    return read, lambda image: predictor(image).mask


def _predictor(contents: Contents, run: Path) -> "Predictor":
    """Who answered: the run's own weights by its own recipe, or the model that was scored."""
    from atrous.predict.predictor import Loading, load

    model = contents.model
    if model is None and RunFolder(run).is_run:
        return load(run, postprocess=contents.options.get("postprocess", ()))
    if model is None:
        raise FileNotFoundError("No model.json says which model was scored.")
    if unknown := model.options.keys() - Loading.__optional_keys__:
        raise RunError(
            run / MODEL,
            found=f"names the option {min(unknown)!r}",
            allowed=f"a model is asked with {', '.join(sorted(Loading.__optional_keys__))}",
            fix=f"Score it again with `atrous evaluate {model.path} DATA --out {run}`.",
        )
    predictor = load(model.path, **model.options)
    if predictor.digest != model.digest:
        raise RunError(
            model.path,
            found=f"has the digest {predictor.digest[:12]} now",
            allowed=f"the model that was scored had {model.digest[:12]}",
            fix=f"Score it again with `atrous evaluate {model.path} DATA --out {run}`.",
        )
    return predictor


def _shown(
    row: Mapping[str, Any], classes: Classes, read: Read, predict: Predict, notes: list[str]
) -> Shown | None:
    name, miou = row["name"], row["mIoU"]
    try:
        sample = read(name)
    except KeyError:
        notes.append(f"{name} is left out: it is no longer in the data set.")
        return None
    except AtrousError as error:
        notes.append(f"{name} is left out: {error}")
        return None
    pred = predict(sample.image)
    scores = scored(pred, sample.mask, classes, threads=1)
    if not abs(scores.miou - miou) < SAME:
        notes.append(
            f"{name} now scores {scores.miou:.3f}, not {miou:.3f}: "
            "the weights or the data set changed after scores.json was written."
        )
    mistakes = [
        (classes.names[c.truth], classes.names[c.prediction], c.pixels)
        for c in largest_confusions(scores.confusion, 1)
    ]
    made = layers(sample.image, sample.mask, pred, classes)
    wrong = ((pred != sample.mask) & (sample.mask != classes.ignore_index)).sum()
    share = float(wrong) / max(scores.pixels, 1)
    return Shown(name, miou, made, share, mistakes[0] if mistakes else None)
