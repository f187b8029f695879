"""The doctor's answer in words, for the terminal and for the page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from atrous.doctor import KINDS, Diagnosis, Finding
from atrous.doctor.card import Card
from atrous.doctor.findings import SEVERITIES, Kind
from atrous.types import Size

LONG = 20  # letters that are worth not being told again for each file


@dataclass(frozen=True)
class Group:
    """All findings of one code; `accepted` says that dataset.toml lets it pass."""

    code: str
    findings: tuple[Finding, ...]
    accepted: bool = False

    @property
    def kind(self) -> Kind:
        """What all of them are."""
        return KINDS[self.code]

    @property
    def title(self) -> str:
        """The title as a heading, and how many there are."""
        title = self.kind.title[0].upper() + self.kind.title[1:]
        count = len(self.findings)
        return f"{title} ({count:,})" if count > 1 else title

    @property
    def effect(self) -> str:
        """What it does to training, as a sentence."""
        effect = self.kind.effect
        text = effect[0].upper() + effect[1:] + "."
        return f"{text} Accepted in dataset.toml." if self.accepted else text


class Verdict(NamedTuple):
    """The last word on a data set: a sentence, and the command that it ends in, if any."""

    sentence: str
    command: str = ""


def groups(diagnosis: Diagnosis) -> tuple[Group, ...]:
    """The findings by code, errors first, those that are accepted after the others."""
    by_code: dict[str, list[Finding]] = {}
    for finding in diagnosis.findings:
        by_code.setdefault(finding.code, []).append(finding)
    made = [Group(c, tuple(f), c in diagnosis.accepted) for c, f in by_code.items()]
    return tuple(sorted(made, key=lambda g: (SEVERITIES.index(g.kind.severity), g.accepted)))


def told_once(findings: Sequence[Finding]) -> tuple[list[str], str]:
    """What was found in each, and how all of that ends, if it ends alike.

    Example:
        >>> many = [Finding("M403", "", f"holds {i}, but the label space has 9", "") for i in "ab"]
        >>> told_once(many)
        (['holds a', 'holds b'], 'the label space has 9')
    """
    parts = [finding.found.partition(", but ") for finding in findings]
    ends = {end for _, _, end in parts}
    if len(findings) > 1 and len(ends) == 1 and len(min(ends)) >= LONG:
        return [found for found, _, _ in parts], min(ends)
    return [finding.found for finding in findings], ""


def place(finding: Finding) -> str:
    """The pixel in words, unless what was found tells it; empty where there is none.

    Example:
        >>> place(Finding("M403", "a.png", "holds label 21", "", pixel=(0, 117)))
        'row 0, column 117'
    """
    if finding.pixel is None:
        return ""
    text = "row {}, column {}".format(*finding.pixel)
    return "" if text in finding.found else text


def further(finding: Finding, limit: int = 2) -> str:
    """The other files of a finding, where what was found does not name them."""
    others = [name for name in finding.others if name not in finding.found]
    if not others:
        return ""
    more = f" and {len(others) - limit:,} more" if len(others) > limit else ""
    return "also " + ", ".join(others[:limit]) + more


def counted(diagnosis: Diagnosis) -> str:
    """How many findings there are of each severity: `2 errors, 1 note`; errors always told."""
    errors, count = len(diagnosis.errors), diagnosis.count
    words = [_number(errors, "error") if errors else "No errors"]
    if accepted := count["error"] - errors:
        words.append(f"{accepted:,} accepted")
    words += [_number(count[s], s) for s in SEVERITIES[1:] if count[s]]
    return ", ".join(words)


def facts(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """What a data set holds, term by term, as far as it can be read."""
    layout, card = diagnosis.layout, diagnosis.card
    if layout is None:
        return []
    counts = {split: len(pairs) for split, pairs in layout.splits.items()}
    told = [("layout", layout.kind), ("pictures", _pictures(counts, len(layout.unlabelled)))]
    if card is None:
        return told
    left = sum(counts.values()) - sum(card.splits.values())
    return [
        *told,
        *([("usable", _pictures(card.splits, 0))] if left else []),
        ("task", card.task),
        ("size", sizes(card)),
        ("pixels", f"{card.dtype}, {_number(card.bands, 'band')}"),
    ]


def _pictures(splits: Mapping[str, int], unlabelled: int) -> str:
    words = [f"{count:,} {split}" for split, count in splits.items()]
    return ", ".join(words) + (f"; {unlabelled:,} without labels" if unlabelled else "")


def sizes(card: Card) -> str:
    """The sizes of the pictures, height before width."""
    if card.sizes == 1:
        return f"{_size(card.median)} (height x width), all alike"
    return (
        f"{_size(card.smallest)} to {_size(card.largest)}, median {_size(card.median)} "
        f"(height x width); {card.sizes:,} sizes"
    )


def how_read(diagnosis: Diagnosis) -> tuple[str, ...]:
    """The decisions taken in reading, without what `facts` says already."""
    layout, card = diagnosis.layout, diagnosis.card
    notes = card.how if card else layout.notes if layout else ()
    return tuple(text for text in notes if not text.startswith("Layout: "))


def recommended(card: Card) -> str:
    """What to begin with, as options of a training."""
    crop, steps, batch = card.recommended
    return f"augment.crop={crop}, train.steps={steps} ({batch} pictures a step)"


def splits_shown(card: Card) -> tuple[str, ...]:
    """The splits whose classes are told: train and val, or what there is."""
    known = [split for split in ("train", "val") if split in card.splits]
    return tuple(known or list(card.splits)[:2])


def fixes(findings: Iterable[Finding]) -> tuple[str, ...]:
    """What to do, each once, in their order."""
    return tuple(dict.fromkeys(finding.fix for finding in findings))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _size(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
