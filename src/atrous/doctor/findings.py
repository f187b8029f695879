"""What the doctor can find: a code for each kind, how grave it is, what it does to training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from atrous.data.layouts.pairs import relative
from atrous.errors import DataError

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Kind(NamedTuple):
    """A kind of finding; docs/doctor.md has a paragraph on each."""

    severity: Severity
    title: str
    effect: str


KINDS = {
    "S101": Kind("error", "picture without a mask", "nothing says what is in it"),
    "S102": Kind("error", "mask without a picture", "there is nothing to learn it from"),
    "S103": Kind("error", "two files of one name", "which of them belongs to the pair is a guess"),
    "S104": Kind(
        "warning", "names that differ in case only", "they are one file on Windows and macOS"
    ),
    "S105": Kind("error", "picture and mask folders swapped", "photographs would be the truth"),
    "S106": Kind("error", "line of a list without a pair", "the list is not what it says"),
    "S107": Kind("error", "one picture in two splits", "scores would be of what was learned"),
    "S108": Kind("note", "pictures without labels", "they are left out"),
    "S109": Kind("error", "the folder is not understood", "nothing can be read"),
    "S110": Kind("error", "split without pairs", "there is nothing to learn or to measure"),
    "F201": Kind("error", "unreadable file", "training would stop there"),
    "F202": Kind("error", "file cut short", "training would stop there, or learn grey"),
    "F203": Kind("error", "empty file", "training would stop there"),
    "F204": Kind("error", "claims too many pixels", "decoding it could take all memory"),
    "F205": Kind("error", "ruined by line-ending conversion", "its pixels are lost"),
    "F206": Kind("note", "suffix of another format", "other programs may refuse it"),
    "P301": Kind("warning", "mixed bit depths", "brightness may mean two things"),
    "P302": Kind("warning", "grey among coloured", "colour tells where a picture is from"),
    "P303": Kind("warning", "16-bit pictures that hold 8-bit values", "they look black"),
    "P304": Kind("error", "pixels that are no numbers", "the loss would be no number either"),
    "P305": Kind("warning", "constant picture", "there is nothing to see in it"),
    "P306": Kind("error", "other bands or type than the rest", "a model takes one kind of pixels"),
    "M401": Kind("error", "size differs from the picture's", "labels would lie on other pixels"),
    "M402": Kind("error", "picture turned by EXIF, mask not", "labels would lie on other pixels"),
    "M403": Kind("error", "label outside the label space", "the loss has no class for it"),
    "M404": Kind("error", "0 or 255 used with two meanings", "a class is ignored, or void learned"),
    "M405": Kind("error", "labels are one off", "each class would have the name of its neighbour"),
    "M406": Kind("error", "mask saved with loss", "labels change at every border"),
    "M407": Kind("error", "blended labels along borders", "borders are learned as other classes"),
    "M408": Kind("note", "masks read by colour", "none"),
    "M409": Kind("error", "colour of no class", "nothing says which class it is"),
    "M410": Kind("error", "blended colours along borders", "borders belong to no class"),
    "M411": Kind(
        "warning", "mask with nothing in it", "the picture teaches only what is not there"
    ),
    "M412": Kind("warning", "mask of one class only", "there is no border to learn"),
    "M413": Kind("warning", "mask lies beside its picture", "borders are learned in a wrong place"),
    "M414": Kind("warning", "masks in several encodings", "one value may mean two classes"),
    "M415": Kind("error", "floats where labels are expected", "a label is a whole number"),
    "M416": Kind("error", "planes that do not fit together", "the mask cannot be put together"),
    "C501": Kind("warning", "class that is never there", "it cannot be learned or measured"),
    "C502": Kind("warning", "class in val only", "it is measured without having been learned"),
    "C503": Kind("warning", "class missing in val", "it is learned without being measured"),
    "C504": Kind("warning", "very rare class", "it is easily never predicted"),
    "C505": Kind("warning", "label values leave gaps", "which classes there are is a guess"),
    "C506": Kind("error", "one class only", "there is nothing to tell apart"),
    "D601": Kind("warning", "the same file twice in a split", "it counts twice"),
    "D602": Kind("warning", "the same file in two splits", "scores flatter: it was learned"),
    "D603": Kind("note", "nearly the same picture twice", "it counts twice"),
    "D604": Kind("warning", "nearly the same picture in two splits", "scores flatter"),
    "D605": Kind("warning", "neighbours in two splits, by content", "scores flatter"),
    "D606": Kind("warning", "neighbours in two splits, by name", "scores flatter"),
    "D607": Kind("error", "one picture with two masks", "what is right cannot be learned"),
    "A701": Kind("warning", "shapes of two classes overlap", "the later one wins"),
    "A702": Kind("warning", "outline crosses itself", "what is inside is a guess"),
    "A703": Kind("warning", "outline leaves the picture", "what is outside is cut off"),
    "A704": Kind("warning", "outline without area", "nothing is drawn, or a line"),
    "A705": Kind("error", "class that is not listed", "nothing says which class it is"),
    "A706": Kind("error", "annotation of another size", "labels would lie on other pixels"),
}


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or worth knowing.

    `where` is a path relative to the data set, "" for the whole of it; `pixel` the row and
    column of the first wrong one; `others` are further files of the same finding.
    """

    code: str
    where: str
    found: str
    fix: str
    pixel: tuple[int, int] | None = None
    others: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return KINDS[self.code].severity

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        kind = KINDS[self.code]
        return {
            "code": self.code,
            "severity": kind.severity,
            "title": kind.title,
            "file": self.where,
            "pixel": list(self.pixel) if self.pixel else None,
            "found": self.found,
            "effect": kind.effect,
            "fix": self.fix,
            "others": list(self.others),
        }


def finding_of(error: DataError, root: Path) -> Finding:
    """What an error says, as a finding."""
    code = error.code if error.code in KINDS else "S109"
    where = relative(Path(error.where), root)
    found = f"{error.found}, but {error.allowed}"
    return Finding(code, "" if where == "." else where, found, error.fix, error.pixel)


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors first; those of a kind together, by file."""
    return tuple(
        sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.code, f.where, f.found))
    )
