"""What this machine has."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# Of a container: time, and the period that it is of; in version 2 of cgroups, then in version 1.
QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))


def cores() -> int:
    """Cores that this process may use: by taskset, and by the CPU time of its container."""
    if hasattr(os, "sched_getaffinity"):
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    return min(there, quota(CGROUPS) or there)


def memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's; 0 = unknown."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no such call
        return 0
    limits = [there]
    for file in ("memory.max", "memory/memory.limit_in_bytes"):  # "max" is no limit
        with suppress(OSError, ValueError):
            limits.append(int((CGROUPS / file).read_text()))
    return min(limits)


@cache
def quota(groups: Path) -> int:
    """The cores that a container's CPU time is worth, rounded up; 0 = it has no limit."""
    for files in QUOTAS:
        try:
            time, period = map(int, " ".join((groups / file).read_text() for file in files).split())
        except (OSError, ValueError):  # another version; "max", which is no limit
            continue
        if time > 0 and period > 0:
            return -(-time // period)
    return 0
