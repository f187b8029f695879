"""Masks that are folders of planes, told from those that are files."""

from pathlib import Path

from atrous.data.layouts.pairs import Pair, Problems
from atrous.data.masks import VOID, plane_files
from atrous.errors import DataError


def divided_by_form(
    splits: dict[str, tuple[Pair, ...]],
) -> tuple[dict[str, tuple[Pair, ...]], tuple[str, ...] | None, Problems]:
    """The splits, the names of all planes, and masks of another form than the rest.

    Names are sorted, void left out; None if no mask is a folder of planes. If some are, masks
    that are files are problems, and in no split.
    """
    masks = [pair.mask for pairs in splits.values() for pair in pairs]
    folders = [mask for mask in masks if mask.is_dir()]
    if not folders:
        return splits, None, ()
    problems = []
    names: set[str] = set()
    for folder in folders:
        try:
            names |= plane_files(folder).keys()
        except DataError as error:
            problems.append(error)
    problems += [_no_folder(mask, folders[0]) for mask in masks if not mask.is_dir()]
    wrong = {problem.where for problem in problems}
    kept = {
        split: tuple(pair for pair in pairs if str(pair.mask) not in wrong)
        for split, pairs in splits.items()
    }
    return kept, tuple(sorted(names - {VOID})), tuple(problems)


def _no_folder(file: Path, folder: Path) -> DataError:
    return DataError(
        file,
        found=f"is a file, while {folder} is a folder of planes",
        allowed="masks are all files, or all folders with a picture a class",
        fix="Bring them into one form.",
        code="M416",
    )
