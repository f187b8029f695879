"""A clean set raises no error, whatever its layout and encoding.

Twelve sets; ten for each of the seeds that the environment variable ATROUS_SEEDS asks for.
"""

import os
from pathlib import Path

import pytest

from broken.trials import clean_findings

SETS = 10 * int(os.environ.get("ATROUS_SEEDS", "0")) or 12


@pytest.mark.parametrize("seed", range(SETS))
def test_a_clean_set_raises_no_error(seed: int, tmp_path: Path):
    errors = [finding for finding in clean_findings(seed, tmp_path) if finding.severity == "error"]
    assert not errors
