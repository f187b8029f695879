"""The doctor's answer."""

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrous.data.dataset import DataSet
from atrous.data.layouts import Layout
from atrous.doctor.card import Card
from atrous.doctor.findings import KINDS, SEVERITIES, Finding, Severity
from atrous.errors import DataError


@dataclass(frozen=True)
class Diagnosis:
    """What was found in a data set, errors first.

    `layout` is None where no layout was recognised. `data` is the opened data set and `card` its
    summary, as far as it can be read: pairs with errors are left out; None where no label space
    could be found. `accepted` are codes that `dataset.toml` accepts: they are no errors here.
    `shift` is how far all masks lie below and right of where they belong, in rows and columns;
    `on` the label that 255 stands for where it has two meanings.
    """

    root: Path
    layout: Layout | None
    findings: tuple[Finding, ...]
    data: DataSet | None
    card: Card | None
    accepted: frozenset[str] = frozenset()
    shift: tuple[int, int] = (0, 0)
    on: int = 1

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that forbid training."""
        return tuple(
            f for f in self.findings if f.severity == "error" and f.code not in self.accepted
        )

    @property
    def exit_code(self) -> int:
        """0 no errors, 1 errors, 2 the folder is not understood."""
        return 2 if self.layout is None else 1 if self.errors else 0

    @property
    def count(self) -> dict[Severity, int]:
        """Findings by severity."""
        return {s: sum(f.severity == s for f in self.findings) for s in SEVERITIES}

    @property
    def summary(self) -> tuple[str, ...]:
        """A sentence on errors that are accepted and on warnings, if there are any."""
        codes = Counter(
            f.code
            for f in self.findings
            if f.severity == "warning" or (f.severity == "error" and f.code in self.accepted)
        )
        if not codes:
            return ()
        listed = ", ".join(f"{KINDS[code].title} ({code})" for code in codes)
        command = f"atrous doctor {shlex.quote(str(self.root))}"
        return (f"The doctor warns: {listed}. `{command}` says where.",)

    def require_sound(self) -> DataSet:
        """The data set, if there is no error in it.

        Raises:
            DataError: the first error, and how many more there are.
        """
        if not self.errors and self.data is not None:
            return self.data
        nothing = Finding("S110", "", "has no pair that can be used", "See what is accepted.")
        first, *rest = self.errors or [nothing]
        more = len(rest)
        others = f" (and {more} more error{'s' * (more > 1)})" if more else ""
        found, _, allowed = first.found.partition(", but ")
        at = " at row {}, column {}".format(*first.pixel) if first.pixel else ""
        raise DataError(
            self.root / first.where,
            found=f"[{first.code}] {found}{at}{others}",
            allowed=allowed or KINDS[first.code].effect,
            fix=f"{first.fix} `atrous doctor {shlex.quote(str(self.root))}` shows all.",
            code=first.code,
            pixel=first.pixel,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "root": str(self.root),
            "count": self.count,
            "accepted": sorted(self.accepted),
            "findings": [finding.to_dict() for finding in self.findings],
            "card": self.card.to_dict() if self.card else None,
        }
