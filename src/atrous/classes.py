"""The label space: which classes there are, their colours, what is ignored, how raw labels map.

Nobody else knows label numbers. On disk any value may mean "ignore"; inside, ignore is
255 in uint8 masks and 65535 in uint16 masks of class indices, and the bit after those of the
classes in multilabel masks. On disk a colour is a label too, a number beyond all others.
"""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

import numpy as np
from jaxtyping import Float64, Int64

from atrous.errors import MaskError
from atrous.types import Colour, Mask, RawMask, Task

IGNORE = "ignore"
Weighting = Literal["none", "power", "median_frequency", "enet", "effective_number"]
ENET_OFFSET = 1.02  # c in sec. 5.2 of the ENet paper: no weight exceeds 1 / ln(c), about 50
COLOURED = 1 << 24  # the label of black; that of another colour is 0xRRGGBB more
NO_CLASS = -1  # target of labels that would stand for themselves, but are outside
TRANSPARENT = 1 << 25  # the label of pixels that are not there, in masks with alpha
_SHOWN = 20  # labels in a message
MOST_LABELS = 62  # classes of a multilabel mask: bits of an int64, without its sign and ignore

# Distinct under the common colour deficiencies; Petroff 2021 (arXiv 2107.02270), ten colours.
PETROFF = "#3f90da #ffa90e #bd1f01 #94a4a2 #832db6 #a96b59 #e76300 #b9ac70 #717581 #92dadd".split()


@dataclass(frozen=True)
class Classes:
    """A label space.

    `names[i]` and `colours[i]` belong to class index i. `remap` turns a raw label value on
    disk into a class index or `"ignore"`; a raw value without an entry stands for itself.

    A binary label space has two classes, the background first, and masks as multiclass has.
    A multilabel mask holds bits: bit k says that class k is there, `ignore_index` that nothing
    is known of any class.

    Example:
        >>> street = Classes(("sky", "road"), remap={11: "ignore"})
        >>> street.encode(np.uint8([[0, 1, 11]]), where="a.png")
        array([[  0,   1, 255]], dtype=uint8)
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...] = ()
    remap: Mapping[int, int | str] = field(default_factory=dict)
    task: Task = "multiclass"

    def __post_init__(self) -> None:
        if not self.colours:
            object.__setattr__(self, "colours", distinct_colours(len(self.names)))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def num_logits(self) -> int:
        """Logits of a network for these classes: one each, but one in all for binary."""
        return 1 if self.task == "binary" else len(self)

    @property
    def ignore_index(self) -> int:
        """The value that means "ignore" in masks in memory.

        255, or 65535 beyond 255 classes; in multilabel masks the bit after the last class.
        """
        return 1 << len(self) if self.task == "multilabel" else self._ignored_label

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16] | type[np.int64]:
        """The type of masks in memory."""
        if self.ignore_index <= 255:
            return np.uint8
        return np.uint16 if self.ignore_index <= 65535 else np.int64

    @property
    def _ignored_label(self) -> int:
        """The label on disk that means "ignore" where nothing else is said."""
        return 255 if len(self) <= 255 else 65535

    def index_of(self, raw: int) -> int | None:
        """Class index (or `ignore_index`) of a raw label value; None if it is outside."""
        target = self.remap.get(raw, raw)
        if target == IGNORE or (raw == self._ignored_label and raw not in self.remap):
            return self.ignore_index
        return int(target) if 0 <= int(target) < len(self) else None

    def encode(self, raw: RawMask, *, where: object) -> Mask:
        """The mask in memory of a raw mask; `where` names the file if a label is outside.

        Class indices; for multilabel the bit of the one class that each pixel has.

        Raises:
            MaskError: a value is outside the label space; names value, pixel, classes allowed.
        """
        values = label_values(raw)
        indices = [self.index_of(value) for value in values]
        if None in indices:
            raise self.outside(raw, values[indices.index(None)], where)
        if self.task == "multilabel":
            indices = [i if i == self.ignore_index else 1 << int(i or 0) for i in indices]
        targets = np.array(indices, self.dtype)
        if raw.dtype.itemsize > 2:
            labels, lengths = _runs(raw)
            return np.repeat(targets[np.searchsorted(values, labels)], lengths).reshape(raw.shape)
        low = min(values[0], 0)
        table = np.zeros(values[-1] - low + 1, self.dtype)
        table[np.array(values) - low] = targets
        return table.take(raw.astype(np.int64) - low if low else raw)

    def outside(self, raw: RawMask, value: int, where: object) -> MaskError:
        """The error for a label outside the label space, with its first pixel."""
        there = raw == value
        y, x = np.unravel_index(np.argmax(there), raw.shape)
        ignored = [label_text(k) for k, v in self.remap.items() if v == IGNORE]
        mapped = [label_text(k) for k, v in self.remap.items() if v not in (IGNORE, NO_CLASS)]
        also = f", maps {_some(mapped)}" if mapped else ""
        text = label_text(value)
        key = f'"{text}"' if text.startswith("#") else text  # of a table in TOML
        return MaskError(
            where,
            found=f"holds label {text} (first at row {y}, column {x}; {there.sum()} px)",
            allowed=f"the label space has {len(self)} classes (0-{len(self) - 1}){also} "
            f"and ignores {_some(ignored or [str(self._ignored_label)])}",
            fix=f'Map it in dataset.toml ([remap] {key} = CLASS or "ignore"), or add the class.',
            code="M403" if value < COLOURED else "M409",
            pixel=(int(y), int(x)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and TOML."""
        return {
            "names": list(self.names),
            "colours": [to_hex(colour) for colour in self.colours],
            "remap": {label_text(raw): target for raw, target in sorted(self.remap.items())},
            "task": self.task,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Classes":
        """The label space that `to_dict` wrote."""
        return cls(
            names=tuple(data["names"]),
            colours=tuple(from_hex(colour) for colour in data["colours"]),
            remap={label_of_text(raw): target for raw, target in data["remap"].items()},
            task=data.get("task", "multiclass"),
        )


def _some(words: list[str]) -> str:
    return ", ".join(words[:_SHOWN]) + ", ..." * (len(words) > _SHOWN)


def label_values(raw: RawMask) -> list[int]:
    """The different values of a raw mask, ascending.

    Example:
        >>> label_values(np.int16([[3, -1, 3]]))
        [-1, 3]
    """
    if raw.dtype.itemsize > 2:
        return [int(value) for value in np.unique(_runs(raw)[0])]
    low = int(raw.min())
    return [int(v) + low for v in np.flatnonzero(np.bincount(raw.ravel().astype(np.int64) - low))]


def _runs(raw: RawMask) -> tuple[RawMask, Int64[np.ndarray, " N"]]:
    """The runs of equal labels from left to right, row after row: their labels and lengths.

    Masks are piecewise constant, so there are far fewer runs than pixels.
    """
    flat = raw.ravel()
    first = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    return flat[first], np.diff(first, append=flat.size)


def class_weights(
    counts: Int64[np.ndarray, " K"],
    kind: Weighting,
    *,
    power: float,
    beta: float,
    around: Int64[np.ndarray, " K"] | None = None,
) -> Float64[np.ndarray, " K"]:
    """Loss weight of each class from its pixels, scaled so that their mean over pixels is 1.

    So the loss keeps its scale. A class without pixels gets weight 1. With f, a class's share of
    the pixels, and n, its pixels, the weights are proportional to

    - `power`: `(1 / f) ** power`; 0 gives ones;
    - `median_frequency`: 1 / f, where f is the share in the pictures that hold the class, whose
      labelled pixels are `around` (Eigen & Fergus 2015; SegNet, Badrinarayanan et al. 2017);
      their median is a mere factor. Without `around`, f is the share in all pictures;
    - `enet`: `1 / ln(1.02 + f)` (Paszke et al. 2016, sec. 5.2);
    - `effective_number`: `1 / (1 - beta ** n)` (Cui et al. 2019, sec. 3); classes of far more
      than `1 / (1 - beta)` pixels weigh alike.

    Example:
        >>> class_weights(np.array([900, 100]), "power", power=0.5, beta=0.0).round(2)
        array([0.83, 2.5 ])
    """
    weights, present = np.ones(len(counts)), counts > 0
    if kind == "none" or not present.any():
        return weights
    frequency = counts[present] / counts.sum()
    match kind:
        case "power":
            raw = frequency**-power
        case "median_frequency":
            raw = 1 / frequency if around is None else around[present] / counts[present]
        case "enet":
            raw = 1 / np.log(ENET_OFFSET + frequency)
        case "effective_number":
            raw = 1 / (1 - beta ** counts[present])
        case _:
            assert_never(kind)
    weights[present] = raw / (frequency * raw).sum()
    return weights


def distinct_colours(count: int) -> tuple[Colour, ...]:
    """Colours for classes that have none: a fixed sequence of ten, then golden-angle hues.

    Example:
        >>> distinct_colours(2)
        ((63, 144, 218), (255, 169, 14))
    """
    return tuple(from_hex(c) for c in PETROFF[:count]) + tuple(
        _hue(i) for i in range(len(PETROFF), count)
    )


def _hue(i: int) -> Colour:
    lightness, saturation = (0.45, 0.62, 0.3)[i % 3], (0.75, 0.5)[i % 2]
    red, green, blue = colorsys.hls_to_rgb(i * 0.618034 % 1.0, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def to_hex(colour: Colour) -> str:
    """`(70, 130, 180)` -> `"#4682b4"`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def from_hex(text: str) -> Colour:
    """`"#4682b4"` -> `(70, 130, 180)`; ValueError if it is no such text."""
    digits = text.removeprefix("#")
    if len(digits) != 6:
        raise ValueError(f"{text!r} is not of the form #rrggbb")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def colour_label(colour: Colour) -> int:
    """The label that a colour is in raw masks.

    Example:
        >>> label_text(colour_label((128, 64, 128)))
        '#804080'
    """
    red, green, blue = colour
    return COLOURED + (red << 16 | green << 8 | blue)


def label_colour(value: int) -> Colour | None:
    """The colour that a raw label is; None if it is a number, or transparent."""
    if not COLOURED <= value < TRANSPARENT:
        return None
    return (value >> 16 & 255, value >> 8 & 255, value & 255)


def label_text(value: int) -> str:
    """A raw label in words: `7`, `#804080`, `transparent`."""
    colour = label_colour(value)
    return to_hex(colour) if colour else "transparent" if value == TRANSPARENT else str(value)


def label_of_text(text: str) -> int:
    """The raw label that `label_text` wrote; ValueError if it is no such text."""
    if text.startswith("#"):
        return colour_label(from_hex(text))
    return TRANSPARENT if text == "transparent" else int(text)
