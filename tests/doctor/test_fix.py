"""A corrected copy has no error left, and the original is not touched."""

import hashlib
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from atrous.data.dataset import open_dataset
from atrous.doctor import doctor, examine
from atrous.doctor.fix import LOG, write_fixed
from atrous.errors import DataError, RunError
from broken.clean import write_clean
from broken.forms import draw_form
from broken.kinds import KINDS
from broken.planted import Kind

# What no copy can mend: nothing was recognised, or nothing is left.
BEYOND = {"S105", "S109", "C506"}
ALL_LOST = {"masks_of_converted_line_ends", "float_arrays"}
MENDED = [k for k in KINDS if k.code not in BEYOND and k.name not in ALL_LOST]


def clean(root: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    write_clean(root, rng, draw_form(rng))


def contents(root: Path) -> dict[str, str]:
    """Each file below a folder, with the hash of its bytes and its time."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        + str(path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("kind", MENDED, ids=lambda k: k.name)
def test_the_copy_has_no_error_left_and_the_original_is_as_it_was(kind: Kind, tmp_path: Path):
    planted = kind.plant(tmp_path / "set", np.random.default_rng(0))
    before = contents(planted.root)
    diagnosis = examine(planted.root)
    fixed = write_fixed(diagnosis, tmp_path / "fixed")
    assert contents(planted.root) == before
    after = examine(tmp_path / "fixed")
    assert not after.errors, [(f.code, f.where, f.found) for f in after.errors]
    lines = [json.loads(line) for line in fixed.log.read_text("utf-8").splitlines()]
    assert len(lines) == fixed.changes + fixed.left_out
    if diagnosis.errors:
        assert lines


def test_a_sound_set_is_copied_pixel_for_pixel(tmp_path: Path):
    clean(tmp_path / "set", 3)
    doctor(tmp_path / "set", fix=tmp_path / "copy")
    before, after = open_dataset(tmp_path / "set"), open_dataset(tmp_path / "copy")
    assert (tmp_path / "copy" / LOG).read_text() == ""
    assert before.classes.names == after.classes.names
    for split, pairs in before.splits.items():
        copies = {pair.name: pair for pair in after.split(split)}
        assert len(copies) == len(pairs)
        for pair in pairs:
            one, other = before.read(pair), after.read(copies[pair.name])
            assert np.array_equal(one.image, other.image)
            assert np.array_equal(one.mask, other.mask)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_set_that_may_only_be_read_is_enough(tmp_path: Path):
    root = tmp_path / "set"
    clean(root, 4)
    for path in (root, *root.rglob("*")):
        path.chmod(stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))
    try:
        doctor(root, fix=tmp_path / "copy")
    finally:
        for path in (root, *root.rglob("*")):
            path.chmod(stat.S_IRWXU)
    assert not examine(tmp_path / "copy").errors


def test_a_copy_goes_into_an_empty_folder_of_its_own(tmp_path: Path):
    clean(tmp_path / "set", 5)
    for place in (tmp_path / "set" / "fixed", tmp_path / "full"):
        if place.name == "full":
            place.mkdir()
            (place / "mine.txt").touch()
        with pytest.raises(RunError):
            doctor(tmp_path / "set", fix=place)


def test_nothing_can_be_copied_of_a_folder_that_is_no_data_set(tmp_path: Path):
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="no layout that is known"):
        doctor(tmp_path / "set", fix=tmp_path / "copy")


def test_what_is_accepted_stays_as_it_is_and_is_accepted_in_the_copy(tmp_path: Path):
    kind = next(kind for kind in KINDS if kind.name == "square_photographs_turned")
    root = kind.plant(tmp_path / "set", np.random.default_rng(2)).root
    toml = root / "dataset.toml"
    declared = toml.read_text("utf-8") if toml.exists() else ""
    toml.write_text(f'accept = ["M402"]\n{declared}', "utf-8")
    diagnosis = examine(root)
    assert "M402" in {finding.code for finding in diagnosis.findings} and not diagnosis.errors
    fixed = write_fixed(diagnosis, tmp_path / "copy")
    assert fixed.changes == fixed.left_out == 0
    copy = examine(tmp_path / "copy")
    assert copy.accepted == {"M402"} and not copy.errors


def test_a_copy_that_was_broken_off_leaves_nothing_and_can_be_made_again(tmp_path: Path):
    clean(tmp_path / "set", 6)
    diagnosis, out = examine(tmp_path / "set"), tmp_path / "copy"

    def broken_off(items):
        yield from items[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_fixed(diagnosis, out, track=broken_off)
    assert not out.exists()
    (out / ".atrous-killed" / "images").mkdir(parents=True)  # as kill -9 leaves it
    fixed = write_fixed(diagnosis, out)
    assert fixed.log == out / LOG and fixed.log.exists()
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["changes.jsonl", "dataset.toml", "images", "masks"]
    )
