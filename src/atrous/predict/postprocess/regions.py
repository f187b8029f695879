"""Small regions that become what is around them, and holes that are filled.

Pixels hang together by their sides. Masks of binary and multilabel are planes, each by itself.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int32, Int64

from atrous.classes import Classes
from atrous.kernels.regions import regions
from atrous.recipe.postprocessing import NEIGHBOURS, Holes, SmallRegions
from atrous.types import Mask

Plane = Bool[np.ndarray, "H W"]


def without_small_regions(mask: Mask, step: SmallRegions, classes: Classes) -> Mask:
    """The mask without regions of fewer pixels than the step says.

    Of multiclass they take the class with which they share the longest border (ties: the lower),
    not counting other small regions, or the one that is named. Of the others they vanish. Where
    no region is large there is nothing to become, and all stay.

    Example:
        >>> mask = np.uint8([[0, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 2]])
        >>> without_small_regions(mask, SmallRegions(pixels=2), Classes(("a", "b", "c")))
        array([[0, 0, 0, 2],
               [0, 0, 0, 2],
               [0, 0, 0, 2]], dtype=uint8)
    """
    if classes.task != "multiclass":
        return _in_planes(mask, classes, lambda plane: _large(plane, step.pixels))
    if step.into != NEIGHBOURS:
        return _renamed(mask, classes.names.index(step.into), step.pixels)
    return _absorbed(mask, step.pixels)


def without_holes(mask: Mask, step: Holes, classes: Classes) -> Mask:
    """The mask with the holes of each class filled, those of the first class first.

    A hole is what hangs together without the class and touches no edge of the picture.

    Example:
        >>> mask = np.uint8([[1, 1, 1, 0], [1, 2, 1, 0], [1, 1, 1, 0]])
        >>> without_holes(mask, Holes(pixels=1), Classes(("a", "b", "c")))
        array([[1, 1, 1, 0],
               [1, 1, 1, 0],
               [1, 1, 1, 0]], dtype=uint8)
    """
    if classes.task != "multiclass":
        return _in_planes(mask, classes, lambda plane: plane | _holes(plane, step.pixels))
    made = mask.copy()
    for k in np.flatnonzero(np.bincount(mask.ravel(), minlength=len(classes))):
        made[_holes(made == k, step.pixels)] = k
    return made


def _in_planes(mask: Mask, classes: Classes, change: Callable[[Plane], Plane]) -> Mask:
    """The mask with a change to each of its planes."""
    if classes.task == "binary":
        return change(mask == 1).astype(mask.dtype)
    made = np.zeros_like(mask)
    for k in range(len(classes)):
        bit = mask.dtype.type(1 << k)
        made[change(mask & bit != 0)] |= bit
    return made


def _large(plane: Plane, pixels: int) -> Plane:
    """The plane without its small regions."""
    ids, _ = regions(plane)
    return plane & (np.bincount(ids.ravel()) >= pixels)[ids]


def _holes(plane: Plane, pixels: int) -> Plane:
    """What hangs together outside the plane, touches no edge and has so many pixels at most."""
    ids, first = regions(plane)
    hole = ~plane.ravel()[first]
    if pixels:
        hole &= np.bincount(ids.ravel()) <= pixels
    for edge in (ids[0], ids[-1], ids[:, 0], ids[:, -1]):
        hole[edge] = False
    return hole[ids]


def _renamed(mask: Mask, target: int, pixels: int) -> Mask:
    ids, _ = regions(mask)
    small = np.bincount(ids.ravel()) < pixels
    return np.where(small[ids], mask.dtype.type(target), mask)


def _absorbed(mask: Mask, pixels: int) -> Mask:
    """Small regions join the large ones at their borders, round by round, until none is left."""
    while True:
        ids, first = regions(mask)
        small = np.bincount(ids.ravel()) < pixels
        names = mask.ravel()[first].astype(np.int64)
        surrounding = _surrounding(ids, names, small) if small.any() else names
        if np.array_equal(surrounding, names):
            return mask
        mask = surrounding.astype(mask.dtype)[ids]


def _surrounding(
    ids: Int32[np.ndarray, "H W"], names: Int64[np.ndarray, " N"], small: Bool[np.ndarray, " N"]
) -> Int64[np.ndarray, " N"]:
    """The class of each region; of a small one that of most large pixels beside it, if any."""
    is_small, kinds = small[ids], int(names.max()) + 1
    parts = []
    for here, there in _BESIDE:
        border = is_small[here] & ~is_small[there]
        parts.append(ids[here][border] * np.int64(kinds) + names[ids[there][border]])
    pairs, sides = np.unique(np.concatenate(parts), return_counts=True)
    order = np.lexsort((-pairs, sides))  # the last one that is written stays
    made = names.copy()
    made[pairs[order] // kinds] = pairs[order] % kinds
    return made


_BESIDE = (
    (np.s_[:, 1:], np.s_[:, :-1]),
    (np.s_[:, :-1], np.s_[:, 1:]),
    (np.s_[1:], np.s_[:-1]),
    (np.s_[:-1], np.s_[1:]),
)
