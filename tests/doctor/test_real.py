"""What the doctor says of real data sets, read without a flag."""

from pathlib import Path

import pytest

from atrous.doctor import examine
from atrous.doctor.fix import write_fixed

LABELME = "labelme_examples/semantic_segmentation/data_annotated"
SAID = {  # folder: (pairs, classes, codes of errors, codes of warnings)
    "crackforest": (118, 2, set(), set()),
    "isbi_membrane": (30, 2, set(), set()),
    "cocostuff21": (21, 87, set(), {"C502", "C503", "C504", "C505", "M412"}),
    LABELME: (3, 21, set(), {"A701", "A702", "C501", "C502", "C503"}),
    "coco_panoptic2/sample_data": (2, 133, set(), {"C501", "C502", "C503"}),
}


@pytest.mark.parametrize("folder", SAID)
def test_sound_sets_have_no_error_and_the_warnings_they_deserve(shared_data: Path, folder: str):
    pairs, num_classes, errors, warnings = SAID[folder]
    diagnosis = examine(shared_data / folder)
    assert {f.code for f in diagnosis.errors} == errors
    assert {f.code for f in diagnosis.findings if f.severity == "warning"} == warnings
    data = diagnosis.require_sound()
    assert (len(data.files), len(data.classes)) == (pairs, num_classes)


def test_camvids_val_lies_in_a_drive_of_train(shared_data: Path):
    diagnosis = examine(shared_data / "camvid")
    data, (finding,) = diagnosis.require_sound(), diagnosis.findings
    assert (len(data.files), len(data.classes), finding.code) == (468, 11, "D606")
    assert finding.where.startswith("val/0016E5_") and "31 apart" in finding.found


def test_masks_saved_as_jpeg_are_errors_and_the_copy_holds_two_labels(
    shared_data: Path, tmp_path: Path
):
    diagnosis = examine(shared_data / "kvasir5_jpegmasks")
    assert [f.code for f in diagnosis.errors] == ["M406"] * 5 and diagnosis.exit_code == 1
    write_fixed(diagnosis, tmp_path / "copy")
    data = examine(tmp_path / "copy").require_sound()
    assert {label for file in data.files for label in file.labels} == {0, 1}
    assert data.classes.task == "binary" and len(data.files) == 5


def test_masks_ruined_by_line_endings_are_each_named(shared_data: Path):
    diagnosis = examine(shared_data / "lums_road_as_committed")
    assert {f.code for f in diagnosis.findings} == {"F205"} and diagnosis.data is None
    assert len({f.where for f in diagnosis.findings}) == 40
