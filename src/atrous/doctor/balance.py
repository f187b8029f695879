"""Checks of classes: present where they must be, and often enough."""

from collections.abc import Iterator

import numpy as np

from atrous.data.dataset import DataSet
from atrous.doctor.findings import Finding

RARE = 1e-3  # share of the labelled pixels of train
SHOWN = 12  # classes in a sentence


def check_balance(data: DataSet) -> Iterator[Finding]:
    """What is wrong with how classes are divided: a finding a kind, with all its classes."""
    total = np.sum([*data.counts.values()], axis=0)
    train, val = data.counts.get("train"), data.counts.get("val")
    both = train is not None and val is not None
    learned = train if train is not None else total
    nowhere = total == 0
    only_val = (learned == 0) & ~nowhere if train is not None else nowhere & False
    not_val = (val == 0) & (learned > 0) if both else nowhere & False
    rare = (learned > 0) & (learned < RARE * learned.sum())
    kinds = (
        ("C501", nowhere, "without a pixel", "Take out of `classes`, or add pictures of"),
        ("C502", only_val, "without a pixel in train", "Move to train some pictures of"),
        ("C503", not_val, "without a pixel in val", "Move to val some pictures of"),
        (
            "C504",
            rare,
            f"on less than {RARE:.1%} of the labelled pixels",
            "Add pictures of, or weigh up,",
        ),
    )
    for code, there, words, fix in kinds:
        names = [data.classes.names[k] for k in np.flatnonzero(there)]
        if names:
            listed = ", ".join(names[:SHOWN]) + ", ..." * (len(names) > SHOWN)
            count = f"{len(names)} classes" if len(names) > 1 else "a class"
            those = "them" if len(names) > 1 else "it"
            yield Finding(code, "", f"has {count} {words}: {listed}", f"{fix} {those}.")
