"""Pictures: the only place where pixels are decoded.

The content of a file decides what it is, never its suffix. A file that cannot be decoded is
an `ImageError` that names it, whatever the decoder raised or did: TIFF and WebP, whose
libraries are large, are decoded in a child process that may die of it (`children`, `child`).
"""

from atrous.data.images.fitting import as_shown as as_shown
from atrous.data.images.fitting import fit_image as fit_image
from atrous.data.images.formats import FORMATS as FORMATS
from atrous.data.images.formats import SUFFIXES as SUFFIXES
from atrous.data.images.formats import Format as Format
from atrous.data.images.formats import is_image as is_image
from atrous.data.images.pictures import STRETCHED as STRETCHED
from atrous.data.images.pictures import Header as Header
from atrous.data.images.pictures import orientation as orientation
from atrous.data.images.pictures import raw_mode as raw_mode
from atrous.data.images.pictures import turn as turn
from atrous.data.images.pictures import turn_array as turn_array
from atrous.data.images.reading import Source as Source
from atrous.data.images.reading import as_image as as_image
from atrous.data.images.reading import content_format as content_format
from atrous.data.images.reading import open_picture as open_picture
from atrous.data.images.reading import open_source as open_source
from atrous.data.images.reading import orientation_of as orientation_of
from atrous.data.images.reading import read_header as read_header
from atrous.data.images.reading import read_image as read_image
from atrous.data.images.reading import read_tiff as read_tiff
from atrous.data.images.refusals import PIXEL_LIMIT as PIXEL_LIMIT
from atrous.data.images.resizing import resized as resized
from atrous.data.images.writing import jpeg as jpeg
from atrous.data.images.writing import write_jpeg as write_jpeg
