"""All that is planted, and all that must not be mistaken for it."""

from . import (
    defects_blends,
    defects_classes,
    defects_drawn,
    defects_encodings,
    defects_files,
    defects_labels,
    defects_pairs,
    defects_pictures,
    defects_twins,
    near_drawn,
    near_files,
    near_masks,
    near_twins,
)
from .planted import Kind

KINDS: tuple[Kind, ...] = (
    *defects_pairs.KINDS,
    *defects_files.KINDS,
    *defects_pictures.KINDS,
    *defects_labels.KINDS,
    *defects_encodings.KINDS,
    *defects_blends.KINDS,
    *defects_classes.KINDS,
    *defects_twins.KINDS,
    *defects_drawn.KINDS,
)
NEAR_MISSES: tuple[Kind, ...] = (
    *near_files.NEAR,
    *near_masks.NEAR,
    *near_twins.NEAR,
    *near_drawn.NEAR,
)
