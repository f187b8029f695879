"""Pictures in tiles: the logits of the whole picture, at the memory of a part of it.

`exact`: each tile is read with a halo, all that its cells see, and its own cells are kept. Means
over the whole picture (image pooling) are found before, in a pass over it each. `blend`: where
that is impossible or too dear, tiles overlap, and each cell is the mean of those of all tiles
that have it, weighted by a Gaussian around their centres. `cuts` decides, `scene` answers.
"""

from atrous.predict.tiles.cuts import EVERYWHERE, Cut, Region, TileMode, cut_for
from atrous.predict.tiles.scene import Known, Read, Scene, everywhere, scene_of

__all__ = [
    "EVERYWHERE",
    "Cut",
    "Known",
    "Read",
    "Region",
    "Scene",
    "TileMode",
    "cut_for",
    "everywhere",
    "scene_of",
]
