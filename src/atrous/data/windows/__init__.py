"""Windows of rasters: parts that are pictures of a data set, each with its labels.

A raster is cut into blocks, which belong to one split as a whole, and these into windows. Labels
come from another raster, or from polygons; both are brought onto the grid of the picture, window
by window. No raster is read whole.
"""

from atrous.data.windows.polygons import FIELD as FIELD
from atrous.data.windows.polygons import Facts as Facts
from atrous.data.windows.polygons import is_polygons as is_polygons
from atrous.data.windows.polygons import read_facts as read_facts
from atrous.data.windows.reading import check_source as check_source
from atrous.data.windows.reading import known_of as known_of
from atrous.data.windows.reading import labels_of as labels_of
from atrous.data.windows.reading import pixels_of as pixels_of
from atrous.data.windows.reading import raster_of as raster_of
from atrous.data.windows.window import Box as Box
from atrous.data.windows.window import Source as Source
from atrous.data.windows.window import Window as Window
from atrous.data.windows.window import cut as cut
from atrous.data.windows.window import moved as moved
from atrous.data.windows.window import within as within
