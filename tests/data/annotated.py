"""Data sets of small pictures and annotation files, and what is painted of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from atrous.data.layouts import Layout, Pair
from atrous.data.shapes import draw
from atrous.errors import DataError

SIZE = (6, 8)


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size[1], size[0])).save(path)
    return path


def write(path: Path, content: Any, encoding: str = "utf-8") -> Path:
    """A text, or what is no text as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_bytes(text.encode(encoding))
    return path


def pairs_of(layout: Layout) -> dict[str, Pair]:
    return {pair.name: pair for pairs in layout.splits.values() for pair in pairs}


def drawn(layout: Layout, name: str) -> np.ndarray:
    """The labels that are painted of a pair."""
    assert layout.drawings is not None
    drawing = layout.drawings(pairs_of(layout)[name])
    return draw(drawing, drawing.size or SIZE)


def refusal(layout: Layout, name: str) -> DataError | None:
    """The error that a pair's drawing ends with; None if it is painted."""
    try:
        drawn(layout, name)
    except DataError as error:
        return error
    return None


def codes(layout: Layout) -> list[str]:
    """The codes of the problems of annotation files, in order."""
    return sorted(p.code for p in layout.problems if p.code != "S110")  # no val split


def squares(*shapes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask of squares (label, left, top, side), later ones over earlier ones."""
    mask = np.zeros(SIZE, int)
    for label, left, top, side in shapes:
        mask[top : top + side, left : left + side] = label
    return mask


def nonsense(*keys: str) -> st.SearchStrategy[list[Any]]:
    """Lists in the form of JSON whose tables have some of these keys."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["a.jpg", "car", 1, 2]),
    )
    table = st.sampled_from(keys)
    anything = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(table, inner, max_size=6),
        max_leaves=5,
    )
    return st.lists(st.dictionaries(table, anything, max_size=8) | anything, max_size=3)
