"""How a picture file is refused: whatever a decoder raised becomes an `ImageError`."""

from collections.abc import Iterator
from contextlib import contextmanager

from atrous.data.images.formats import FORMATS, Format, format_of, is_converted
from atrous.errors import AtrousError, ImageError

MOST_SCANS = 100  # of a JPEG
PIXEL_LIMIT = 500_000_000  # decoding RGB then takes 4 GB; larger files are bombs, or rasters


@contextmanager
def any_error_is_ours(where: object) -> Iterator[None]:
    """Whatever is raised inside becomes an `ImageError` that names `where`."""
    try:
        yield
    except AtrousError:
        raise
    except FileNotFoundError:
        raise ImageError(
            where,
            found="there is no such file",
            allowed=f"a picture ({FORMATS}) is needed",
            fix="Check the path.",
            code="F201",
        ) from None
    except IsADirectoryError:
        raise not_whole(where, "is a folder") from None
    except PermissionError:
        raise not_whole(where, "may not be read by this user") from None
    except MemoryError as error:
        raise not_whole(where, "does not fit into memory") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, IndexError...
        reason = " ".join(str(error).split()) or type(error).__name__
        if "truncated" in reason.lower():
            raise cut_short(where, reason) from error
        raise not_whole(where, f"cannot be decoded ({reason})") from error


def known_format(prefix: bytes, where: object) -> Format:
    """The format of a file that begins with `prefix`.

    Raises:
        ImageError: it is empty, no picture, or a PNG ruined by line-ending conversion.
    """
    if found := format_of(prefix):
        return found
    if is_converted(prefix):
        raise _line_endings(where)
    if not prefix:
        raise not_whole(where, "is empty (0 bytes)", code="F203")
    raise not_whole(where, f"is not a picture (it begins with {_shown(prefix)})")


def check_pixels(
    where: object, width: int, height: int, *, bands: int = 3, limit: int | None = None
) -> None:
    """Refuse more than `limit` pixels (that of this module), or values of as many RGB pixels."""
    limit = PIXEL_LIMIT if limit is None else limit
    pixels = width * height * max(1, bands / 3)
    if pixels <= limit:
        return
    of_bands = f" of {bands} bands" if bands > 3 else ""
    raise too_many(
        where,
        f"claims {width} x {height} pixels{of_bands} ({width * height / 1e6:,.0f} million)",
        f"at most {limit / 1e6:g} million of three bands are decoded",
    )


def check_scans(content: bytes, where: object) -> None:
    """Refuse a JPEG that is painted over and over: each scan takes as long as a picture."""
    scans = content.count(b"\xff\xda")  # inside a scan 0 follows 255, or a sign of restart
    if scans > MOST_SCANS:
        raise ImageError(
            where,
            found=f"has {scans:,} scans",
            allowed=f"at most {MOST_SCANS} are decoded; programs write a dozen",
            fix="Save it again, not progressive.",
            code="F204",
        )


def too_many(where: object, found: str, allowed: str) -> ImageError:
    """The error of a file that claims more than is decoded."""
    fix = "Cut it into smaller pictures, or get the file again if that is wrong."
    return ImageError(where, found=found, allowed=allowed, fix=fix, code="F204")


def cut_short(where: object, reason: str) -> ImageError:
    """The error of a file whose end is missing."""
    return not_whole(where, f"is cut short ({reason})", code="F202")


def not_whole(where: object, found: str, *, code: str = "F201") -> ImageError:
    """The error of a file that cannot be decoded."""
    return ImageError(
        where,
        found=found,
        allowed=f"a whole {FORMATS} file is needed",
        fix="Get the file again from where it came from, or leave it out.",
        code=code,
    )


def _line_endings(where: object) -> ImageError:
    return ImageError(
        where,
        found="is a PNG damaged by line-ending conversion (CR LF <-> LF, as git's autocrlf does)",
        allowed="a PNG's bytes must stay as they were written",
        fix="It cannot be repaired: get it again, and write `*.png binary` in .gitattributes.",
        code="F205",
    )


def _shown(prefix: bytes) -> str:
    text = prefix.decode("ascii", "replace")
    return repr(text) if text.isprintable() and text.isascii() else prefix[:8].hex(" ")
