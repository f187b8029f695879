"""`data.yaml`: which folders and lists hold the splits of a YOLO data set, and its classes."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from atrous.data.layouts.annotations import brief, not_understood, whole_number, words
from atrous.data.layouts.json_parts import head, read_text
from atrous.data.layouts.pairs import split_name
from atrous.data.layouts.paths import is_there, tails
from atrous.errors import DataError

_USUAL = ("data.yaml", "data.yml", "dataset.yaml")  # of several files, the first of these
_LONGEST = 1 << 18  # bytes; names of 10 000 classes, and seconds for PyYAML
_MOST_CLASSES = 65535
_MOST_FILES = 16


@dataclass(frozen=True)
class DataYaml:
    """What `data.yaml` says; `sources` are folders and list files by split, those that exist.

    `missing` are what it names and is not there, by split.
    """

    path: Path
    names: tuple[str, ...]
    sources: dict[str, tuple[Path, ...]]
    missing: dict[str, tuple[str, ...]]


def read_yaml(root: Path) -> DataYaml | None:
    """The description of a YOLO data set in a folder; None if there is none.

    Raises:
        DataError: it is no YAML, or names no classes; it is for key points.
    """
    files = [p for p in sorted(root.iterdir()) if p.suffix.lower() in (".yaml", ".yml")]
    files = [p for p in files if p.is_file() and not p.name.startswith(".")][:_MOST_FILES]
    for path in sorted(files, key=lambda path: path.name.lower() not in _USUAL):
        content = _content(path)
        splits = {split_name(str(key)): value for key, value in content.items()}
        splits = {split: value for split, value in splits.items() if split}
        if splits and not content.keys().isdisjoint(("names", "nc")):
            return _described(root, path, content, splits)
    return None


def place(root: Path, text: str, *bases: Path) -> Path | None:
    """The file or folder that a path means which may have been written on another machine.

    The last parts of it that lead to something in `root` are tried first, then the whole of it
    from each of `bases`.
    """
    inside = [root / tail for tail in tails(text)]
    whole = [Path(os.path.normpath(base / text)) for base in bases]
    return next((path for path in (*inside, *whole) if is_there(path)), None)


def _described(root: Path, path: Path, content: dict[Any, Any], splits: dict[str, Any]) -> DataYaml:
    if "kpt_shape" in content:
        allowed = "to learn the class of each pixel, outlines are needed"
        raise not_understood(path, "is for key points", allowed, "Export it for segmentation.")
    base = root / str(content.get("path") or "")
    sources: dict[str, tuple[Path, ...]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    for split, value in splits.items():
        texts = [text for text in (value if isinstance(value, list) else [value]) if text]
        found = {str(text): place(root, str(text), base, root) for text in texts}
        sources[split] = tuple(path for path in found.values() if path)
        missing[split] = tuple(text for text, path in found.items() if not path)
    return DataYaml(path, _names(path, content), sources, missing)


def _content(path: Path) -> dict[Any, Any]:
    """The table of a YAML file; an empty one if it is none that speaks of splits."""
    usual = path.name.lower() in _USUAL and "train" in head(path)
    try:
        if path.stat().st_size > _LONGEST:
            raise ValueError(f"it has over {_LONGEST} bytes")
        content = yaml.safe_load(read_text(path))
    # Besides its own errors PyYAML raises ValueError for dates, TypeError for keys.
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OSError) as error:
        if usual:
            reason = " ".join(str(error).split())
            _refuse(path, f"is no YAML ({reason})", "Correct that line.")
        return {}
    except DataError as error:
        if usual:
            _refuse(path, error.found, "Save it again as UTF-8.")
        return {}
    return content if isinstance(content, dict) else {}


def _names(path: Path, content: dict[Any, Any]) -> tuple[str, ...]:
    names, count = content.get("names"), whole_number(content.get("nc"), least=1)
    if names is None and count and count < _MOST_CLASSES:
        names = list(range(count))
    if isinstance(names, dict):
        if {*names} != {*range(len(names))}:
            _refuse(path, f"has names for {brief([*names])} with gaps", "Number them from 0.")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        _refuse(path, "names no classes", 'Write them: names: ["road", "sky"].')
    if count and count != len(names):
        _refuse(path, f"has {len(names)} names for nc = {count}", "Make them agree.")
    return tuple(words(name) or str(number) for number, name in enumerate(names))


def _refuse(path: Path, found: str, fix: str) -> NoReturn:
    allowed = (
        "it is YAML with train, val and the names of the classes in the order of their numbers"
    )
    raise not_understood(path, found, allowed, fix)
