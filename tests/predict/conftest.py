from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported file that calls each pixel by its strongest colour."""
    from tiny_models import write_tiny

    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.onnx")
