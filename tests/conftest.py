"""What every test may rely on: the shared data sets, few and repeatable examples, one thread."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# No test may reach the network; the libraries that would ask a hub are told so.
os.environ["HF_HUB_OFFLINE"] = "1"

settings.register_profile("here", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_runtest_setup() -> None:
    # Not imported for this: most tests need no torch. The other libraries: scripts/test.
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; ATROUS_SHARED names another than ../shared/data."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ATROUS_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(
            f"the shared data sets are not at {folder}; ATROUS_SHARED may name their folder"
        )
    return folder
