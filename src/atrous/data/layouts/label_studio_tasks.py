"""A task of Label Studio: its picture, and the regions that were drawn on it.

Places are in percent of the picture. Polygons cover what they cover in Label Studio's own COCO
export; a rectangle is turned around its first corner, an ellipse around its centre.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from jaxtyping import Float64

from atrous.data.images import is_image
from atrous.data.layouts.annotations import cropped, points, size_of, unknown_class, words
from atrous.data.layouts.json_parts import unreadable
from atrous.data.shapes import Patch, Polygon, Shape, label_studio_decode
from atrous.types import Size

_KINDS = ("brush", "polygon", "rectangle", "ellipse")  # and with "labels" after it
_PREFIX = re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL)  # of uploaded files
_SIDES = 72  # of the polygon that stands for an ellipse
_MOST_PIXELS = 1 << 27  # that a brush may claim


class Region(NamedTuple):
    """A region: how it was drawn, the name of its class or "", its numbers, the picture's size."""

    kind: str
    label: str
    value: dict[str, Any]
    size: Size | None

    def drawn(self, labels: Mapping[str, int], where: Path, whose: str) -> Shape:
        """Its shape, with the label of its class.

        Raises:
            DataError: it has no class, or its numbers are none; the message names `where`.
        """
        what = f"a {self.kind} on {whose}"
        if self.label not in labels:
            raise unknown_class(where, what, self.label or None, [*labels])
        if self.size is None:
            raise unreadable(where, f"{what} has no original_width and original_height")
        label, height, width = labels[self.label], *self.size
        match self.kind:
            case "brush":
                return _brush(self.value, label, self.size, what, where)
            case "polygon":
                ring = points(self.value.get("points"), where, what) * (width / 100, height / 100)
            case "rectangle":
                x, y, wide, high, angle = _numbers(self.value, "x y width height", where, what)
                corners = np.array([[0, 0], [wide, 0], [wide, high], [0, high]])
                ring = _placed(corners, (x, y), angle, self.size)
            case _:
                x, y, wide, high, angle = _numbers(self.value, "x y radiusX radiusY", where, what)
                turn = np.arange(_SIDES) * (2 * math.pi / _SIDES)
                around = np.stack([wide * np.cos(turn), high * np.sin(turn)], axis=1)
                ring = _placed(around, (x, y), angle, self.size)
        return Polygon(label, (ring,), "corner")


def picture_of(task: Any) -> str | None:
    """The address of a task's picture; None if there is none."""
    if not isinstance(task, dict):
        return None
    data = task["data"] if isinstance(task.get("data"), dict) else task
    values = [data.get("image"), *data.values()]
    texts = [value for value in values if isinstance(value, str)]
    return next((text for text in texts if any(map(_is_picture, spellings(text)))), None)


def spellings(address: str) -> Iterator[str]:
    """What a picture may be called whose address is given.

    Label Studio puts eight digits before the names of uploaded files, and local files into
    the query of an address.

    Example:
        >>> list(spellings("/data/upload/1/0a1b2c3d-my%20road.jpg"))[-2:]
        ['/data/upload/1/0a1b2c3d-my road.jpg', '/data/upload/1/my road.jpg']
    """
    found = [address]
    try:
        parts = urlsplit(address)
        found += [unquote(parts.path), *parse_qs(parts.query).get("d", ())]
    except ValueError:
        pass
    for text in dict.fromkeys(found):
        yield text
        folder, slash, name = text.rpartition("/")
        if match := _PREFIX.fullmatch(name):
            yield folder + slash + match[1]


def regions_of(task: dict[str, Any]) -> list[Region] | None:
    """What was drawn on a task's picture; None if nobody has finished it.

    What is no region, such as a choice or a text, is left out.
    """
    annotations = task.get("annotations", task.get("completions"))
    if annotations is None:
        lists = [value for value in task.values() if isinstance(value, list)]
        return [r for each in lists for value in each if (r := _flat_region(value))]
    finished = _tables(annotations, lambda annotation: not annotation.get("was_cancelled"))
    if not finished:
        return None
    last = max(enumerate(finished), key=lambda item: (_time(item[1]), item[0]))[1]
    results = _tables(last.get("result"))
    names = {str(r.get("id")): r.get("value") for r in results if r.get("type") == "labels"}
    return [r for result in results if (r := _region(result, names))]


def _region(result: dict[str, Any], names: Mapping[str, Any]) -> Region | None:
    """The region of a result; `names` has the values of classes given apart, by id."""
    kind = str(result.get("type")).removesuffix("labels")
    value = result.get("value")
    if kind not in _KINDS or not isinstance(value, dict):
        return None
    apart = names.get(str(result.get("id")))
    label = _label(value, kind) or _label(apart if isinstance(apart, dict) else {}, kind)
    return Region(kind, label, value, _size(result))


def _flat_region(value: Any) -> Region | None:
    """The region of JSON-MIN, whose numbers and size lie side by side."""
    if not isinstance(value, dict):
        return None
    kind = next((kind for kind in _KINDS if f"{kind}labels" in value), None)
    return Region(kind, _label(value, kind), value, _size(value)) if kind else None


def _label(value: dict[str, Any], kind: str) -> str:
    """The first class of a region; "" if it has none."""
    for key in (f"{kind}labels", "labels"):
        labels = value.get(key)
        if isinstance(labels, list) and labels:
            return words(labels[0])
    return ""


def _size(table: dict[str, Any]) -> Size | None:
    return size_of(table.get("original_height"), table.get("original_width"))


def _time(annotation: dict[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def _tables(
    values: Any, wanted: Callable[[dict[str, Any]], bool] = lambda table: True
) -> list[dict[str, Any]]:
    values = values if isinstance(values, list) else []
    return [value for value in values if isinstance(value, dict) and wanted(value)]


def _is_picture(text: str) -> bool:
    return is_image(Path(text))


def _brush(value: dict[str, Any], label: int, size: Size, what: str, where: Path) -> Patch:
    numbers = value.get("rle")
    if value.get("format") != "rle" or not isinstance(numbers, list):
        raise unreadable(where, f"{what} has no RLE")
    if size[0] * size[1] > _MOST_PIXELS:
        raise unreadable(where, f"{what} claims a picture of {size[0]} x {size[1]} pixels")
    try:
        there = label_studio_decode(numbers, size)
    except (ValueError, TypeError, OverflowError) as error:
        raise unreadable(where, f"{what} has a broken RLE ({error})") from None
    return cropped(label, there)


def _numbers(value: dict[str, Any], keys: str, where: Path, what: str) -> list[float]:
    """The numbers of these keys, and the angle in degrees."""
    given = [value.get(key) for key in keys.split()] + [value.get("rotation") or 0]
    return points([*given, 0], where, what).ravel()[:-1].tolist()


def _placed(
    ring: Float64[np.ndarray, "N 2"], at: tuple[float, float], angle: float, size: Size
) -> Float64[np.ndarray, "N 2"]:
    """A ring around 0 in percent, in pixels: turned clockwise, then moved to `at`."""
    scale = np.array([size[1] / 100, size[0] / 100])
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = (ring * scale) @ np.array([[cosine, sine], [-sine, cosine]])
    return turned + np.array(at) * scale
