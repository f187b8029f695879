"""A defect is planted, the doctor examines it: was it found, and what else was said?"""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atrous.doctor import Finding, examine

from .clean import write_clean
from .drawn import plan_drawn, write_drawn
from .forms import draw_form
from .planted import Kind, Planted

_DRAWN = 0.15  # of the clean sets


class Trial(NamedTuple):
    """A planted defect, or a near-miss, and all that was found in it."""

    seed: int
    planted: Planted
    findings: tuple[Finding, ...]

    @property
    def found(self) -> bool:
        """Whether a finding has the code, names a file and, if there is one, the pixel."""
        planted = self.planted
        return any(
            finding.code == planted.code
            and (not planted.files or _names(finding, planted.files))
            and (planted.pixel is None or finding.pixel == planted.pixel)
            for finding in self.findings
        )

    @property
    def flagged(self) -> bool:
        """Whether anything has the code, wherever it is."""
        return any(finding.code == self.planted.code for finding in self.findings)

    @property
    def strangers(self) -> set[str]:
        """Codes of errors that are neither the planted one nor follow from it."""
        errors = {finding.code for finding in self.findings if finding.severity == "error"}
        return errors - {self.planted.code} - self.planted.also

    def told(self) -> str:
        """What was planted and what was found, for messages."""
        planted = self.planted
        wanted = f"{planted.code} {planted.files[:3]} {planted.pixel or ''}"
        got = "".join(f"\n    {f.code} {f.where} {f.pixel or ''} {f.found}" for f in self.findings)
        return f"seed {self.seed}: planted {wanted}, found:{got or ' nothing'}"


def trials(kind: Kind, seeds: range, folder: Path) -> Iterator[Trial]:
    """One trial a seed, in folders below `folder` that are removed after each."""
    for seed in seeds:
        root = folder / f"{kind.name} {seed}"
        planted = kind.plant(root, generator(kind.name, seed))
        yield Trial(seed, planted, examine(root).findings)
        shutil.rmtree(root)


def clean_findings(seed: int, folder: Path) -> tuple[Finding, ...]:
    """What is found in a clean set of any form, which is removed again."""
    root = folder / f"clean {seed}"
    write_any(root, generator("clean", seed))
    findings = examine(root).findings
    shutil.rmtree(root)
    return findings


def write_any(root: Path, rng: np.random.Generator) -> None:
    """A clean set of any layout and encoding, drawn ones among them."""
    if rng.random() < _DRAWN:
        write_drawn(plan_drawn(root, rng, pairs=12))
    else:
        write_clean(root, rng, draw_form(rng, sizes=(96, 160)), pairs=12)


def generator(kind: str, seed: int) -> np.random.Generator:
    """Random numbers of a kind and a seed; those of other kinds are unlike them."""
    return np.random.default_rng([seed, *kind.encode()])


def counted(findings: tuple[Finding, ...], severity: str) -> Counter[str]:
    """How many sets a code was said of: once each, for adding up."""
    return Counter({finding.code for finding in findings if finding.severity == severity})


def _names(finding: Finding, files: tuple[str, ...]) -> bool:
    """Whether the finding is of one of the files, or of a line of it (`train.txt:3`)."""
    told = (finding.where, *finding.others)
    return any(where == file or where.startswith(f"{file}:") for where in told for file in files)
