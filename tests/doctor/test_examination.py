"""What the doctor finds sound is what is opened; what it refuses is not trained on."""

from pathlib import Path

import numpy as np
import pytest

import atrous
from atrous.data.dataset import open_dataset
from atrous.doctor import doctor, examine
from atrous.errors import DataError
from broken.clean import write_clean
from broken.drawn import plan_drawn, write_drawn
from broken.forms import Encoding, draw_form
from broken.kinds import KINDS

BY_NAME = {kind.name: kind for kind in KINDS}
SMALL = ("model.name=fcn_basic", "augment.crop=64", "train.batch=2", "train.steps=1", "threads=1")


@pytest.mark.parametrize("seed", range(6))
def test_a_sound_set_is_opened_alike_by_the_doctor_and_without_it(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    write_clean(tmp_path / "set", rng, draw_form(rng))
    data = doctor(tmp_path / "set").require_sound()
    other = open_dataset(tmp_path / "set")
    assert data.fingerprint() == other.fingerprint()
    assert data.notes == other.notes


READINGS: tuple[Encoding | None, ...] = ("0/255", "rgb", "1-bit", "alpha", None)


@pytest.mark.parametrize("encoding", READINGS)
def test_correct_readings_need_no_flag(tmp_path: Path, encoding: Encoding | None):
    rng = np.random.default_rng(1)
    if encoding is None:
        write_drawn(plan_drawn(tmp_path / "set", rng, tools=("labelme",)))
    else:
        write_clean(tmp_path / "set", rng, draw_form(rng, encodings=(encoding,)))
    atrous.train(tmp_path / "set", out=tmp_path / "run", set=SMALL)
    assert (
        atrous.load(tmp_path / "run").classes.names == open_dataset(tmp_path / "set").classes.names
    )


@pytest.mark.parametrize(
    "name",
    ["picture_without_mask", "mask_of_half_size", "one_mask_is_a_jpeg", "one_pixel_outside"],
)
def test_training_refuses_what_the_doctor_finds_in_its_words(tmp_path: Path, name: str):
    kind = BY_NAME[name]
    planted = kind.plant(tmp_path / "set", np.random.default_rng(0))
    first = examine(planted.root).errors[0]
    with pytest.raises(DataError) as error:
        atrous.train(planted.root, out=tmp_path / "run", set=SMALL)
    assert error.value.code == first.code == kind.code
    assert error.value.where == str(planted.root / first.where)
    assert first.found.partition(", but ")[0] in error.value.found
    assert not (tmp_path / "run").exists()


def test_what_the_owner_accepts_is_no_error(tmp_path: Path):
    planted = BY_NAME["square_photographs_turned"].plant(tmp_path / "set", np.random.default_rng(2))
    assert {finding.code for finding in examine(planted.root).errors} == {"M402"}
    toml = planted.root / "dataset.toml"
    declared = toml.read_text("utf-8") if toml.exists() else ""
    toml.write_text(f'accept = ["M402"]\n{declared}', "utf-8")
    diagnosis = examine(planted.root)
    assert not diagnosis.errors
    assert any("M402" in sentence for sentence in diagnosis.summary)
    pairs = sum(len(pairs) for pairs in diagnosis.require_sound().splits.values())
    assert pairs == sum(len(pairs) for pairs in open_dataset(planted.root).splits.values())
