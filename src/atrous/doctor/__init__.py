"""The doctor: what is wrong with a data set, where, what it does to training, how to fix it.

Every pair of files is looked at once; nothing is ever written into the data set.
"""

import sys
from pathlib import Path
from typing import Literal

from atrous.callable_module import make_callable
from atrous.doctor.diagnosis import Diagnosis
from atrous.doctor.examination import examine
from atrous.doctor.findings import KINDS, Finding
from atrous.types import LayoutName, Task, Track

__all__ = ["KINDS", "Diagnosis", "Finding", "doctor", "examine"]


def doctor(
    data: str | Path,
    *,
    fix: str | Path | None = None,
    task: Task | Literal["auto"] = "auto",
    layout: LayoutName | Literal["auto"] = "auto",
    track: Track | None = None,
) -> Diagnosis:
    """What is wrong with a data set, where, and how to fix it; a corrected copy goes to `fix`.

    Bad data is never raised: it is the answer.

    Raises:
        RunError: `fix` is no empty folder outside of the data set.
    """
    from atrous.doctor.fix import write_fixed

    diagnosis = examine(data, task=task, layout=layout, track=track)
    if fix is not None:
        write_fixed(diagnosis, Path(fix), track=track)
    return diagnosis


make_callable(sys.modules[__name__])
