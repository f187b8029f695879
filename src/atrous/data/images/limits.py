"""What one picture may cost in a child process."""

import sys
from typing import NamedTuple

from atrous.data.images.refusals import check_pixels

_COPIES = 6  # of the pixels at one time: decoded, turned, converted, and the decoder's own
_LARGEST = (1 << 63) - 1


class Limits(NamedTuple):
    """`memory` is in bytes, for the program and its decoders; pixels come on top of it."""

    pixels: int
    memory: int

    def start(self) -> None:
        """Allow what it takes to read a header."""
        _allow(self.memory)

    def admit(
        self, where: object, width: int, height: int, *, bands: int = 3, value_bytes: int = 1
    ) -> None:
        """Allow what it takes to decode a picture of this header.

        Raises:
            ImageError: it claims more pixels, or values, than are decoded.
        """
        check_pixels(where, width, height, bands=bands, limit=self.pixels)
        # Pillow keeps three bands in four bytes.
        _allow(self.memory + _COPIES * width * height * max(4, bands * value_bytes))


def _allow(memory: int) -> None:
    """Let this process have `memory` bytes of addresses; nothing where the system cannot."""
    if sys.platform != "linux":  # Windows has no such limit, and macOS does not keep it
        return
    import resource

    highest = resource.getrlimit(resource.RLIMIT_AS)[1]
    ceiling = _LARGEST if highest == resource.RLIM_INFINITY else highest
    resource.setrlimit(resource.RLIMIT_AS, (min(memory, ceiling), highest))
