import numpy as np
import pytest

from atrous.errors import WeightsError
from atrous.weights import read_weights, write_weights

TENSORS = {
    "b": np.array([[1, 2], [3, 4]], np.float32),
    "a": np.array([7]),
    "n": np.array(3),  # no dimensions, as BatchNorm counts
}
ABOUT = {"kind": "model", "step": 3, "words": "grün"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, TENSORS, ABOUT)
    return path


def test_what_is_written_is_read(file):
    weights = read_weights(file)
    assert weights.about == ABOUT
    assert weights.tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert weights.tensors[name].dtype == array.dtype
        assert weights.tensors[name].shape == array.shape
        assert np.array_equal(weights.tensors[name], array)


def test_the_same_content_gives_the_same_bytes(file, tmp_path):
    again = tmp_path / "again"
    write_weights(again, dict(reversed(TENSORS.items())), dict(reversed(ABOUT.items())))
    assert again.read_bytes() == file.read_bytes()


def test_any_flipped_bit_is_found(file):
    content = file.read_bytes()
    for i in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[i // 8] ^= 1 << i % 8
        file.write_bytes(flipped)
        with pytest.raises(WeightsError):
            read_weights(file)


def test_any_truncation_is_found(file):
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(WeightsError):
            read_weights(file)


def test_a_damaged_tensor_is_named(file):
    content = bytearray(file.read_bytes())
    at = content.index(np.array([1, 2], np.float32).tobytes())
    content[at] ^= 1
    file.write_bytes(content)
    with pytest.raises(WeightsError, match="tensor b"):
        read_weights(file)


def test_a_newer_format_is_refused(file, monkeypatch):
    monkeypatch.setattr("atrous.weights.FORMAT", 99)
    write_weights(file, TENSORS, ABOUT)
    monkeypatch.undo()
    with pytest.raises(WeightsError):
        read_weights(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.safetensors.*cannot be read"):
        read_weights(tmp_path / "none.safetensors")
