"""The label space: which classes there are, their colours, what is ignored, how raw labels map.

Nobody else knows label numbers. On disk any value may mean "ignore"; inside, ignore is
255 in uint8 masks and 65535 in uint16 masks of class indices, and the bit after those of the
classes in multilabel masks.
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
            return targets[np.searchsorted(values, raw)]
        table = np.zeros(values[-1] - values[0] + 1, self.dtype)
        table[np.array(values) - values[0]] = targets
        return table[raw.astype(np.int64) - values[0]]

    def outside(self, raw: RawMask, value: int, where: object) -> MaskError:
        """The error for a label outside the label space, with its first pixel."""
        y, x = np.argwhere(raw == value)[0]
        ignored = [str(k) for k, v in self.remap.items() if v == IGNORE] or [
            str(self._ignored_label)
        ]
        mapped = [str(k) for k, v in self.remap.items() if v != IGNORE]
        also = f", maps {', '.join(mapped)}" if mapped else ""
        return MaskError(
            where,
            found=f"holds label {value} (first at row {y}, column {x}; {(raw == value).sum()} px)",
            allowed=f"the label space has {len(self)} classes (0-{len(self) - 1}){also} "
            f"and ignores {', '.join(ignored)}",
            fix=f'Map it in dataset.toml ([remap] {value} = CLASS or "ignore"), or add the class.',
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and TOML."""
        return {
            "names": list(self.names),
            "colours": [to_hex(colour) for colour in self.colours],
            "remap": {str(raw): target for raw, target in sorted(self.remap.items())},
            "task": self.task,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Classes":
        """The label space that `to_dict` wrote."""
        return cls(
            names=tuple(data["names"]),
            colours=tuple(from_hex(colour) for colour in data["colours"]),
            remap={int(raw): target for raw, target in data["remap"].items()},
            task=data.get("task", "multiclass"),
        )


def label_values(raw: RawMask) -> list[int]:
    """The different values of a raw mask, ascending.

    Example:
        >>> label_values(np.int16([[3, -1, 3]]))
        [-1, 3]
    """
    if raw.dtype.itemsize > 2:
        return [int(value) for value in np.unique(raw)]
    low = int(raw.min())
    return [int(v) + low for v in np.flatnonzero(np.bincount(raw.ravel().astype(np.int64) - low))]


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
