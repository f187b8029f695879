import multiprocessing
import sys

import numpy as np
import pytest
import torch

from atrous.kernels import compiled
from atrous.kernels.compiled import in_strips
from atrous.kernels.resize import argmax_at_pixels
from atrous.types import Grid

LOGITS = np.random.default_rng(0).normal(size=(5, 128, 128)).astype(np.float32)


def mask():
    return argmax_at_pixels(LOGITS, grid=Grid(8), size=(1024, 1024), threads=2)


def test_a_parallel_kernel_leaves_the_thread_count_of_torch_alone():
    """The layers of numba set it for the whole process, and the bytes of a training change."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    mask()
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


def test_strips_cover_every_row_once():
    for rows in (0, 1, 2, 7, 100):
        seen = np.zeros(rows, int)

        def work(first, end, seen=seen):
            seen[first:end] += 1

        in_strips(work, rows, threads=2)
        assert (seen == 1).all()


@pytest.mark.parametrize(
    ("threads", "rows", "strips"),
    [(1, 9, 1), (3, 9, 3), (0, 9, 4), (99, 9, 4), (4, 2, 2), (0, 0, 1)],
)
def test_there_is_a_strip_for_each_thread_but_no_more_than_cores_or_rows(
    threads, rows, strips, monkeypatch
):
    monkeypatch.setattr(compiled, "cores", lambda: 4)
    seen = []
    in_strips(lambda *strip: seen.append(strip), rows, threads=threads)
    assert len(seen) == strips


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_may_call_a_parallel_kernel():
    expected = mask()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert np.array_equal(pool.apply_async(mask).get(timeout=60), expected)
