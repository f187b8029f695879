"""Cityscapes, ADE20K, CVAT, nnU-Net and CamVid as it was; and the real sets as they lie there."""

import json
from pathlib import Path

import pytest
from laid import index_of, lay, names, pool, refused, write

from atrous.classes import colour_label
from atrous.data.layouts import find_layout

# Cityscapes.


def cityscapes(root: Path, truth: str = "gtFine", numbers: str = "labelIds") -> Path:
    for place in ("train/aachen/a_1", "train/bonn/b_1", "val/köln/c_1", "test/berlin/t_1"):
        lay(root, f"leftImg8bit/{place}_leftImg8bit.png")
        if not place.startswith("test"):
            ends = (f"{numbers}.png", "color.png", "instanceIds.png", "polygons.json")
            lay(root, *(f"{truth}/{place}_{truth}_{end}" for end in ends))
    return root


def test_cityscapes_is_read_by_its_names(tmp_path: Path):
    layout = find_layout(cityscapes(tmp_path))
    assert layout.kind == "Cityscapes"
    assert names(layout, "train") == ["aachen/a_1", "bonn/b_1"]
    assert names(layout, "val") == ["köln/c_1"]
    mask = layout.splits["val"][0].mask
    assert mask == tmp_path / "gtFine/val/köln/c_1_gtFine_labelIds.png"
    assert [path.name for path in layout.unlabelled] == ["t_1_leftImg8bit.png"]
    assert not layout.problems


def test_label_ids_become_train_ids(tmp_path: Path):
    layout = find_layout(cityscapes(tmp_path))
    assert layout.names is not None and layout.colours is not None and len(layout.names) == 19
    known = {
        "road": (7, (128, 64, 128)),
        "sidewalk": (8, (244, 35, 232)),
        "pole": (17, (153, 153, 153)),
        "terrain": (22, (152, 251, 152)),
        "bus": (28, (0, 60, 100)),
        "bicycle": (33, (119, 11, 32)),
    }
    for name, (label, colour) in known.items():
        at = layout.names.index(name)
        assert (index_of(layout, label), layout.colours[at]) == ([at], colour)
    trained = [label for label in range(-1, 34) if index_of(layout, label) != [255]]
    assert trained == [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert index_of(layout, *trained) == list(range(19))
    assert index_of(layout, 34) == [None]


def test_what_labels_stand_for_is_said_unless_dataset_toml_says_it(tmp_path: Path):
    said = "Label ids are mapped to the 19 train ids."
    assert said in find_layout(cityscapes(tmp_path)).notes
    assert said in find_layout(write(tmp_path, "dataset.toml", "[remap]", "4 = 'road'")).notes
    write(tmp_path, "dataset.toml", "classes = ['road', 'other']", "[remap]", "7 = 0", "8 = 1")
    layout = find_layout(tmp_path)
    assert (layout.names, layout.remap) == (("road", "other"), {7: 0, 8: 1})
    assert said not in layout.notes
    assert "Masks are those of gtFine, in label ids." in layout.notes


def test_train_ids_stand_for_themselves(tmp_path: Path):
    layout = find_layout(cityscapes(tmp_path, numbers="labelTrainIds"))
    assert index_of(layout, 0, 7, 18, 19, 255, -1) == [0, 7, 18, None, 255, 255]
    both = find_layout(cityscapes(tmp_path))
    assert both.splits["train"][0].mask.name.endswith("labelIds.png")


def test_coarse_masks_and_the_archives_own_folders_are_read(tmp_path: Path):
    cityscapes(tmp_path / "leftImg8bit_trainvaltest", truth="gtCoarse")
    root = tmp_path / "coarse"
    for place in ("train/aachen/a_1", "train_extra/ulm/u_1", "val/bonn/b_1"):
        lay(root, f"leftImg8bit/{place}_leftImg8bit.png")
        lay(root, f"gtCoarse/{place}_gtCoarse_labelIds.png")
    assert names(find_layout(root), "train") == ["aachen/a_1", "ulm/u_1"]
    lay(tmp_path / "gtFine_trainvaltest", "gtFine/train/bonn/b_1_gtFine_labelIds.png")
    lay(tmp_path / "gtFine_trainvaltest", "gtFine/train/aachen/a_1_gtFine_labelIds.png")
    layout = find_layout(tmp_path)
    assert names(layout) == ["aachen/a_1", "bonn/b_1"]
    assert len(layout.unlabelled) == 2


def test_cityscapes_without_numbers_is_told(tmp_path: Path):
    error = refused(cityscapes(tmp_path, numbers="ids"), "gtFine: holds no mask in numbers")
    assert error.code == "S109"


# ADE20K.


def ade20k(root: Path, prefix: str = "ADE_") -> Path:
    for place in ("training/{}train_1", "training/{}train_2", "validation/{}val_1"):
        name = place.format(prefix)
        lay(root, f"images/{name}.jpg", f"annotations/{name}.png")
    return root


@pytest.mark.parametrize("nested", ["", "ADEChallengeData2016"])
def test_ade20k_is_read_with_its_names(tmp_path: Path, nested: str):
    layout = find_layout(ade20k(tmp_path / nested).parent if nested else ade20k(tmp_path))
    assert (layout.kind, names(layout, "val")) == ("ADE20K", ["ADE_val_1"])
    assert layout.names is not None and len({*layout.names}) == 150
    known = {1: "wall", 13: "person", 21: "car", 77: "boat", 128: "bicycle", 150: "flag"}
    assert {k: layout.names[(index_of(layout, k)[0] or 0)] for k in known} == known
    assert index_of(layout, 0, 255, 151) == [255, 255, None]


def test_ade20ks_list_of_names_is_read(tmp_path: Path):
    rows = ["1\t0.15\t11664\t1172\t1\twall", "2\t0.1\t6046\t612\t1\tbuilding, edifice"]
    head = "Idx\tRatio\tTrain\tVal\tStuff\tName"
    layout = find_layout(write(ade20k(tmp_path, prefix=""), "objectInfo150.txt", head, *rows))
    assert (layout.kind, layout.names) == ("ADE20K", ("wall", "building"))
    assert index_of(layout, 0, 1, 2, 3) == [255, 0, 1, None]
    write(tmp_path, "objectInfo150.txt", head, rows[1])
    assert refused(tmp_path, "objectInfo150.txt: is no list").code == "S109"


def test_the_same_folders_of_other_sets_are_no_ade20k_unless_asked(tmp_path: Path):
    root = ade20k(tmp_path, prefix="")
    assert find_layout(root).kind == "images/ and annotations/"
    assert find_layout(root).remap == {}
    assert find_layout(root, "ade20k").kind == "ADE20K"
    assert find_layout(write(root, "dataset.toml", 'layout = "ade20k"')).kind == "ADE20K"


# CVAT.


def cvat(root: Path, *labels: str) -> Path:
    lay(
        root, *(f"JPEGImages/{n}.jpg" for n in "abc"), *(f"SegmentationClass/{n}.png" for n in "ab")
    )
    write(root, "ImageSets/Segmentation/default.txt", "a", "b")
    return write(root, "labelmap.txt", "# label:color_rgb:parts:actions", *labels)


def test_cvats_colours_are_read_background_first(tmp_path: Path):
    root = cvat(
        tmp_path, "car:250,50,83::", "background:0,0,0::", "void:9,9,9::", "road:1,2,3:a,b:c"
    )
    layout = find_layout(root)
    assert (layout.kind, layout.names) == ("CVAT", ("background", "car", "road"))
    assert layout.colours == ((0, 0, 0), (250, 50, 83), (1, 2, 3))
    colours = [colour_label(c) for c in ((0, 0, 0), (250, 50, 83), (1, 2, 3), (9, 9, 9))]
    assert index_of(layout, *colours) == [0, 1, 2, 255]
    assert (names(layout), [p.name for p in layout.unlabelled]) == (["a", "b"], ["c.jpg"])
    assert any("void is ignored" in note for note in layout.notes)


def test_cvats_lists_divide_and_colours_may_be_those_of_voc(tmp_path: Path):
    root = cvat(tmp_path, "background:::", "car:::")
    write(root, "ImageSets/Segmentation/Train.txt", "a")
    write(root, "ImageSets/Segmentation/Validation.txt", "b")
    layout = find_layout(root)
    assert (names(layout, "train"), names(layout, "val")) == (["a"], ["b"])
    assert layout.colours == ((0, 0, 0), (128, 0, 0))


def test_an_export_of_cvat_without_pictures_is_told(tmp_path: Path):
    lay(tmp_path, "SegmentationClass/a.png")
    error = refused(
        write(tmp_path, "labelmap.txt", "car:1,2,3::"), "and no pictures", "save images"
    )
    assert error.code == "S109"


def test_a_wrong_line_of_cvats_labelmap_is_named(tmp_path: Path):
    refused(cvat(tmp_path, "background:0,0,0::", "car:red::"), "labelmap.txt:3: says 'car:red::'")


def test_a_labelmap_in_another_form_is_not_cvats(tmp_path: Path):
    assert find_layout(cvat(tmp_path, "cat", "dog")).kind == "Pascal VOC"


# nnU-Net.


def nnunet(root: Path, *channels: str, **described: object) -> Path:
    for case in ("road_001", "road_002", "road_003"):
        lay(root, f"labelsTr/{case}.png", *(f"imagesTr/{case}_{c}.png" for c in channels))
    lay(root, *(f"imagesTs/road_004_{channel}.png" for channel in channels))
    labels = {"background": 0, "road": 1, "ignore": 2}
    return write(root, "dataset.json", json.dumps({"labels": labels, **described}))


def test_nnunets_channels_are_bands_and_its_test_pictures_unlabelled(tmp_path: Path):
    layout = find_layout(nnunet(tmp_path, "0000", "0001", "0002"))
    assert names(layout) == ["road_001", "road_002", "road_003"]
    pair = next(p for s in layout.splits.values() for p in s if p.name == "road_002")
    assert pair.image.name == "road_002_0000.png"
    assert [path.name for path in pair.bands] == ["road_002_0001.png", "road_002_0002.png"]
    assert [path.name for path in layout.unlabelled] == ["road_004_0000.png"]
    assert layout.names == ("background", "road")
    assert index_of(layout, 0, 1, 2, 3) == [0, 1, 255, None]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"background": 0, "road": 7}, ("background", "road")),
        ({"road": "7", "background": "0"}, ("background", "road")),
        ({"0": "background", "7": "road"}, ("background", "road")),
    ],
)
def test_nnunets_labels_may_leave_gaps(tmp_path: Path, labels: dict, expected: tuple[str, ...]):
    layout = find_layout(nnunet(tmp_path, "0000", labels=labels))
    assert layout.names == expected
    assert index_of(layout, 0, 7, 1) == [0, 1, None]


def test_fold_0_divides(tmp_path: Path):
    root = nnunet(tmp_path, "0000")
    folds = [{"train": ["road_003"], "val": ["road_001", "gone"]}, {"train": ["gone"], "val": []}]
    layout = find_layout(write(root, "splits_final.json", json.dumps(folds)))
    assert (names(layout, "train"), names(layout, "val")) == (["road_003"], ["road_001"])
    assert "Splits are those of fold 0 in splits_final.json; cases left out: 1." in layout.notes
    assert [(p.code, p.found) for p in layout.problems] == [
        ("S106", "lists 'gone', which is not there")
    ]


def test_a_case_that_lacks_a_channel_is_named(tmp_path: Path):
    root = lay(
        nnunet(tmp_path, "0000", "0001"), "imagesTr/road_009_0001.png", "labelsTr/road_009.png"
    )
    problem = refused(root, "road_009_0001.png: is of a case with the channels 0001", "0000, 0001")
    assert problem.code == "P302"
    assert len(find_layout(root).problems) == 1


def test_numbers_of_frames_are_no_channels(tmp_path: Path):
    for n in ("0001", "0002"):
        lay(tmp_path, f"imagesTr/drive_{n}.png", f"labelsTr/drive_{n}.png")
    layout = find_layout(tmp_path)
    assert names(layout) == ["drive_0001", "drive_0002"]
    assert not layout.problems


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"labels": {"background": 0, "whole": [1, 2]}}, "classes that are regions"),
        ({"labels": {"background": 0, "road": -3}}, "gives 'road' the label -3"),
        ({"labels": []}, "has no table `labels`"),
    ],
)
def test_what_nnunet_may_say_and_we_do_not_read_is_told(tmp_path: Path, described: dict, said: str):
    assert refused(nnunet(tmp_path, "0000", **described), "dataset.json", said).code == "S109"


def test_volumes_are_told(tmp_path: Path):
    lay(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    assert refused(tmp_path, "a.nii.gz: is a volume", "3-D volumes are not read").code == "S109"


# CamVid as it was, and planes.


def test_the_first_camvid_is_read_with_its_colours(tmp_path: Path):
    frames = ("0001TP_006690", "0006R0_f00930")
    lay(tmp_path, *(f"701_StillsRaw_full/{frame}.png" for frame in frames))
    lay(tmp_path, *(f"LabeledApproved_full/{frame}_L.png" for frame in frames))
    write(tmp_path, "label_colors.txt", "64 128 64\tAnimal", "192 0 128\tArchway", "0 0 0\t\tVoid")
    layout = find_layout(tmp_path)
    assert (layout.kind, layout.names) == ("CamVid", ("Animal", "Archway"))
    assert names(layout) == list(frames)
    assert index_of(layout, colour_label((192, 0, 128)), colour_label((0, 0, 0))) == [1, 255]


# The real sets, as they lie there; the counts are those of their READMEs.


@pytest.mark.parametrize(
    ("folder", "kind", "counts", "classes"),
    [
        ("camvid", "CamVid", {"train": 367, "val": 101}, 11),
        ("rock_ct4", "images/ and masks/", {"train": 707, "val": 23, "test": 26}, None),
        ("crackforest", "images/ and masks/", {"train": 57, "val": 15, "test": 46}, None),
        ("chasedb1_vessels", "images/ and masks/", {"train": 16, "val": 4, "test": 8}, None),
        ("isbi_membrane", "images/ and masks/", {"train": 24, "val": 6}, None),
        ("cocostuff21", "images/ and masks/", {"train": 13, "val": 8}, None),
        ("kvasir5_jpegmasks", "images/ and masks/", {"train": 4, "val": 1}, None),
        ("lums_road_as_committed", "a folder for each split", {"val": 40}, 5),
    ],
)
def test_real_sets_are_recognised_as_they_are(
    shared_data: Path, folder: str, kind: str, counts: dict[str, int], classes: int | None
):
    layout = find_layout(shared_data / folder)
    assert layout.kind == kind
    assert {split: len(pairs) for split, pairs in layout.splits.items()} == counts
    assert (len(layout.names) if layout.names else None) == classes
    assert (layout.problems, layout.unlabelled) == ((), ())
    assert layout.planes is None


def test_hostile_files_are_no_data_set(shared_data: Path):
    refused(shared_data / "bad_images", "which is no layout that is known")


def test_a_plain_folder_keeps_its_meaning(tmp_path: Path):
    layout = find_layout(pool(tmp_path, "a", "b"))
    assert (layout.names, layout.colours, layout.remap) == (None, None, {})
