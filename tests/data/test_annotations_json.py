"""JSON read part by part: the parts are those of the whole, wherever the reading is cut."""

import json
from pathlib import Path
from typing import Any

import pytest
from annotated import picture, write
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.layouts.annotations import class_names, words
from atrous.data.layouts.json_parts import open_json, read_json
from atrous.data.layouts.paths import Pictures
from atrous.errors import DataError

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(["街道", "é" * 20, '"\\', "\ud83d\ude42"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
FILES = st.lists(VALUES, max_size=4) | st.dictionaries(st.text(max_size=3), VALUES, max_size=4)


def expected(whole: Any) -> list[tuple[str, Any]]:
    """The parts of a value: elements of the list at the top, or of the lists in the table."""
    table = {"": whole} if isinstance(whole, list) else whole
    return [
        (key, part)
        for key, value in table.items()
        for part in (value if isinstance(value, list) else [value])
    ]


@given(
    whole=FILES,
    chunk=st.integers(min_value=8, max_value=40),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    escaped=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_parts_are_those_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    whole: Any,
    chunk: int,
    encoding: str,
    escaped: bool,
    indent: int | None,
):
    path = tmp_path_factory.mktemp("json") / "x.json"
    text = json.dumps(whole, ensure_ascii=escaped, indent=indent)
    path.write_bytes(text.encode(encoding, "replace"))
    same = json.loads(path.read_bytes().decode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atrous.data.layouts.json_parts._CHUNK", chunk)
        file = open_json(path)
        parts = list(file.parts())
    assert [(part.key, part.value) for part in parts] == expected(same)
    assert file.read([(part.start, part.stop) for part in parts]) == [p.value for p in parts]
    assert read_json(path) == same


@given(whole=FILES, cut=st.floats(min_value=0, max_value=0.999))
def test_a_file_cut_short_is_told(tmp_path_factory: pytest.TempPathFactory, whole: Any, cut: float):
    text = json.dumps(whole)
    path = write(tmp_path_factory.mktemp("json") / "x.json", text[: int(len(text) * cut)])
    with pytest.raises(DataError, match=r"x\.json: is no JSON") as error:
        list(open_json(path).parts())
    assert error.value.code == "F201"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1} {', "goes on after its end"),
        (b'{"a" 1}', "lacks ':'"),
        (b"{1: 2}", "no key in quotes"),
        (b"[1 2]", "lacks ','"),
        (b"[1, nul]", "at byte 4"),
        (b'["\xff"]', "0xff"),
        (b"7", "begins with neither"),
        (b"", "begins with neither"),
        (b"[" + b"[" * 10**6, "recursion"),
        (b"[" + b"9" * 10**5 + b"]", "digits"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        list(open_json(path).parts())


def test_a_file_that_is_gone_is_told(tmp_path: Path):
    for read in (open_json, read_json):
        with pytest.raises(DataError, match="cannot be read"):
            read(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("b/1/x.jpg", ["b/1/x.jpg"]),
        ("/elsewhere/b/1/X.JPG", ["b/1/x.jpg"]),
        ("..\\2\\x.jpg", ["a/2/x.jpg"]),
        ("c/1/x.jpg", ["a/1/x.jpg", "b/1/x.jpg"]),
        ("x.jpg", ["a/1/x.jpg", "a/2/x.jpg", "b/1/x.jpg"]),
        ("a/1/x", ["a/1/x.jpg", "a/1/x.png"]),
        ("b/1/x.png", ["a/1/x.png"]),
        ("y.jpg", []),
        ("../..", []),
    ],
)
def test_a_path_means_the_picture_whose_last_folders_agree(
    tmp_path: Path, text: str, found: list[str]
):
    for name in ("a/1/x.jpg", "a/1/x.png", "a/2/x.jpg", "b/1/x.jpg"):
        picture(tmp_path / name)
    pictures = Pictures(tmp_path)
    for _ in range(2):  # what was looked up before changes nothing
        assert [p.relative_to(tmp_path).as_posix() for p in pictures.find(text)] == found


def test_of_equal_pictures_the_nearest_or_that_of_the_split_is_meant(tmp_path: Path):
    for name in ("a/train/x.jpg", "a/val2017/x.jpg", "b/train/x.jpg"):
        picture(tmp_path / name)
    pictures = Pictures(tmp_path)
    assert pictures.find("x.jpg", near=tmp_path / "b") == [tmp_path / "b/train/x.jpg"]
    assert pictures.find("x.jpg", split="val") == [tmp_path / "a/val2017/x.jpg"]
    assert len(pictures.find("x.jpg", split="train")) == 2
    assert pictures.find("x.jpg", split="train", apart=tmp_path / "a") == [
        tmp_path / "b/train/x.jpg"
    ]


def test_names_are_one_line_each_once():
    assert [words(name) for name in (" wet \n road", "a\x00\ud800b", 7, True, None, [])] == [
        "wet road",
        "a??b",
        "7",
        "True",
        "",
        "",
    ]
    named = class_names(["tree", "BACKGROUND", "car", "tree"])
    assert named.names == ("background", "tree", "car")
    assert named.places == {"tree": 1, "BACKGROUND": 0, "car": 2}
