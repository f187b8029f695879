"""Pictures written for people to look at."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image as pil

from atrous.files import write_whole


def write_jpeg(path: Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write a picture for people to look at, without the metadata of its origin."""
    write_whole(path, jpeg(image))


def jpeg(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The file that `write_jpeg` writes."""
    content = io.BytesIO()
    pil.fromarray(image).save(content, "JPEG", quality=92)
    return content.getvalue()
