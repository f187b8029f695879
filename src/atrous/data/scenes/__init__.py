"""The embedded data set: street scenes that the program paints itself, with exact masks (CC0).

`street` decides what stands where, `sky`, `ground`, `facades`, `trees`, `cars`, `people` and
`signs` paint it through `camera` and `light` on a `canvas` that keeps picture and mask together,
`lens` makes a photograph of it, and `folder` writes a set to disk. A scene is a function of
(seed, index) alone. The tree class holds all that grows: trees, hedges, grass.
"""

from atrous.data.scenes.folder import write_scenes
from atrous.data.scenes.legend import COLOURS, NAMES
from atrous.data.scenes.scene import SIZE, scene

__all__ = ["COLOURS", "NAMES", "SIZE", "scene", "write_scenes"]
