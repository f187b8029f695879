"""Checks of masks for labels that nobody drew: blended along borders by JPEG or resizing."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from atrous.classes import label_text
from atrous.data.layouts.pairs import relative
from atrous.data.survey import FileRecord
from atrous.doctor.findings import Finding
from atrous.doctor.meant import Blend, Meant, blend_of, meant_labels, thin_labels

_SHOWN = 4  # labels in a sentence


def check_damage(files: Sequence[FileRecord], root: Path) -> Iterator[Finding]:
    """Masks that hold blended labels or colours.

    What sound masks of the set hold is meant, be it ever so thin.
    """
    files = [file for file in files if file.signs.ramps is not None]
    meant = meant_labels(file.facts for file in files)
    thin = thin_labels((file.facts, file.signs.ramps) for file in files)
    suspects = [f for f in files if blend_of(f.facts, f.signs.ramps, meant, thin)]
    if not suspects:
        return
    suspected = {id(file) for file in suspects}
    sound = [file for file in files if id(file) not in suspected]
    known = Meant(meant.labels | _labels_of(sound, meant), meant.solid)
    for file in suspects:
        if blend := blend_of(file.facts, file.signs.ramps, known, thin):
            yield _finding(file, blend, root)


def _labels_of(sound: Sequence[FileRecord], meant: Meant) -> frozenset[int]:
    """What sound masks hold; those with more labels of doubt than sure ones are none."""
    held = (file.labels.keys() for file in sound)
    most = 2 * len(meant.labels)
    return frozenset(label for labels in held if len(labels) <= most for label in labels)


def _finding(file: FileRecord, blend: Blend, root: Path) -> Finding:
    code, found = _said(blend)
    row, column = divmod(blend.first, file.header.size[1])
    fix = "Resize masks with nearest alone and save them as PNG; or `atrous doctor --fix DIR`, "
    fix += "which gives such pixels the label beside them."
    return Finding(code, relative(file.pair.mask, root), found, fix, (row, column))


def _said(blend: Blend) -> tuple[str, str]:
    labels = [label_text(value) for value in blend.labels[:_SHOWN]]
    listed = ", ".join(labels) + ", ..." * (len(blend.labels) > _SHOWN)
    many = f"{blend.pixels:,} px of {len(blend.labels)}"
    match blend.damage:
        case "ramps":
            found = f"crosses {blend.pixels:,} borders by labels in between (such as {listed})"
            return "M407", f"{found}, as bilinear resizing leaves them"
        case "numbers":
            found = f"holds {many} labels that fill no area in any mask ({listed})"
            return "M407", f"{found}, as JPEG or bilinear resizing leaves them along borders"
        case "colours":
            return "M407", f"holds {many} colours that fill no area ({listed}), as JPEG leaves them"
        case "smoothed colours":
            found = f"holds {many} colours between those of two regions ({listed})"
            return "M410", f"{found}, as smoothed outlines or bilinear resizing leave them"
