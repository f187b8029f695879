"""Cores and memory: those of the process, and no more than its container pays for."""

import os

import pytest

from atrous import machine


def container(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def v1(quota, period="100000\n"):
    return {"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, 0),
        ({"cpu.max": "max 100000\n"}, 0),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "1000 100000\n"}, 1),
        ({"cpu.max": "of another kind\n"}, 0),
        ({"cpu.max": ""}, 0),
        ({"cpu.max": "100000 0\n"}, 0),
        (v1("-1\n"), 0),
        (v1("250000\n"), 3),
        ({"cpu/cpu.cfs_quota_us": "250000\n"}, 0),
    ],
    ids=str,
)
def test_the_time_of_a_container_is_worth_whole_cores(files, found, tmp_path):
    assert machine.quota(container(tmp_path, files)) == found


def test_cores_are_no_more_than_the_container_has_time_for(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {*range(8)}, raising=False)
    for text, found in (("300000 100000", 3), ("max 100000", 8), ("1600000 100000", 8)):
        folder = tmp_path / text.partition(" ")[0]
        folder.mkdir()
        monkeypatch.setattr(machine, "CGROUPS", container(folder, {"cpu.max": text}))
        assert machine.cores() == found


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="Windows does not tell its memory")
@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_the_memory_of_a_container_is_what_it_is_given(file, tmp_path, monkeypatch):
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for told, expected in (("1000000\n", 1000000), ("max\n", whole), (f"{2**62}\n", whole)):
        monkeypatch.setattr(machine, "CGROUPS", container(tmp_path, {file: told}))
        assert machine.memory() == expected
