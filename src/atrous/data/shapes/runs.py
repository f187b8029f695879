"""Masks as runs down the columns, as numbers and as COCO's text."""

import numpy as np
from jaxtyping import Bool, Int64

from atrous.data.shapes.fill import NOWHERE, Cover, alternating
from atrous.data.shapes.forms import Runs

_ZERO = 48  # the character that stands for 0; those for 1 to 63 follow
_BITS, _SIGN, _MORE = 5, 0x10, 0x20  # of a character: digits, the last one's sign, "goes on"


def runs_of(mask: Bool[np.ndarray, "H W"]) -> Int64[np.ndarray, " N"]:
    """Counts of false, true, false, ... pixels down the columns, the first of which may be 0.

    Example:
        >>> runs_of(np.array([[True, False], [True, False]])).tolist()
        [0, 2, 2]
    """
    flat = mask.ravel(order="F")
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    begin = [0, 0] if flat[:1].any() else [0]
    return np.diff(np.concatenate([begin, turns, [flat.size]])).astype(np.int64)


def mask_of(runs: Runs) -> Bool[np.ndarray, "H W"]:
    """The mask whose runs they are; pixels that are not counted are false, counts beyond cut."""
    mask = np.zeros(runs.size, bool)
    window, pixels = cover_of(runs)
    mask[window] = pixels
    return mask


def cover_of(runs: Runs) -> Cover:
    """The columns that hold true pixels. Negative counts are taken for 0."""
    height, width = runs.size
    ends = np.cumsum(np.clip(runs.counts, 0, height * width)).clip(max=height * width)
    begins, ends = ends[:-1:2], ends[1::2]  # of the runs of true pixels
    begins, ends = begins[begins < ends], ends[begins < ends]
    if not begins.size:
        return NOWHERE
    left, right = int(begins[0]) // height, (int(ends[-1]) - 1) // height + 1
    turns = np.stack([begins, ends], 1).ravel() - left * height
    inside = alternating(turns, (right - left) * height).reshape(right - left, height)
    return Cover((slice(0, height), slice(left, right)), inside.T)


def counts_of_text(text: str) -> Int64[np.ndarray, " N"]:
    """The counts in COCO's compressed text; ValueError if it is no such text.

    Numbers of variable length, five bits a character; from the fourth on each is the difference
    to the count two before it.

    Example:
        >>> counts_of_text("52203").tolist()
        [5, 2, 2, 2, 5]
    """
    counts: list[int] = []
    number = shift = 0
    for character in text:
        digit = ord(character) - _ZERO
        if not 0 <= digit < 64:
            raise ValueError(f"{character!r} is no character of COCO's runs")
        number |= (digit & 0x1F) << shift
        shift += _BITS
        if not digit & _MORE:
            number -= (1 << shift) * bool(digit & _SIGN)
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number = shift = 0
    if shift:
        raise ValueError("the text ends within a number")
    if counts and not 0 <= min(counts) <= max(counts) < 1 << 62:
        raise ValueError("the text holds runs of impossible lengths")
    return np.array(counts, np.int64)


def text_of_counts(counts: Int64[np.ndarray, " N"]) -> str:
    """COCO's compressed text, as pycocotools writes and reads it.

    Example:
        >>> text_of_counts(np.array([5, 2, 2, 2, 5]))
        '52203'
    """
    numbers = np.array(counts, np.int64)
    numbers[3:] -= counts[1:-2]
    characters = []
    for number in numbers.tolist():
        more = True
        while more:
            digit, number = number & 0x1F, number >> _BITS
            more = number != (-1 if digit & _SIGN else 0)
            characters.append(chr(_ZERO + digit + _MORE * more))
    return "".join(characters)
