"""Plain folders by whatever words, lists in CSV, and the legends that lie beside masks."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laid import index_of, lay, names, pool, refused, write

from atrous.classes import colour_label
from atrous.data.layouts import find_layout
from atrous.data.layouts.legends import Entry, legend_of
from atrous.data.layouts.marks import IMAGE_FOLDERS, MASK_FOLDERS, partners, usual_mark
from atrous.errors import DataError


@pytest.mark.parametrize(
    ("images", "masks"),
    [*((word, "Labels") for word in IMAGE_FOLDERS), *(("Photos", word) for word in MASK_FOLDERS)],
)
def test_folders_have_any_of_the_usual_names(tmp_path: Path, images: str, masks: str):
    lay(tmp_path, f"{images}/1.jpg", f"{images}/街 2.JPG", f"{masks}/1.png", f"{masks}/街 2.PNG")
    layout = find_layout(tmp_path)
    assert names(layout) == ["1", "街 2"]
    assert layout.kind in (f"{images}/ and {masks}/", "Pascal VOC")
    assert not layout.problems


@pytest.mark.parametrize(
    "form",
    [
        ("img_dir/{s}/{n}.jpg", "ann_dir/{s}/{n}.png"),
        ("{s}/images/{n}.png", "{s}/labels/{n}.png"),
        ("{s}/{n}.jpg", "{s}_masks/{n}_mask.gif"),
        ("{s}_images/a/{n}.jpg", "{s}_labels/a/{n}_L.png"),
        ("images_{s}/{n}.jpg", "masks-{s}/{n}.png"),
        ("{s}/x{n}_sat.jpg", "{s}/x{n}_mask.png"),
        ("{s}/p{n}/1.tif", "{s}/p{n}/1_mask.tif"),
    ],
)
def test_every_form_is_divided_by_its_folders(tmp_path: Path, form: tuple[str, str]):
    for split, stems in {"train": "ab", "val": "c", "test": "d"}.items():
        lay(tmp_path, *(part.format(s=split, n=stem) for stem in stems for part in form))
    layout = find_layout(tmp_path)
    assert {split: len(pairs) for split, pairs in layout.splits.items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    assert not layout.problems


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("x.jpg", f"x{sign}{word}.png")
        for sign in "_-"
        for word in ("mask", "label", "labels", "gt", "seg", "MASK")
    ]
    + [("x.jpg", "mask_x.png"), ("img_x.jpg", "mask_x.png"), ("x_image.jpg", "x_label.png")]
    + [("x_L.jpg", "x_L_mask.png"), ("my_mask.jpg", "my_mask_gt.png")],
)
def test_marked_masks_find_their_pictures(tmp_path: Path, image: str, mask: str):
    others = ("y" + image, "y" + mask) if not mask.startswith("mask_") else ("z.jpg", "mask_z.png")
    for root in (lay(tmp_path / "one", image, mask, *others), tmp_path / "two"):
        if root.name == "two":
            lay(root, *(f"images/{name}" for name in (image, others[0])))
            lay(root, *(f"masks/{name}" for name in (mask, others[1])))
        layout = find_layout(root)
        pairs = {p.image.name: p.mask.name for s in layout.splits.values() for p in s}
        assert pairs == {image: mask, others[0]: others[1]}
        assert not layout.problems


@given(st.sets(st.text("ab_", min_size=1, max_size=4)), st.sampled_from(["_mask", "-gt", "_seg"]))
def test_each_picture_has_the_mask_made_for_it(stems: set[str], mark: str):
    masks = {stem + mark for stem in stems}
    assert partners(stems, masks) == {stem + mark: stem for stem in stems}
    assert partners(stems, stems) == {stem: stem for stem in stems}
    assert usual_mark(stems | masks) == (mark if stems else None)


def test_masks_named_after_the_whole_picture_are_found(tmp_path: Path):
    lay(tmp_path, *(f"{name}" for n in "ab" for name in (f"img/{n}.jpg", f"masks/{n}.jpg.png")))
    assert names(find_layout(tmp_path)) == ["a", "b"]


def test_a_dot_in_a_name_is_no_suffix(tmp_path: Path):
    lay(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png", "masks/a.7.png")
    problem = refused(tmp_path, "masks/a.7.png: has no picture")
    assert problem.code == "S102"


def test_two_masks_of_one_picture_are_named(tmp_path: Path):
    lay(pool(tmp_path, "a", "b"), "masks/a_mask.png")
    problem = refused(tmp_path, "masks: has both a_mask.png and a.png for one picture")
    assert problem.code == "S103"
    assert len(find_layout(tmp_path).problems) == 1


def test_folders_without_a_mask_file_are_not_taken(tmp_path: Path):
    lay(tmp_path, "images/a.jpg", "images/b.jpg", "labels/a.txt", "labels/b.txt")
    assert refused(tmp_path, "holds images/, labels/, which is no layout").code == "S109"
    lay(tmp_path, "gt/a.png", "gt/b.png")
    assert find_layout(tmp_path).kind == "images/ and gt/"


def test_an_empty_folder_of_masks_is_named(tmp_path: Path):
    lay(tmp_path, "images/a.jpg", "masks/readme.txt")
    assert refused(tmp_path, "masks: holds no mask file").code == "S109"


def test_of_two_folders_of_masks_the_usual_one_is_taken_and_said(tmp_path: Path):
    lay(pool(tmp_path, "a", "b"), "labels/a.png", "labels/b.png")
    layout = find_layout(tmp_path)
    assert {p.mask.parent.name for pairs in layout.splits.values() for p in pairs} == {"masks"}
    assert "masks/ was taken; there is also labels/." in layout.notes


def test_two_folders_that_may_be_the_masks_are_refused(tmp_path: Path):
    lay(tmp_path, "images/a.jpg", "gt/a.png", "labels/a.png")
    assert refused(tmp_path, "labels/ and gt/", "Call the right one masks").code == "S109"


@pytest.mark.parametrize("word", ["unlabelled", "Unlabeled"])
@pytest.mark.parametrize("place", ["{}/c.jpg", "{}/images/c.jpg", "images/{}/c.jpg"])
def test_unlabelled_pictures_are_set_aside(tmp_path: Path, word: str, place: str):
    lay(pool(tmp_path, "a", "b"), place.format(word))
    layout = find_layout(tmp_path)
    assert layout.unlabelled == (tmp_path / place.format(word),)
    assert names(layout) == ["a", "b"]
    assert not layout.problems


@pytest.mark.parametrize(
    "form",
    [
        ("images/train/{}.jpg", "masks/train/{}.png", "images/test/{}.jpg"),
        ("train/images/{}.jpg", "train/masks/{}.png", "test/{}.jpg"),
        ("train/{}.jpg", "train_masks/{}.png", "test/{}.jpg"),
        ("train/{}.jpg", "train/{}_mask.png", "test/{}.jpg"),
    ],
)
def test_test_pictures_without_masks_are_unlabelled(tmp_path: Path, form: tuple[str, ...]):
    image, mask, alone = form
    lay(tmp_path, *(part.format(n) for n in "abc" for part in (image, mask)), alone.format("t"))
    layout = find_layout(tmp_path)
    assert layout.unlabelled == (tmp_path / alone.format("t"),)
    assert set(layout.splits) == {"train", "val"}


# Legends.


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("class_dict.csv", ["name,r,g,b", "Road,128,64,128", "background,0,0,0", "Void,9,9,9"]),
        ("class_dict.csv", ['"name","r","g","b"', '"Road", 128, 64, 128', "background,0,0,0"]),
        ("class_dict.csv", ["r;g;b;name", "128;64;128;Road", "0;0;0;background"]),
        ("Class_Dict_seg.CSV", ["id,name,r,g,b", "0,Road,128,64,128", "1,background,0,0,0"]),
        ("label_colors.txt", ["128 64 128\tRoad", "0 0 0\t\tbackground", "9 9 9 Void"]),
        ("labels_colours.txt", ["# made by hand", "Road 128 64 128", "", "background 0 0 0"]),
    ],
)
def test_colours_are_read_from_the_tables_of_other_tools(
    tmp_path: Path, file: str, lines: list[str]
):
    layout = find_layout(write(pool(tmp_path, "a", "b"), file, *lines))
    road, black, void = map(colour_label, ((128, 64, 128), (0, 0, 0), (9, 9, 9)))
    assert layout.names == ("background", "Road")
    assert layout.colours == ((0, 0, 0), (128, 64, 128))
    # By colour, or by the number that a class has in the table.
    assert index_of(layout, road, black, 0, 1) == [1, 0, 1, 0]
    if "oid" in lines[-1]:
        assert index_of(layout, void, 2) == [255, 255]
    assert any(
        note.startswith(f"Class names and colours are those of {file} (2)") for note in layout.notes
    )


def test_greys_of_a_table_are_label_values(tmp_path: Path):
    lines = ["name,r,g,b", "roof,255,255,255", "wall,128,128,128", "background,0,0,0"]
    layout = find_layout(write(pool(tmp_path, "a", "b"), "class_dict.csv", *lines))
    assert layout.names == ("background", "roof", "wall")
    assert index_of(layout, 0, 128, 255, colour_label((128, 128, 128))) == [0, 2, 1, 2]


@pytest.mark.parametrize("place", ["", "masks/"])
def test_values_are_read_from_roboflows_and_huggingfaces_tables(tmp_path: Path, place: str):
    csv = write(
        pool(tmp_path / "a", "a", "b"),
        f"{place}_classes.csv",
        "Pixel Value, Class",
        "0, sea",
        "5, ice",
    )
    json = write(
        pool(tmp_path / "b", "a", "b"), f"{place}id2label.json", '{"5": "ice", "0": "sea"}'
    )
    for root in (csv, json):
        layout = find_layout(root)
        assert layout.names == ("sea", "ice")
        assert index_of(layout, 0, 5, 1, 2) == [0, 1, None, None]  # 1 is not ice


def test_another_tools_classes_csv_is_none_of_masks(tmp_path: Path):
    root = write(pool(tmp_path, "a", "b"), "_classes.csv", "filename, cat, dog", "a.jpg, 0, 1")
    assert find_layout(root).names is None


def test_the_legends_of_all_splits_must_agree(tmp_path: Path):
    for split in ("train", "valid"):
        lay(tmp_path, *(f"{split}/{n}{end}" for n in "ab" for end in (".jpg", "_mask.png")))
        write(tmp_path, f"{split}/_classes.csv", "Pixel Value, Class", "0, sea", "1, ice")
    assert find_layout(tmp_path).names == ("sea", "ice")
    write(tmp_path, "valid/_classes.csv", "Pixel Value, Class", "0, ice", "1, sea")
    refused(tmp_path, "valid/_classes.csv: says other things", "train/_classes.csv")


@pytest.mark.parametrize(
    ("file", "lines", "said"),
    [
        ("class_dict.csv", ["name,r,g,b", "road,1,2"], "class_dict.csv:2: says 'road,1,2'"),
        ("class_dict.csv", ["road,1,2,300"], "class_dict.csv:1: says '1 2 300'"),
        ("class_dict.csv", ["a,1,2,3", "a,4,5,6"], "has 'a' 2 times"),
        ("class_dict.csv", ["a,1,2,3", "b,1,2,3"], "has '#010203' 2 times"),
        ("class_dict.csv", ["void,0,0,0"], "names no class"),
        ("_classes.csv", ["Pixel Value, Class", "0, a", "b"], "_classes.csv:3: says 'b'"),
        ("_classes.csv", ["Pixel Value, Class", "0, a", "0, b"], "has '0' 2 times"),
        ("id2label.json", ['{"a": 1}'], "is no table of names by number"),
    ],
)
def test_a_wrong_legend_is_named_with_its_line(
    tmp_path: Path, file: str, lines: list[str], said: str
):
    assert refused(write(pool(tmp_path, "a", "b"), file, *lines), said).code == "S109"


def test_of_two_kinds_of_legend_one_is_read_and_said(tmp_path: Path):
    write(pool(tmp_path, "a", "b"), "class_dict.csv", "sea,0,0,9", "ice,9,9,9")
    layout = find_layout(write(tmp_path, "id2label.json", '{"0": "ice", "1": "sea"}'))
    assert layout.names == ("sea", "ice")
    assert "id2label.json was not read: class_dict.csv names the classes." in layout.notes


def test_planes_take_names_from_a_legend_but_no_labels(tmp_path: Path):
    lay(tmp_path, *(f"images/{n}.jpg" for n in "ab"))
    lay(tmp_path, *(f"masks/{n}/{plane}.png" for n in "ab" for plane in ("road", "wet")))
    layout = find_layout(write(tmp_path, "class_dict.csv", "wet,0,0,9", "road,9,0,0"))
    assert (layout.names, layout.remap) == (("wet", "road"), {})
    assert layout.planes == ("road", "wet")


@given(st.lists(st.integers(0, 12), unique=True, min_size=1), st.integers(0, 12))
def test_a_legend_maps_its_values_and_no_others(values: list[int], other: int):
    legend = legend_of(Path("x"), [Entry(f"class {v}", value=v) for v in values])
    for label in {*values, other}:
        target = legend.remap.get(label, label)
        assert isinstance(target, int)
        inside = 0 <= target < len(legend.names)
        assert inside == (label in values)
        assert not inside or legend.names[target] == f"class {label}"


# Lists in CSV.


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "heading", [("image", "mask"), ("Image_Path", "LabelPath"), ("filename", "gt")]
)
def test_lists_in_csv_name_pairs(tmp_path: Path, delimiter: str, heading: tuple[str, str]):
    lay(
        tmp_path,
        "fotos/α b.jpg",
        "fotos/c.jpg",
        "wahr/1.png",
        "wahr/2.png",
        "wahr/3.png",
        "fotos/d/e.jpg",
    )
    write(
        tmp_path,
        "train.csv",
        delimiter.join(("id", *heading)),
        delimiter.join(("7", "fotos/α b.jpg", "wahr/1.png")),
        "",
        delimiter.join(("8", "./fotos\\c.jpg", "wahr/2.png")),
    )
    write(
        tmp_path,
        "valid.csv",
        delimiter.join(heading),
        delimiter.join(("fotos/d/e.jpg", "wahr/3.png")),
    )
    layout = find_layout(tmp_path)
    assert layout.kind == "image list (train.csv, valid.csv)"
    assert (names(layout, "train"), names(layout, "val")) == (["c", "α b"], ["d/e"])
    assert layout.splits["val"][0].mask == tmp_path / "wahr/3.png"
    assert not layout.problems


def test_one_csv_divides_by_its_column(tmp_path: Path):
    lay(pool(tmp_path, "a", "b", "c"), "images/d.jpg", "images/e.jpg")
    rows = [
        "a.jpg,a.png,train",
        '"b.jpg", "b.png", Validation',
        "c.jpg,c.png,test",
        "d.jpg,,train",
        "e.jpg,,unlabelled",
    ]
    write(tmp_path, "anything.csv", "image,mask,split", *rows)
    layout = find_layout(tmp_path)
    assert {split: names(layout, split) for split in layout.splits} == {
        "train": ["a"],
        "val": ["b"],
        "test": ["c"],
    }
    assert {path.name for path in layout.unlabelled} == {"d.jpg", "e.jpg"}


def test_wrong_lines_of_a_csv_are_named(tmp_path: Path):
    pool(tmp_path, "a", "b")
    rows = [
        "images/a.jpg,masks/a.png,train",
        "images/gone.jpg,masks/a.png,train",
        "images/b.jpg,masks/gone.png,train",
        "images/a.jpg,masks/a.png,train",
        "images/b.jpg,masks/b.png,val",
        "images/b.jpg,masks/b.png,vla",
    ]
    layout = find_layout(write(tmp_path, "data.csv", "image,mask,split", *rows))
    assert names(layout) == ["a", "b"]
    assert {problem.code for problem in layout.problems} == {"S106"}
    said = sorted(f"{Path(p.where).name} {p.found}" for p in layout.problems)
    assert said == [
        "data.csv:3 names 'images/gone.jpg', which is not there",
        "data.csv:4 names 'masks/gone.png', which is not there",
        "data.csv:5 lists 'images/a.jpg' a second time",
        "data.csv:7 names the split 'vla'",
    ]


def test_of_absolute_paths_the_last_parts_count(tmp_path: Path):
    pool(tmp_path, "a", "b")
    rows = [
        "/home/me/set/images/a.jpg,/home/me/set/masks/a.png",
        r"C:\set\images\b.jpg,C:\set\masks\b.png",
    ]
    assert names(find_layout(write(tmp_path, "data.csv", "image,mask", *rows))) == ["a", "b"]


def test_a_csv_that_names_nothing_gives_way_to_folders_or_is_told(tmp_path: Path):
    rows = ["image,mask", "x/1.jpg,y/1.png"]
    layout = find_layout(write(pool(tmp_path / "a", "a", "b"), "data.csv", *rows))
    assert layout.kind == "images/ and masks/"
    assert (
        refused(write(tmp_path / "b", "data.csv", *rows), "data.csv:2: names 'x/1.jpg'").code
        == "S106"
    )


def test_tables_of_other_things_are_no_lists(tmp_path: Path):
    pool(tmp_path, "a", "b")
    write(tmp_path, "train.csv", "image,label", "a.jpg,cat", "b.jpg,dog")
    write(tmp_path, "rle.csv", "image_id,rle_mask", "a,1 2 3")
    write(tmp_path, "empty.csv", "")
    assert find_layout(tmp_path).kind == "images/ and masks/"


def test_several_lists_are_refused_unless_one_has_the_usual_name(tmp_path: Path):
    pool(tmp_path, "a", "b")
    rows = ["image,mask", "a.jpg,a.png", "b.jpg,b.png"]
    write(write(tmp_path, "one.csv", *rows), "two.csv", *rows)
    assert refused(tmp_path, "one.csv, two.csv, which all list masks").code == "S109"
    write(tmp_path, "data.csv", *rows)
    assert find_layout(tmp_path).kind == "image list (data.csv)"


# Named.


@pytest.mark.parametrize("name", ["cityscapes", "ade20k", "cvat", "nnunet", "voc", "camvid", "csv"])
def test_a_layout_that_does_not_fit_says_what_it_needs(tmp_path: Path, name):
    pool(tmp_path, "a", "b")
    with pytest.raises(DataError, match=f"which is not {name}, but layout = '{name}' is") as error:
        find_layout(tmp_path, name)
    assert error.value.code == "S109"
    write(tmp_path, "dataset.toml", f'layout = "{name}"')
    refused(tmp_path, f"which is not {name}")


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_linked_folders_are_read_and_circles_end(tmp_path: Path):
    lay(tmp_path / "elsewhere", "images/c.jpg", "masks/c.png")
    root = lay(tmp_path / "set", "images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.png")
    for kind in ("images", "masks"):
        (root / kind / "more").symlink_to(tmp_path / "elsewhere" / kind)
        (root / kind / "circle").symlink_to(root / kind)
    layout = find_layout(root)
    found = {pair.name for pairs in layout.splits.values() for pair in pairs}
    assert found == {"a", "b", "more/c"} and not layout.problems
