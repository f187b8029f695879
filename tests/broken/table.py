"""Counts what the doctor finds: `python -m tests.broken.table --seeds 20`.

Prints the tables of docs/results.md: planted defects and how many were found, near-misses and
clean sets and how many were flagged. `--only WORD` takes the kinds whose name or code has the
word in it; `--misses` tells what was found instead.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(Path(__file__).parents[1]))
    __package__ = "broken"

from .kinds import KINDS, NEAR_MISSES
from .planted import Kind
from .trials import clean_findings, counted, trials

CLEAN = 10  # sets for each seed


def main() -> None:
    """The tables, on stdout; misses on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="")
    parser.add_argument("--misses", action="store_true")
    options = parser.parse_args()
    seeds, begun = range(options.seeds), time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        defects(_named(KINDS, options.only), seeds, folder, tell=options.misses)
        near_misses(_named(NEAR_MISSES, options.only), seeds, folder, tell=options.misses)
        if not options.only:
            clean_sets(options.seeds * CLEAN, folder)
    print(f"\n{time.perf_counter() - begun:.0f} s")


def defects(kinds: Iterable[Kind], seeds: range, folder: Path, *, tell: bool) -> None:
    """A line for each kind: how many of its defects were found."""
    print("| code | planted | kind | seeds | found | other errors |\n|---|---|---|--:|--:|---|")
    for kind in kinds:
        found, others = 0, Counter[str]()
        for trial in trials(kind, seeds, folder):
            found += trial.found
            others.update(trial.strangers)
            if tell and not trial.found:
                print(kind.name, trial.told(), file=sys.stderr)
        how = "statistical" if kind.statistical else "exact"
        print(
            f"| {kind.code} | {_words(kind)} | {how} | {len(seeds)} | {found} | {_listed(others)} |"
        )


def near_misses(kinds: Iterable[Kind], seeds: range, folder: Path, *, tell: bool) -> None:
    """A line for each near-miss: how many were flagged."""
    print("\n| code | near-miss | seeds | flagged | other errors |\n|---|---|--:|--:|---|")
    for kind in kinds:
        flagged, others = 0, Counter[str]()
        for trial in trials(kind, seeds, folder):
            flagged += trial.flagged
            others.update(trial.strangers)
            if tell and (trial.flagged or trial.strangers):
                print(kind.name, trial.told(), file=sys.stderr)
        print(f"| {kind.code} | {_words(kind)} | {len(seeds)} | {flagged} | {_listed(others)} |")


def clean_sets(count: int, folder: Path) -> None:
    """One line: of how many clean sets anything was said."""
    said = {severity: Counter[str]() for severity in ("error", "warning", "note")}
    for seed in range(count):
        findings = clean_findings(seed, folder)
        for severity, codes in said.items():
            codes.update(counted(findings, severity))
    print("\n| clean sets | errors | warnings | notes |\n|--:|---|---|---|")
    print(f"| {count} | {' | '.join(_listed(codes) for codes in said.values())} |")


def _named(kinds: tuple[Kind, ...], word: str) -> list[Kind]:
    return [kind for kind in kinds if word in kind.name or word in kind.code]


def _words(kind: Kind) -> str:
    return kind.name.replace("_", " ")


def _listed(codes: Counter[str]) -> str:
    return ", ".join(f"{code} in {count}" for code, count in sorted(codes.items())) or "none"


if __name__ == "__main__":
    main()
