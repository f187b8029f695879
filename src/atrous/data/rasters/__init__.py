"""Rasters: pictures that lie on the ground, or are too large to be decoded whole.

They are read by GDAL (the package rasterio, extra `geo`) window by window, through a cache of
so many bytes. GDAL knows two hundred formats, some of which name other files or hosts; here it
opens those that the first bytes of a file are of, GTiff and PNG, and nothing else. Each pixel is
known or not: what the file says is no data, masked or transparent, and blocks that were never
written, are not.
"""

from atrous.data.rasters.cells import Pixels as Pixels
from atrous.data.rasters.gdal import SCHEMES as SCHEMES
from atrous.data.rasters.gdal import gdal as gdal
from atrous.data.rasters.gdal import is_address as is_address
from atrous.data.rasters.gdal import open_file as open_file
from atrous.data.rasters.gdal import quiet as quiet
from atrous.data.rasters.headers import Head as Head
from atrous.data.rasters.headers import is_raster as is_raster
from atrous.data.rasters.headers import read_head as read_head
from atrous.data.rasters.raster import Raster as Raster
from atrous.data.rasters.raster import fingerprint as fingerprint
from atrous.data.rasters.raster import open_raster as open_raster
from atrous.data.rasters.raster import raster_size as raster_size
from atrous.data.rasters.stored import Place as Place
