"""Drawn masks: shapes -> pixels, and back.

`forms` names the shapes, `drawing` paints them, `fill` knows which pixels a polygon covers by
which rule, `runs` and `brush` the two ways in which masks lie in annotation files as numbers,
`marks` what people draw besides polygons, `rings` what can be wrong with a polygon, `trace` the
way back from pixels to rings.
"""

from atrous.data.shapes.brush import label_studio_decode, label_studio_encode
from atrous.data.shapes.drawing import GROUND, Overlap, draw, draw_bits, overlaps
from atrous.data.shapes.forms import Drawing, Patch, Polygon, Runs, Shape
from atrous.data.shapes.marks import circle, line, point, rectangle, stamp
from atrous.data.shapes.rings import area, crosses_itself, outside
from atrous.data.shapes.runs import counts_of_text, mask_of, runs_of, text_of_counts
from atrous.data.shapes.trace import Region, keyhole, trace

__all__ = [
    "GROUND",
    "Drawing",
    "Overlap",
    "Patch",
    "Polygon",
    "Region",
    "Runs",
    "Shape",
    "area",
    "circle",
    "counts_of_text",
    "crosses_itself",
    "draw",
    "draw_bits",
    "keyhole",
    "label_studio_decode",
    "label_studio_encode",
    "line",
    "mask_of",
    "outside",
    "overlaps",
    "point",
    "rectangle",
    "runs_of",
    "stamp",
    "text_of_counts",
    "trace",
]
