"""Checks of pictures: their types, bands and numbers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from atrous.data.dataset import BANDS
from atrous.data.layouts.pairs import relative
from atrous.data.survey import FileRecord
from atrous.doctor.findings import Finding

SHOWN = 8  # values of a kind in a sentence


def check_pictures(files: Sequence[FileRecord], root: Path) -> Iterator[Finding]:
    """What is odd about the pictures of pairs that could be read."""
    yield from _mixed(files, root)
    for file in files:
        yield from _check_picture(file, root)


def _check_picture(file: FileRecord, root: Path) -> Iterator[Finding]:
    signs, where = file.signs, relative(file.pair.image, root)
    if signs.unknown:
        found = "holds pixels that are NaN or infinite"
        fix = "Replace them by a number, and give their mask pixels the ignored label."
        yield Finding("P304", where, found, fix, pixel=signs.unknown)
    if signs.constant:
        found = "is of one colour"
        yield Finding("P305", where, found, "Leave the pair out, or get the picture again.")
    elif file.header.dtype == "uint16" and signs.high <= 255:
        found = f"has 16 bits, but no value above {signs.high:g}"
        yield Finding("P303", where, found, "Save it with 8 bits, or scale it to 0-65535.")


def _mixed(files: Sequence[FileRecord], root: Path) -> Iterator[Finding]:
    """Pictures of another type, or of other bands, than most."""
    types = [file.header.dtype for file in files]
    code = "P306" if "float32" in types else "P301"
    yield from _fewer(code, files, types, root, "Save all pictures with one type of pixels.")
    bands = [file.header.bands for file in files]
    if {*bands} <= {1, BANDS}:
        kinds = ["in colour" if count == BANDS else "grey" for count in bands]
        yield from _fewer("P302", files, kinds, root, "Save all as grey, or all in colour.")
    else:
        kinds = ["of 1 or 3 bands" if n in (1, BANDS) else f"of {n} bands" for n in bands]
        yield from _fewer("P306", files, kinds, root, "Give all the same bands, in one order.")


def _fewer(
    code: str, files: Sequence[FileRecord], kinds: Sequence[str], root: Path, fix: str
) -> Iterator[Finding]:
    """A finding for each file that is not of the commonest kind."""
    counted = Counter(kinds).most_common()
    for file, kind in zip(files, kinds, strict=True):
        if kind != counted[0][0]:
            found = f"is {kind}, as {dict(counted)[kind]} are; {counted[0][1]} are {counted[0][0]}"
            yield Finding(code, relative(file.pair.image, root), found, fix)
