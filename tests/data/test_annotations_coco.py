"""COCO files: what they list is painted, crowds first; what is wrong with one entry stays there."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import SIZE, codes, drawn, nonsense, pairs_of, picture, refusal, squares, write
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.layouts import Layout, find_layout
from atrous.data.shapes import runs_of, text_of_counts
from atrous.errors import DataError


def square(left: int, top: int, side: int = 2) -> list[list[float]]:
    """A ring around whole pixels: COCO's whole numbers are the corners of pixels."""
    right, bottom = left + side, top + side
    return [[left, top, right, top, right, bottom, left, bottom]]


def image(number: Any, name: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1], **more}


def annotation(number: Any, category: Any, segmentation: Any, **more: Any) -> dict[str, Any]:
    box = [0, 0, 1, 1]
    of = {"image_id": number, "category_id": category, "segmentation": segmentation, "bbox": box}
    return {"id": 70, **of, **more}


CATEGORIES = [{"id": 9, "name": "car"}, {"id": 2, "name": "tree"}]


def coco(
    images: Any = None, annotations: Any = None, categories: Any = CATEGORIES
) -> dict[str, Any]:
    return {"images": images, "categories": categories, "annotations": annotations}


def two(root: Path, *annotations: dict[str, Any], **more: Any) -> Path:
    """Pictures a and b, with annotations of picture 1, which is a, and one square of b."""
    for name in "ab":
        picture(root / f"images/{name}.jpg")
    images = [image(1, "a.jpg"), image(2, "b.jpg")]
    entries = [*annotations, annotation(2, 2, square(0, 0))]
    write(root / "annotations/instances.json", coco(images, entries, **more))
    return root


def test_classes_are_the_background_and_the_categories_by_id(tmp_path: Path):
    layout = find_layout(two(tmp_path, annotation(1, 9, square(1, 2))))
    assert (layout.kind, layout.names) == ("COCO", ("background", "tree", "car"))
    assert np.array_equal(drawn(layout, "a"), squares((2, 1, 2, 2)))


def test_crowds_come_first_then_the_order_of_the_file(tmp_path: Path):
    crowd = annotation(1, 2, square(0, 0, 5), iscrowd=1)
    shapes = annotation(1, 2, square(1, 1, 3)), annotation(1, 9, square(2, 2, 3)), crowd
    layout = find_layout(two(tmp_path, *shapes))
    assert np.array_equal(drawn(layout, "a"), squares((1, 0, 0, 5), (1, 1, 1, 3), (2, 2, 2, 3)))


def test_polygons_and_both_kinds_of_runs_say_the_same(tmp_path: Path):
    mask = squares((1, 2, 1, 3)) == 1
    runs = {"size": [*SIZE], "counts": runs_of(mask).tolist()}
    text = {"size": [*SIZE], "counts": text_of_counts(runs_of(mask))}
    ring = square(2, 1, 3)
    pairs = [[[2, 1], [5, 1], [5, 4], [2, 4]]]
    for form in (runs, text, ring, ring[0], pairs[0]):
        layout = find_layout(two(tmp_path, annotation(1, 2, form)))
        assert np.array_equal(drawn(layout, "a"), mask), form


def test_several_rings_are_united(tmp_path: Path):
    layout = find_layout(two(tmp_path, annotation(1, 9, square(0, 0) + square(4, 3))))
    assert np.array_equal(drawn(layout, "a"), squares((2, 0, 0, 2), (2, 4, 3, 2)))


@pytest.mark.parametrize("name", ["background", "Background", "_background_"])
def test_a_category_that_is_the_background_is_class_0(tmp_path: Path, name: str):
    categories = [*CATEGORIES, {"id": 5, "name": name}]
    shapes = annotation(1, 9, square(0, 0, 3)), annotation(1, 5, square(1, 1))
    layout = find_layout(two(tmp_path, *shapes, categories=categories))
    assert layout.names == ("background", "tree", "car")
    assert np.array_equal(drawn(layout, "a"), squares((2, 0, 0, 3), (0, 1, 1, 2)))


def test_roboflows_category_0_that_stands_for_all_is_no_class(tmp_path: Path):
    above = {"id": 0, "name": "things", "supercategory": "none"}
    categories = [above, *({**each, "supercategory": "things"} for each in CATEGORIES)]
    layout = find_layout(two(tmp_path, categories=categories))
    assert layout.names == ("background", "tree", "car")
    used = find_layout(two(tmp_path, annotation(1, 0, square(0, 0)), categories=categories))
    assert used.names == ("background", "things", "tree", "car")


@pytest.mark.parametrize(
    "form",
    [
        ("annotations/instances_{s}2017.json", "{s}2017/{n}.jpg"),
        ("annotations/{s}.json", "images/{s}/{n}.jpg"),
        ("{s}/_annotations.coco.json", "{s}/{n}.jpg"),
        ("{s}.json", "{s}/images/{n}.jpg"),
    ],
)
def test_splits_are_those_of_the_files_or_their_folders(tmp_path: Path, form: tuple[str, str]):
    for split in ("train", "valid"):
        picture(tmp_path / form[1].format(s=split, n="1"))
        entries = [annotation(7, 9, square(0, 0))]
        write(tmp_path / form[0].format(s=split), coco([image(7, "1.jpg")], entries))
    layout = find_layout(tmp_path)
    found = {split: [p.image for p in pairs] for split, pairs in layout.splits.items()}
    places = {s: form[1].format(s=s, n="1") for s in ("train", "valid")}
    assert found == {"train": [tmp_path / places["train"]], "val": [tmp_path / places["valid"]]}
    assert layout.problems == ()


def test_what_a_file_without_a_split_lists_besides_belongs_to_train(tmp_path: Path):
    for name in "abc":
        picture(tmp_path / f"images/{name}.jpg")
    images = [image(i, f"{name}.jpg") for i, name in enumerate("abc")]
    entries = [annotation(i, 9, square(i, 0)) for i in range(3)]
    write(tmp_path / "all.json", coco(images, entries))
    write(tmp_path / "train.json", coco(images[:1], entries[:1]))
    write(tmp_path / "val.json", coco(images[1:2], entries[1:2]))
    layout = find_layout(tmp_path)
    found = {s: sorted(pair.name for pair in pairs) for s, pairs in layout.splits.items()}
    assert (found, codes(layout)) == ({"train": ["a", "c"], "val": ["b"]}, [])
    assert np.array_equal(drawn(layout, "c"), squares((2, 2, 0, 2)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("path", ["街道/图 1.jpg", "D:\\daten\\图 1.jpg", "/home/x/图 1.jpg"])
def test_pictures_are_found_by_paths_of_other_machines(tmp_path: Path, encoding: str, path: str):
    picture(tmp_path / "images/街道/图 1.JPG")
    picture(tmp_path / "images/b.jpg")
    images = [image(1, path), image(2, "./b.jpg")]
    entries = [annotation(1, 1, square(0, 0)), annotation(2, 1, square(1, 1))]
    categories = [{"id": 1, "name": "车"}]
    write(tmp_path / "instances.json", coco(images, entries, categories), encoding)
    layout = find_layout(tmp_path)
    assert layout.names == ("background", "车")
    found = {p.image: p.name for pairs in layout.splits.values() for p in pairs}
    assert [*sorted(found)] == [tmp_path / "images/b.jpg", tmp_path / "images/街道/图 1.JPG"]
    name = found[tmp_path / "images/街道/图 1.JPG"]
    assert np.array_equal(drawn(layout, name), squares((1, 0, 0, 2)))


def test_a_picture_without_annotations_is_background_and_one_without_entry_is_unlabelled(
    tmp_path: Path,
):
    picture(two(tmp_path) / "images/c.jpg")
    layout = find_layout(tmp_path)
    assert not drawn(layout, "a").any()
    assert layout.unlabelled == (tmp_path / "images/c.jpg",)
    assert "Pictures without a mask, left out: 1." in layout.notes


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_of_background_alone_stays_a_split(tmp_path: Path, split: str):
    for part, entries in (("train", [annotation(1, 9, square(1, 1))]), (split, [])):
        for number in (1, 2):
            picture(tmp_path / f"images/{part}/{number}.jpg")
        images = [image(1, "1.jpg"), image(2, "2.jpg")]
        write(tmp_path / f"annotations/{part}.json", coco(images, entries))
    layout = find_layout(tmp_path)
    assert not layout.problems
    assert not any("left out" in note for note in layout.notes)
    assert [pair.name for pair in layout.splits[split]] == ["1", "2"]
    assert layout.drawings is not None
    assert all(layout.drawings(pair).shapes == () for pair in layout.splits[split])


def test_a_file_without_a_list_of_annotations_says_nothing_of_its_pictures(tmp_path: Path):
    two(tmp_path)
    picture(tmp_path / "images/c.jpg")
    unlabelled = {"images": [image(1, "c.jpg")], "categories": CATEGORIES}
    write(tmp_path / "annotations/test.json", unlabelled)
    layout = find_layout(tmp_path)
    assert "test" not in layout.splits
    assert layout.unlabelled == (tmp_path / "images/c.jpg",)
    assert "annotations/test.json was left out: it holds no outlines." in layout.notes


def test_a_set_of_background_alone_is_coco_and_one_with_boxes_is_not(tmp_path: Path):
    picture(tmp_path / "images/a.jpg")
    write(tmp_path / "annotations/train.json", coco([image(1, "a.jpg")], []))
    assert find_layout(tmp_path).kind == "COCO"
    write(tmp_path / "annotations/val.json", coco([image(1, "a.jpg")], [annotation(1, 9, [])]))
    with pytest.raises(DataError, match=r"val\.json: gives boxes only"):
        find_layout(tmp_path)


@pytest.mark.parametrize(
    ("file", "right", "other"),
    [
        ("annotations/val.json", "images/val/x.jpg", "images/val/a/x.jpg"),
        ("annotations/val.json", "images/val/x.jpg", "images/train/val/x.jpg"),
        ("annotations/val.json", "images/val/y/x.jpg", "images/val/a/y/x.jpg"),
        ("val.json", "x.jpg", "images/x.jpg"),
        ("val/_annotations.coco.json", "val/x.jpg", "val/images/x.jpg"),
    ],
)
def test_the_picture_that_lies_where_the_path_says_comes_first(
    tmp_path: Path, file: str, right: str, other: str
):
    for path in (right, other, right.replace("x.jpg", "z.jpg")):
        picture(tmp_path / path)
    name = "y/x.jpg" if "/y/" in right else "x.jpg"
    images = [image(1, name), image(2, name.replace("x", "z"))]
    write(tmp_path / file, coco(images, [annotation(1, 9, square(1, 1))]))
    layout = find_layout(tmp_path)
    assert codes(layout) == []
    assert pairs_of(layout)[name[:-4]].image == tmp_path / right


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("12:30/a..b/x.jpg", "12:30/a..b/x"),
        ("街　道/x.jpg", "街　道/x"),
        ("./a/../b//x.jpg", "b/x"),
        ("../other/x.jpg", "other/x"),
        ("a\\x.jpg", "a/x"),
        ("a\nb/x.jpg", "a?b/x"),
        ("/home/me/x.jpg", "x"),
        ("C:\\mine\\x.jpg", "x"),
        ("https://example.org/a/x.jpg", "x"),
    ],
)
def test_names_keep_their_folders_where_they_lead_nowhere_else(
    tmp_path: Path, said: str, name: str
):
    for letter in "xz":
        picture(tmp_path / f"images/{letter}.jpg")
    images = [image(1, said), image(2, "z.jpg")]
    write(tmp_path / "annotations/all.json", coco(images, [annotation(1, 9, square(1, 1))]))
    assert pairs_of(find_layout(tmp_path)).keys() == {name, "z"}


def test_other_files_of_coco_are_left_out_and_said(tmp_path: Path):
    two(tmp_path)
    for name in ("captions_train2017", "person_keypoints_train2017", "stuff_train2017"):
        write(tmp_path / f"annotations/{name}.json", coco([image(1, "a.jpg")], [{"image_id": 1}]))
    layout = find_layout(tmp_path)
    assert layout.problems == ()
    assert sum("was left out" in note for note in layout.notes) == 3


def test_categories_of_several_files_are_united_by_name(tmp_path: Path):
    for split, categories in (("train", CATEGORIES), ("val", [{"id": 1, "name": "bus"}])):
        picture(tmp_path / f"{split}/x.jpg")
        number = categories[0]["id"]
        content = coco([image(1, "x.jpg")], [annotation(1, number, square(0, 0))], categories)
        write(tmp_path / f"{split}.json", content)
    layout = find_layout(tmp_path)
    assert layout.names == ("background", "tree", "car", "bus")
    assert layout.drawings is not None
    labels = {s: drawn_of(layout, s) for s in ("train", "val")}
    assert labels == {"train": 2, "val": 3}


def drawn_of(layout: Layout, split: str) -> int:
    assert layout.drawings is not None
    return layout.drawings(layout.splits[split][0]).shapes[0].label


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        (
            annotation(1, 77, square(0, 0)),
            "A705",
            "is of the class 77, but the classes are 2 (tree)",
        ),
        (annotation(1, [9], square(0, 0)), "A705", "annotation 70 of a.jpg"),
        (annotation(1, 9, [[1, 2, 3, 4, 5]]), "F201", "has 5 numbers"),
        (annotation(1, 9, [[1, 2, 3, 4, "5", 6]]), "F201", "no numbers"),
        (annotation(1, 9, [[1, 2, 3, 4, float("nan"), 6]]), "F201", "nan"),
        (annotation(1, 9, [[1, 2, 3, 4, 1e300, 6]]), "F201", "1e+300"),
        (annotation(1, 9, "a long text"), "F201", "neither list nor RLE"),
        (annotation(1, 9, {"size": [6, 8], "counts": [1, 2]}), "F201", "3 pixels for 6 x 8"),
        (annotation(1, 9, {"size": [6, 8], "counts": [50, -2]}), "F201", "no whole numbers"),
        (annotation(1, 9, {"size": [6, 8], "counts": "\u00ff"}), "F201", "broken RLE"),
        (annotation(1, 9, {"size": "6", "counts": "1"}), "F201", "neither list nor RLE"),
        (annotation(1, 9, {"size": [8, 6], "counts": [48]}), "A706", "8 x 6 pixels"),
    ],
)
def test_a_wrong_annotation_spoils_its_own_picture_alone(
    tmp_path: Path, wrong: dict[str, Any], code: str, said: str
):
    layout = find_layout(two(tmp_path, wrong))
    assert np.array_equal(drawn(layout, "b"), squares((1, 0, 0, 2)))
    with pytest.raises(DataError) as error:
        drawn(layout, "a")
    assert (error.value.code, error.value.where) == (
        code,
        str(tmp_path / "annotations/instances.json"),
    )
    assert said in str(error.value)


def test_entries_that_do_not_fit_are_problems(tmp_path: Path):
    two(tmp_path)
    picture(tmp_path / "other/a.jpg")
    images = [image(1, "a.jpg"), image(2, "b.jpg"), image(3, "gone.jpg"), image(4, "b.jpg"), 5]
    entries = [
        annotation(1, 9, square(0, 0)),
        annotation(99, 9, square(0, 0)),
        annotation(2, 9, []),
        "nonsense",
    ]
    write(tmp_path / "annotations/instances.json", coco(images, entries))
    layout = find_layout(tmp_path)
    assert sorted(codes(layout)) == ["A704", "F201", "S102", "S106", "S106"]
    said = " ".join(map(str, layout.problems))
    assert "'gone.jpg', which is not there" in said
    assert "annotations for the images 99" in said
    assert "the picture 'b.jpg' a second time" in said
    assert "2 entries" in said


def test_a_picture_that_may_be_one_of_two_is_not_guessed(tmp_path: Path):
    for folder in ("left", "right"):
        picture(tmp_path / folder / "a.jpg")
    for name in "bc":
        picture(tmp_path / f"left/{name}.jpg")
    images = [image(i, f"{name}.jpg") for i, name in enumerate("abc")]
    write(tmp_path / "x.json", coco(images, [annotation(1, 9, square(0, 0))]))
    layout = find_layout(tmp_path)
    assert codes(layout) == ["S103"]
    assert "left/a.jpg or right/a.jpg" in str(layout.problems[0])


def test_a_broken_file_does_not_stop_the_others(tmp_path: Path):
    two(tmp_path)
    write(tmp_path / "annotations/more.json", json.dumps(coco([image(3, "c.jpg")], []))[:-20])
    layout = find_layout(tmp_path)
    assert codes(layout) == ["F201"]
    assert "more.json: is no JSON at byte" in str(layout.problems[0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (coco([image(1, "a.jpg")], [annotation(1, 9, [])]), "boxes only"),
        (coco([image(1, "z.jpg")], [annotation(1, 9, square(0, 0))]), "none of which is there"),
        (json.dumps(coco([image(1, "a.jpg")], []))[:-2], "is no JSON at byte"),
        ('{"images": [' + "[" * 100_000, "is no JSON"),
        ('{"images": [{"id": ' + "9" * 5000 + "}]}", "is no JSON"),
        ('{"images": [{"id": "' + "x" * 10**6, "is no JSON"),
    ],
)
def test_a_set_that_is_not_understood_is_refused(tmp_path: Path, content: Any, said: str):
    picture(tmp_path / "images/a.jpg")
    write(tmp_path / "annotations/instances.json", content)
    with pytest.raises(DataError, match=said) as error:
        find_layout(tmp_path, "coco")
    assert error.value.code == "S109"


def test_boxes_beside_a_folder_of_masks_are_no_hindrance(tmp_path: Path):
    for name in "ab":
        picture(tmp_path / f"images/{name}.jpg")
        picture(tmp_path / f"masks/{name}.png")
    write(tmp_path / "boxes.json", coco([image(1, "a.jpg")], [annotation(1, 9, [])]))
    assert find_layout(tmp_path).drawings is None


def test_a_file_that_changed_is_told(tmp_path: Path):
    layout = find_layout(two(tmp_path, annotation(1, 9, square(0, 0))))
    write(tmp_path / "annotations/instances.json", "[" * 2000)
    with pytest.raises(DataError) as error:
        drawn(layout, "a")
    assert error.value.code == "F201"


def test_drawings_travel_to_other_processes_and_are_equal_when_found_again(tmp_path: Path):
    layout = find_layout(two(tmp_path, annotation(1, 9, square(0, 0))))
    assert pickle.loads(pickle.dumps(layout)) == layout == find_layout(tmp_path)


def test_parts_of_any_length_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("atrous.data.layouts.json_parts._CHUNK", 8)
    layout = find_layout(two(tmp_path, annotation(1, 9, square(1, 2), note="é街" * 9)))
    assert np.array_equal(drawn(layout, "a"), squares((2, 1, 2, 2)))


ENTRIES = nonsense(
    *"id image_id category_id file_name segmentation counts size height width name".split(),
    *"iscrowd segments_info bbox supercategory".split(),
)


@given(images=ENTRIES, entries=ENTRIES, categories=ENTRIES, number=st.sampled_from([1, 2]))
def test_nonsense_ends_as_our_errors(
    tmp_path_factory: pytest.TempPathFactory,
    images: list[Any],
    entries: list[Any],
    categories: list[Any],
    number: int,
):
    root = two(tmp_path_factory.mktemp("nonsense"))
    good = [image(1, "a.jpg"), image(2, "b.jpg")]
    for entry in entries:
        if isinstance(entry, dict):
            entry.setdefault("image_id", number)
    content = coco(
        [*good, *images], [annotation(2, 9, square(0, 0)), *entries], [*CATEGORIES, *categories]
    )
    write(root / "annotations/instances.json", json.dumps(content))
    try:
        layout = find_layout(root)
    except DataError:
        return
    for name in "ab":
        error = refusal(layout, name)
        assert error is None or error.code in ("A705", "F201")


def test_outlines_of_labelmes_own_conversion_cover_what_labelme_paints(shared_data: Path):
    root = shared_data / "labelme_examples/instance_segmentation"
    layout = find_layout(root / "data_dataset_coco")
    for stem, least in (("2011_000003", 0.996), ("2011_000006", 0.994), ("2011_000025", 0.996)):
        truth = np.load(root / f"data_dataset_voc/SegmentationClassNpy/{stem}.npy")
        same = (drawn(layout, f"JPEGImages/{stem}") == truth)[truth >= 0]  # no -1 in COCO
        assert same.mean() > least  # labelme's rule takes half a pixel more all around


def test_solaris_files_with_flat_rings_are_read(shared_data: Path):
    layout = find_layout(shared_data / "solaris_geotiff/data", "coco")
    assert layout.names == ("background", "other", "1.0", "0.0")
    pairs = [p for pairs in layout.splits.values() for p in pairs]
    assert len(pairs) == 101
    assert {p.mask.name for p in pairs} >= {"coco_sample_1.json", "coco_sample_2.json"}
    assert all(drawn(layout, pair.name).max() <= 3 for pair in pairs)
    assert drawn(layout, "sample_geotiff").any()
