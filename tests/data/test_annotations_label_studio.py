"""Label Studio's exports: what was drawn last is painted; pictures are found by their addresses."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import SIZE, codes, drawn, nonsense, pairs_of, picture, refusal, squares, write
from hypothesis import given

from atrous.data.layouts import find_layout
from atrous.data.shapes import label_studio_encode
from atrous.errors import DataError

WHOLE = {"original_width": SIZE[1], "original_height": SIZE[0]}


def percent(*points: tuple[float, float]) -> list[list[float]]:
    return [[x / SIZE[1] * 100, y / SIZE[0] * 100] for x, y in points]


def square(left: int, top: int, side: int = 2) -> list[list[float]]:
    """A ring along the sides of pixels, in percent."""
    right, bottom = left + side, top + side
    return percent((left, top), (right, top), (right, bottom), (left, bottom))


def region(kind: str, label: Any, **value: Any) -> dict[str, Any]:
    value[f"{kind}labels"] = [label] if label else []
    return {"id": "x", "type": f"{kind}labels", "value": value, **WHOLE}


def polygon(label: Any, left: int, top: int, side: int = 2) -> dict[str, Any]:
    return region("polygon", label, points=square(left, top, side), closed=True)


def brush(label: Any, mask: np.ndarray) -> dict[str, Any]:
    return region("brush", label, format="rle", rle=label_studio_encode(mask))


def annotation(*results: Any, **more: Any) -> dict[str, Any]:
    return {"result": [*results], "was_cancelled": False, **more}


def task(number: int, image: Any, *annotations: Any) -> dict[str, Any]:
    return {"id": number, "data": {"image": image}, "annotations": [*annotations]}


def two(root: Path, *results: Any, image: str = "/data/upload/1/0a1b2c3d-a.jpg") -> Path:
    """Pictures a and b; the results are those of a."""
    for name in "ab":
        picture(root / f"pictures/{name}.jpg")
    other = task(2, "b.jpg", annotation(polygon("tree", 0, 0)))
    write(root / "project-1.json", [task(1, image, annotation(*results)), other])
    return root


def test_polygons_and_brushes_are_painted_in_their_order(tmp_path: Path):
    mask = squares((1, 2, 1, 3)) == 1
    layout = find_layout(two(tmp_path, polygon("tree", 0, 0, 4), brush("car", mask)))
    assert (layout.kind, layout.names) == ("Label Studio", ("background", "car", "tree"))
    assert np.array_equal(drawn(layout, "a"), squares((2, 0, 0, 4), (1, 2, 1, 3)))
    assert np.array_equal(drawn(layout, "b"), squares((2, 0, 0, 2)))
    assert codes(layout) == []


def test_rectangles_are_turned_around_their_first_corner(tmp_path: Path):
    (x, y), (right, _), (wide, high) = percent((2, 1), (5, 1), (2, 3))
    flat = region("rectangle", "car", x=x, y=y, width=wide, height=high, rotation=0)
    ((wide, high),) = percent((3, 2))
    turned = region("rectangle", "car", x=right, y=y, width=wide, height=high, rotation=90)
    want = np.zeros(SIZE, int)
    want[1:4, 2:4] = 1
    want[1:4, 3:5] = 1
    layout = find_layout(two(tmp_path, flat, turned))
    assert np.array_equal(drawn(layout, "a"), want)


def test_an_ellipse_covers_its_area(tmp_path: Path):
    one = region("ellipse", "car", x=50, y=50, radiusX=25, radiusY=50, rotation=0)
    mask = drawn(find_layout(two(tmp_path, one)), "a")
    assert np.array_equal(mask, mask[::-1, ::-1])
    assert mask[0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
    assert abs(mask.sum() - np.pi * 2 * 3) < 2


def test_classes_given_apart_belong_to_their_region(tmp_path: Path):
    bare = {"id": "r", "type": "polygon", "value": {"points": square(1, 1)}, **WHOLE}
    name = {"id": "r", "type": "labels", "value": {"labels": ["car"]}}
    layout = find_layout(two(tmp_path, bare, name, {"type": "choices", "value": {}}))
    assert np.array_equal(drawn(layout, "a"), squares((1, 1, 1, 2)))


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/1/0a1b2c3d-%E8%A1%97%20%E9%81%93.jpg",
        "/data/upload/1/0a1b2c3d-街 道.jpg",
        "/data/local-files/?d=some%20where/%E8%A1%97%20%E9%81%93.jpg",
        "s3://bucket/set/街 道.jpg",
        "https://example.org/x/%E8%A1%97%20%E9%81%93.jpg?sig=a%2Fb.jpg",
        "C:\\set\\街 道.jpg",
        "街 道.jpg",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_pictures_are_found_by_their_addresses(tmp_path: Path, address: str, encoding: str):
    picture(tmp_path / "media/街 道.jpg")
    picture(tmp_path / "media/0a1b2c3d-b.jpg")
    done = annotation(polygon("车", 1, 1))
    tasks = [task(1, address, done), task(2, "/data/upload/1/0a1b2c3d-b.jpg", done)]
    write(tmp_path / "export.json", json.dumps(tasks, ensure_ascii=False), encoding)
    layout = find_layout(tmp_path)
    assert {*pairs_of(layout)} == {"街 道", "0a1b2c3d-b"}
    assert layout.names == ("background", "车")
    assert np.array_equal(drawn(layout, "街 道"), squares((1, 1, 1, 2)))


def test_the_last_finished_annotation_counts(tmp_path: Path):
    first = annotation(polygon("car", 0, 0), updated_at="2024-02-01T00:00:00Z")
    last = annotation(polygon("car", 2, 2), updated_at="2024-03-01T00:00:00Z")
    cancelled = annotation(polygon("bus", 1, 1), updated_at="2024-04-01Z", was_cancelled=True)
    two(tmp_path)
    done = task(2, "b.jpg", annotation(polygon("tree", 0, 0)))
    write(tmp_path / "project-1.json", [task(1, "a.jpg", last, cancelled, first), done])
    layout = find_layout(tmp_path)
    assert layout.names == ("background", "car", "tree")
    assert np.array_equal(drawn(layout, "a"), squares((1, 2, 2, 2)))


def test_unfinished_tasks_are_unlabelled_and_empty_ones_background(tmp_path: Path):
    two(tmp_path)
    picture(tmp_path / "c.jpg")
    picture(tmp_path / "d.jpg")
    tasks = [
        task(1, "a.jpg", annotation()),
        task(2, "b.jpg", annotation(polygon("tree", 0, 0))),
        task(3, "c.jpg", annotation(was_cancelled=True)),
        task(4, "d.jpg"),
    ]
    write(tmp_path / "project-1.json", tasks)
    layout = find_layout(tmp_path)
    assert not drawn(layout, "a").any()
    assert layout.unlabelled == (tmp_path / "c.jpg", tmp_path / "d.jpg")


def test_json_min_is_read(tmp_path: Path):
    two(tmp_path)
    own = {"image": "/data/upload/1/0a1b2c3d-a.jpg", "id": 1, "annotation_id": 3, "lead_time": 1.5}
    flat = {"points": square(1, 1), "polygonlabels": ["car"], **WHOLE}
    mask = squares((1, 4, 2, 2)) == 1
    runs = {"format": "rle", "rle": label_studio_encode(mask), "brushlabels": ["tree"], **WHOLE}
    before = {"image": "a.jpg", "label": [{**flat, "points": square(0, 0, 5)}], "annotation_id": 2}
    empty = {"image": "b.jpg", "annotation_id": 4}
    tasks = [before, {**own, "label": [flat], "tag": [runs]}, empty]
    write(tmp_path / "project-1.json", tasks)
    layout = find_layout(tmp_path)
    assert (layout.names, codes(layout)) == (("background", "car", "tree"), [])
    assert np.array_equal(drawn(layout, "a"), squares((1, 1, 1, 2), (2, 4, 2, 2)))
    assert not drawn(layout, "b").any()


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        (polygon(None, 0, 0), "A705", "a polygon on a.jpg is of the class None"),
        ({**polygon("tree", 0, 0), "original_width": 0}, "F201", "original_width"),
        (region("polygon", "tree", points=[[1, 2], [3, "x"]]), "F201", "no numbers"),
        (region("polygon", "tree", points=[[1, 2], [3, float("nan")]]), "F201", "nan"),
        (region("rectangle", "tree", x=1, y=2, width="3", height=4), "F201", "no numbers"),
        (region("ellipse", "tree", x=1, y=2, radiusX=1e300, radiusY=4), "F201", "1e+300"),
        (region("brush", "tree", rle=[1, 2]), "F201", "no RLE"),
        (region("brush", "tree", format="rle", rle=[1, 2]), "F201", "broken RLE"),
        (region("brush", "tree", format="rle", rle=[[1], "a"]), "F201", "broken RLE"),
        (region("brush", "tree", format="rle", rle=[10**30] * 9), "F201", "broken RLE"),
        ({**brush("tree", np.ones(SIZE, bool)), "original_width": 10**7}, "F201", "broken RLE"),
        ({**brush("tree", np.ones(SIZE, bool)), "original_width": 10**9}, "F201", "claims"),
    ],
)
def test_a_wrong_region_spoils_its_own_picture_alone(
    tmp_path: Path, wrong: dict[str, Any], code: str, said: str
):
    layout = find_layout(two(tmp_path, wrong))
    assert refusal(layout, "b") is None
    error = refusal(layout, "a")
    assert error is not None
    assert (error.code, error.where) == (code, str(tmp_path / "project-1.json"))
    assert said in str(error)


def test_tasks_that_do_not_fit_are_problems(tmp_path: Path):
    two(tmp_path)
    done = annotation(polygon("tree", 0, 0))
    tasks = [
        task(1, "a.jpg", done),
        task(2, "b.jpg", done),
        task(3, "gone.jpg", done),
        task(4, "b.jpg", done),
        task(5, 7, done),
        "nonsense",
    ]
    write(tmp_path / "project-1.json", tasks)
    layout = find_layout(tmp_path)
    assert codes(layout) == ["F201", "F201", "S102", "S106"]
    assert "task 3 is for the picture 'gone.jpg'" in " ".join(map(str, layout.problems))


def test_a_file_cut_short_gives_what_came_before(tmp_path: Path):
    path = two(tmp_path) / "project-1.json"
    path.write_text(path.read_text()[:-1] + ', {"id": 5, "data"')
    layout = find_layout(tmp_path)
    assert codes(layout) == ["F201"]
    assert set(pairs_of(layout)) == {"a", "b"}


BOX = region("rectangle", "a", x=1, y=1, width=2, height=2)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([task(1, "z.jpg", annotation(polygon("a", 0, 0)))], "'z.jpg', which is not there"),
        ([task(1, "a.jpg", annotation(was_cancelled=True))], "no task that is finished"),
        ([task(1, "a.jpg", annotation(BOX))], "boxes only"),
    ],
)
def test_a_set_that_is_not_understood_is_refused(tmp_path: Path, tasks: Any, said: str):
    write(two(tmp_path) / "project-1.json", tasks)
    with pytest.raises(DataError, match=said) as error:
        find_layout(tmp_path)
    assert error.value.code == "S109"


def test_drawings_travel_to_other_processes(tmp_path: Path):
    layout = find_layout(two(tmp_path))
    assert pickle.loads(pickle.dumps(layout)) == layout


@given(
    results=nonsense("type", "value", "points", "polygonlabels", "id", "rle", "format", "x"),
    tasks=nonsense("data", "image", "annotations", "result", "label", "polygonlabels", "id"),
)
def test_nonsense_ends_as_our_errors(
    tmp_path_factory: pytest.TempPathFactory, results: list[Any], tasks: list[Any]
):
    root = two(tmp_path_factory.mktemp("nonsense"))
    good = task(2, "b.jpg", annotation(polygon("tree", 0, 0)))
    text = json.dumps([good, task(1, "a.jpg", annotation(*results)), *tasks])
    write(root / "project-1.json", text)
    try:
        layout = find_layout(root)
    except DataError:
        return
    for name in pairs_of(layout):
        error = refusal(layout, name)
        assert error is None or error.code in ("A705", "F201")
