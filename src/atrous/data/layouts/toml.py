"""`dataset.toml`: what its owner declares about a data set."""

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, get_args

from atrous.classes import COLOURED, IGNORE, from_hex, label_of_text
from atrous.data.layouts.pairs import SPLITS
from atrous.data.layouts.paths import is_there
from atrous.errors import DataError
from atrous.types import Colour, LayoutName, Task

FILE = "dataset.toml"
_KEYS = (
    "classes",
    "colours",
    "ignore_index",
    "task",
    "layout",
    "accept",
    "remap",
    "splits",
    "raster",
)
_SPLIT_KEYS = (*SPLITS, "group")
_RASTER_KEYS = {"window": 16, "block": 16, "gap": 0, "seed": 0, "attribute": None}  # and the least
_MOST_CLASSES = 65535  # indices are uint16 at most, and one value means ignore
_MOST_LABEL = COLOURED - 1  # beyond are colours


@dataclass(frozen=True)
class Cutting:
    """How rasters are cut, in pixels; None where it follows from the others.

    `attribute` is the field of polygons that holds their class. Another `seed` gives other
    blocks to val.
    """

    window: int = 512
    block: int | None = None
    gap: int | None = None
    seed: int = 0
    attribute: str | None = None


@dataclass(frozen=True)
class Declared:
    """The content of `dataset.toml`; None where it says nothing.

    `accept` are codes of the doctor's errors that are no errors here. `lists` are list files by
    split. `share` and `group` ask for a deterministic val split. `raster` is how
    rasters are cut.
    """

    path: Path
    names: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] | None = None
    remap: dict[int, int | str] = field(default_factory=dict)
    lists: dict[str, Path] = field(default_factory=dict)
    share: float | None = None
    group: re.Pattern[str] | None = None
    task: Task | None = None
    layout: LayoutName | None = None
    accept: tuple[str, ...] = ()
    raster: Cutting | None = None

    def resolved(self, names: tuple[str, ...] | None) -> dict[int, int | str]:
        """The remap with class names turned into indices of `names`.

        Raises:
            DataError: a target is no class; names the nearest.
        """
        return {raw: self._target(raw, target, names) for raw, target in self.remap.items()}

    def _target(self, raw: int, target: int | str, names: tuple[str, ...] | None) -> int | str:
        if target == IGNORE:
            return IGNORE
        if isinstance(target, str) and names and target in names:
            return names.index(target)
        if isinstance(target, int) and (names is None or target < len(names)):
            return target
        known = f'classes are {", ".join(names)}, or "ignore"' if names else "no class is named"
        _refuse(
            self.path,
            f"[remap] {raw} = {target!r} is no class{nearest(str(target), names or ())}",
            known,
            "Name one of them, or an index from 0.",
        )


def read_toml(root: Path) -> Declared | None:
    """The checked content of `ROOT/dataset.toml`; None if there is no such file.

    Raises:
        DataError: not TOML, an unknown key (names the nearest), a wrong type or value.
    """
    path = root / FILE
    if not path.is_file():
        return None
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        _refuse(path, f"is not TOML ({error})", "it is a TOML file in UTF-8", "Correct that line.")
    _known(path, data, _KEYS, "")
    task = _word(path, "task", data.get("task"), get_args(Task))
    names = _names(path, data.get("classes"), least=1 if task == "multilabel" else 2)
    splits = _table(path, data, "splits")
    _known(path, splits, _SPLIT_KEYS, "[splits] ")
    return Declared(
        path=path,
        names=names,
        colours=_colours(path, data.get("colours"), names),
        remap=_remap(path, data),
        lists={split: _list(root, path, split, value) for split, value in _lists(splits)},
        share=_share(path, splits.get("val")),
        group=_group(path, splits.get("group")),
        task=task,
        layout=_word(path, "layout", data.get("layout"), get_args(LayoutName)),
        accept=_codes(path, data.get("accept", [])),
        raster=_cutting(path, _table(path, data, "raster")) if "raster" in data else None,
    )


def nearest(word: str, words: tuple[str, ...]) -> str:
    """`" (did you mean X?)"` if a word is near, else nothing."""
    close = difflib.get_close_matches(word, words, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _word(path: Path, key: str, value: Any, words: tuple[str, ...]) -> Any:
    if value is None or value in words:
        return value
    allowed = "it is one of " + ", ".join(f'"{word}"' for word in words)
    found = f"{key} = {_brief(value)}{nearest(str(value), words)}"
    _refuse(path, found, allowed, "Correct it.")


def _codes(path: Path, value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and all(re.fullmatch(r"[A-Z]\d{3}", str(code)) for code in value):
        return tuple(value)
    allowed = 'accept is a list of codes of the doctor, such as ["M413"]'
    _refuse(path, f"accept = {_brief(value)}", allowed, "Correct it.")


def _cutting(path: Path, table: dict[str, Any]) -> Cutting:
    _known(path, table, tuple(_RASTER_KEYS), "[raster] ")
    for key, value in table.items():
        least = _RASTER_KEYS[key]
        if least is None and not (isinstance(value, str) and value):
            allowed = "it is the name of a field of the polygons"
            _refuse(path, f"[raster] {key} = {_brief(value)}", allowed, "Correct it.")
        whole = isinstance(value, int) and not isinstance(value, bool)
        if least is not None and not (whole and value >= least):
            allowed = f"it is a whole number, {least} or more"
            _refuse(path, f"[raster] {key} = {_brief(value)}", allowed, "Correct it.")
    made = Cutting(**table)
    if made.block is not None and made.block < made.window:
        found = f"[raster] block = {made.block} for windows of {made.window}"
        _refuse(path, found, "a window lies in one block", "Make blocks larger.")
    return made


def _names(path: Path, value: Any, least: int) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST_CLASSES:
        return tuple(f"class {i}" for i in range(value))
    allowed = 'it is a list of two or more names, ["sky", "road"], or how many there are'
    if not isinstance(value, list) or len(value) < least or len(value) > _MOST_CLASSES:
        _refuse(path, f"classes = {_brief(value)}", allowed, "Correct it.")
    for name in value:
        if not isinstance(name, str) or not name.strip() or value.count(name) > 1 or name == IGNORE:
            allowed = 'each class is a different word, none of them "ignore"'
            _refuse(path, f"classes holds {name!r}", allowed, "Rename it.")
    return tuple(value)


def _colours(path: Path, value: Any, names: tuple[str, ...] | None) -> tuple[Colour, ...] | None:
    if value is None:
        return None
    allowed = 'colours is a list of "#rrggbb", one for each of the classes declared'
    if not isinstance(value, list) or names is None or len(value) != len(names):
        count = len(value) if isinstance(value, list) else _brief(value)
        found = f"colours = {count} for {len(names) if names else 'no'} classes"
        _refuse(path, found, allowed, "Give as many colours as classes.")
    try:
        return tuple(from_hex(colour) for colour in value)
    except (ValueError, AttributeError) as error:
        _refuse(path, f"colours holds what is no colour ({error})", allowed, "Correct it.")


def _remap(path: Path, data: dict[str, Any]) -> dict[int, int | str]:
    remap: dict[int, int | str] = {}
    for key, target in _table(path, data, "remap").items():
        raw = _label(key)
        if raw is None:
            allowed = 'keys are label values, or colours of the form "#rrggbb"'
            _refuse(path, f"[remap] has the key {key!r}", allowed, "Correct it.")
        whole = isinstance(target, int) and not isinstance(target, bool) and target >= 0
        if not whole and not isinstance(target, str):
            allowed = 'a label maps to a class index, a class name or "ignore"'
            _refuse(path, f"[remap] {key} = {_brief(target)}", allowed, "Correct it.")
        remap[raw] = target
    ignore = data.get("ignore_index")
    if ignore is None:
        return remap
    if not isinstance(ignore, int) or isinstance(ignore, bool) or abs(ignore) > _MOST_LABEL:
        fix = 'Write ignore_index = 255, or several values in [remap] as VALUE = "ignore".'
        _refuse(path, f"ignore_index = {_brief(ignore)}", "it is one label value", fix)
    return {ignore: IGNORE, **remap}


def _label(key: str) -> int | None:
    if re.fullmatch(r"-?\d+", key):
        return int(key) if abs(int(key)) <= _MOST_LABEL else None
    try:
        return label_of_text(key)
    except ValueError:
        return None


def _lists(splits: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(s, v) for s, v in splits.items() if s != "group" and not (s == "val" and _number(v))]


def _list(root: Path, path: Path, split: str, value: Any) -> Path:
    if not isinstance(value, str):
        allowed = "a split is a list file, and val may be a share such as 0.2"
        _refuse(path, f"[splits] {split} = {_brief(value)}", allowed, "Correct it.")
    if not is_there(root / value) or not (root / value).is_file():
        allowed = "list files are given relative to the data set's folder"
        _refuse(path, f"[splits] {split} = {value!r} is not there", allowed, "Correct the path.")
    return root / value


def _share(path: Path, value: Any) -> float | None:
    if not _number(value):
        return None
    if not 0 < value < 1:
        fix = "Write val = 0.2 for a fifth."
        _refuse(path, f"[splits] val = {value}", "a share lies between 0 and 1", fix)
    return float(value)


def _group(path: Path, value: Any) -> re.Pattern[str] | None:
    if value is None:
        return None
    try:
        pattern = re.compile(value)
    except (re.error, TypeError) as error:
        allowed = "group is a regular expression"
        _refuse(path, f"[splits] group = {value!r} ({error})", allowed, "Correct it.")
    if "group" not in pattern.groupindex:
        allowed = "the pattern names the part that is the group, (?P<group>...)"
        fix = 'For example group = "(?P<group>[^_]+)_.*".'
        _refuse(path, f"[splits] group = {value!r}", allowed, fix)
    return pattern


def _table(path: Path, data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        _refuse(path, f"{key} = {_brief(value)}", f"it is a table, [{key}]", "Write it so.")
    return value


def _known(path: Path, data: dict[str, Any], keys: tuple[str, ...], table: str) -> None:
    for key in data:
        if key not in keys:
            found = f"has the unknown key {table}{key!r}{nearest(key, keys)}"
            _refuse(path, found, f"keys are {', '.join(keys)}", "Rename or remove it.")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _refuse(path: Path, found: str, allowed: str, fix: str) -> NoReturn:
    raise DataError(path, found=found, allowed=allowed, fix=fix, code="S109")
