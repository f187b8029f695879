"""Drawings: the pixels that others give to the same shapes; what is traced is drawn again."""

import json
import math
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image as pil
from PIL import ImageDraw

from atrous.data.masks import read_mask
from atrous.data.shapes import (
    GROUND,
    Drawing,
    Overlap,
    Patch,
    Polygon,
    Region,
    Runs,
    area,
    circle,
    counts_of_text,
    crosses_itself,
    draw,
    draw_bits,
    keyhole,
    label_studio_decode,
    label_studio_encode,
    line,
    mask_of,
    outside,
    overlaps,
    point,
    rectangle,
    runs_of,
    stamp,
    text_of_counts,
    trace,
)
from atrous.errors import ImageError

sizes = st.tuples(st.integers(1, 30), st.integers(1, 30))
masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24))


@st.composite
def rings(draw_, most: int = 9):
    """Whole and broken coordinates, repeated points, inside and out."""
    coordinate = st.one_of(
        st.integers(-8, 40),
        st.integers(-40, 200).map(lambda fifths: fifths / 5),
        st.floats(-20, 50).map(lambda value: round(value, 2)),
    )
    return np.array(draw_(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=most)))


def painted(*shapes, size):
    return draw(Drawing(None, shapes), size)


def by_pillow(size, paint) -> np.ndarray:
    canvas = pil.new("L", (size[1], size[0]))
    paint(ImageDraw.Draw(canvas))
    return np.array(canvas)


# By the rule "centre".


@given(rings(), sizes)
def test_the_rule_centre_is_pillows(ring, size):
    xy = [tuple(at) for at in ring.tolist()]
    expected = by_pillow(size, lambda pen: pen.polygon(xy, fill=1, outline=1))
    assert np.array_equal(painted(Polygon(1, (ring,), "centre"), size=size), expected)


@given(rings(), rings(), sizes)
def test_a_hole_and_its_outline_are_taken_away(outer, hole, size):
    whole, gone = (painted(Polygon(1, (ring,), "centre"), size=size) for ring in (outer, hole))
    pierced = painted(Polygon(1, (outer, hole), "centre"), size=size)
    assert np.array_equal(pierced, whole * (1 - gone))


def test_labelmes_masks_are_drawn_as_labelme_drew_them(shared_data: Path):
    root = shared_data / "labelme_examples/semantic_segmentation"
    names = (root / "labels.txt").read_text().split("\n")
    wrong = {}
    for path in sorted((root / "data_annotated").glob("*.json")):
        told = json.loads(path.read_text())
        shapes = [
            Polygon(names.index(shape["label"]) - 1, (np.array(shape["points"]),), "centre")
            for shape in told["shapes"]
        ]
        expected = read_mask(root / f"data_dataset_voc/SegmentationClassNpy/{path.stem}.npy")
        wrong[path.stem] = int((painted(*shapes, size=expected.shape) != expected).sum())
    assert wrong == {"2011_000003": 0, "2011_000006": 1, "2011_000025": 0}


# By the rule "corner", and as runs.


@given(rings(), sizes)
@example(np.array([[2.5, 0], [2.5, 9], [2.7, 9], [2.7, 0]]), (9, 9))
@settings(max_examples=200)
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")  # pycocotools'
def test_the_rule_corner_is_cocos(ring, size):
    coco = pytest.importorskip("pycocotools.mask")
    expected = coco.decode(coco.frPyObjects([ring.ravel().tolist()], *size))[..., 0]
    assert np.array_equal(painted(Polygon(1, (ring,), "corner"), size=size), expected)


def test_the_rule_corner_takes_pixels_between_corners():
    ring = np.array([[1, 0], [3, 0], [3, 2], [1, 2]])
    mask = painted(Polygon(1, (ring,), "corner"), size=(3, 4))
    assert mask.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")  # pycocotools'
def test_real_buildings_are_drawn_as_coco_draws_them(shared_data: Path):
    coco = pytest.importorskip("pycocotools.mask")
    told = json.loads((shared_data / "solaris_geotiff/data/coco_sample_2.json").read_text())
    for building in told["annotations"]:
        ring = np.array(building["segmentation"]).reshape(-1, 2)
        expected = coco.decode(coco.frPyObjects([building["segmentation"]], 900, 900))[..., 0]
        assert np.array_equal(painted(Polygon(1, (ring,), "corner"), size=(900, 900)), expected)
        assert area(ring) == pytest.approx(building["area"])


@given(rings(), rings(), sizes)
def test_the_rings_of_the_rule_corner_are_united(one, other, size):
    both = painted(Polygon(1, (one, other), "corner"), size=size)
    apart = (painted(Polygon(1, (ring,), "corner"), size=size) for ring in (one, other))
    assert np.array_equal(both, np.bitwise_or(*apart))


@given(masks)
def test_runs_come_back(mask):
    runs = Runs(1, runs_of(mask), mask.shape)
    assert np.array_equal(mask_of(runs), mask)
    assert np.array_equal(painted(runs, size=mask.shape), mask)
    assert np.array_equal(counts_of_text(text_of_counts(runs.counts)), runs.counts)


@given(masks)
def test_runs_are_cocos(mask):
    coco = pytest.importorskip("pycocotools.mask")
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert text_of_counts(runs_of(mask)) == expected


@given(arrays(np.int64, st.integers(0, 9), elements=st.integers(0, 1 << 40)))
def test_any_counts_come_back_from_text(counts):
    assert np.array_equal(counts_of_text(text_of_counts(counts)), counts)


@pytest.mark.parametrize("text", ["5 2", "\x7f", "5P", "é"])
def test_what_is_no_text_of_runs_is_refused(text: str):
    with pytest.raises(ValueError, match=r"runs|number"):
        counts_of_text(text)


@pytest.mark.parametrize(
    ("counts", "columns"),
    [
        ([], [0, 0]),
        ([9], [0, 0]),
        ([1, 1], [2, 0]),
        ([0, 99], [3, 3]),
        ([3, 0, 0, 1], [0, 2]),
        ([-5, 2, -1, 1], [3, 1]),
        ([1 << 61] * 9, [0, 0]),
    ],
)
def test_runs_of_the_wrong_length_are_cut_or_end_early(counts: list[int], columns: list[int]):
    bits = [[count & 1 for count in columns], [count >> 1 for count in columns]]
    assert mask_of(Runs(1, np.array(counts, np.int64), (2, 2))).astype(int).tolist() == bits


def test_cocos_runs_of_real_pictures_are_the_pixels_they_were_made_of(shared_data: Path):
    root = shared_data / "coco_panoptic2/sample_data"
    told = json.loads((root / "panoptic_coco_detection_format.json").read_text())
    names = {image["id"]: image["file_name"] for image in told["images"]}
    ids = {
        key: np.array(pil.open(root / "panoptic_examples" / name.replace("jpg", "png")))
        @ [1, 256, 65536]
        for key, name in names.items()
    }
    compared = 0
    for shape in told["annotations"]:
        if isinstance(shape["segmentation"], dict):
            counts = shape["segmentation"]["counts"]
            runs = Runs(1, counts_of_text(counts), tuple(shape["segmentation"]["size"]))
            mask = mask_of(runs)
            assert mask.sum() == shape["area"]
            found = ids[shape["image_id"]][mask]
            assert (found == found[0]).all()
            compared += 1
    assert compared > 10


# One drawing of many shapes.


def test_later_shapes_lie_over_earlier_ones_in_the_narrowest_type():
    square = np.ones((2, 2), bool)
    shapes = Patch(300, (0, 0), square), Patch(2, (1, 1), square)
    mask = draw(Drawing(None, shapes, background=7), (3, 3))
    assert mask.dtype == np.uint16
    assert mask.tolist() == [[300, 300, 7], [300, 2, 2], [7, 2, 2]]
    assert painted(Patch(-1, (0, 0), square), size=(2, 2)).dtype == np.int16
    assert painted(size=(2, 2)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("rule", ["centre", "corner"])
@pytest.mark.parametrize(
    "ring",
    [
        [],
        [[np.nan, 1]],
        [[np.nan, np.nan], [np.inf, 0], [-np.inf, 9]],
        [[-9, -9], [-5, -9], [-5, -5]],
        [[1e300, 1e300], [2e300, 1e300], [1e300, 2e300]],
        [[99, 0], [120, 0], [120, 20]],
    ],
    ids=["empty", "NaN", "infinite", "before", "far", "behind"],
)
def test_rings_that_show_nothing_paint_nothing(ring: list, rule):
    assert not painted(Polygon(1, (np.array(ring),), rule), size=(4, 5)).any()
    assert not painted(Polygon(1, (), rule), size=(4, 5)).any()


def test_rings_of_one_and_two_points():
    one, two = np.array([[2, 1]]), np.array([[0, 0], [3, 3]])
    assert np.argwhere(painted(Polygon(1, (one,), "centre"), size=(4, 5))).tolist() == [[1, 2]]
    assert np.array_equal(painted(Polygon(1, (two,), "centre"), size=(4, 4)), np.eye(4))
    for ring in (one, two):
        assert not painted(Polygon(1, (ring,), "corner"), size=(4, 4)).any()


@pytest.mark.parametrize("rule", ["centre", "corner"])
def test_a_ring_far_around_the_picture_covers_it(rule):
    ring = np.array([[-1e12, -1e12], [1e12, -1e12], [1e12, 1e12], [-1e12, 1e12], [np.nan, 0]])
    assert painted(Polygon(1, (ring,), rule), size=(4, 5)).all()


@given(masks, st.integers(-30, 30), st.integers(-30, 30), sizes)
def test_shapes_are_cut_off_at_the_frame(mask, row, column, size):
    expected = np.zeros(size, np.uint8)
    for y, x in np.argwhere(mask) + np.array([row, column]):
        if 0 <= y < size[0] and 0 <= x < size[1]:
            expected[y, x] = 5
    assert np.array_equal(painted(Patch(5, (row, column), mask), size=size), expected)
    if row == column == 0:
        assert np.array_equal(painted(Runs(5, runs_of(mask), mask.shape), size=size), expected)


@given(st.lists(st.tuples(st.integers(-1, 2), arrays(bool, (3, 4))), min_size=1, max_size=5))
def test_background_among_bits_cuts_what_is_under_it(layers):
    *under, (_, hole) = layers
    shapes = tuple(Patch(label, (0, 0), pixels) for label, pixels in under)

    def bits(*shapes):
        drawing = Drawing(None, shapes)
        return draw_bits(drawing, (3, 4), num_classes=2, ignore_index=4, dtype=np.uint8)

    cut = bits(*shapes, Patch(GROUND, (0, 0), hole))
    assert np.array_equal(cut, np.where(hole, 0, bits(*shapes)))
    again = bits(*shapes, Patch(GROUND, (0, 0), hole), *shapes)
    assert np.array_equal(again, bits(*shapes))


@given(st.lists(st.tuples(st.integers(-1, 2), arrays(bool, (3, 4))), max_size=5))
def test_bits_are_what_each_class_is_alone(layers):
    shapes = tuple(Patch(label, (0, 0), pixels) for label, pixels in layers)
    bits = draw_bits(Drawing((9, 9), shapes), (3, 4), num_classes=2, ignore_index=4, dtype=np.uint8)
    expected = np.zeros((3, 4), np.uint8)
    for k in range(2):
        alone = [shape for shape in shapes if shape.label == k]
        there = painted(*(shape._replace(label=1) for shape in alone), size=(3, 4))
        expected |= there * np.uint8(1 << k)
    for label, pixels in layers:
        expected[pixels & (label not in (0, 1))] = 4
    assert bits.dtype == np.uint8
    assert np.array_equal(bits, expected)


@given(st.lists(st.tuples(st.integers(-1, 2), arrays(bool, (3, 4))), max_size=5))
def test_overlaps_are_the_pixels_that_change_their_label(layers):
    found: dict[tuple[int, int], list] = {}
    canvas: dict[tuple[int, int], int] = {}
    for label, pixels in layers:
        for y, x in np.argwhere(pixels).tolist():
            below = canvas.setdefault((y, x), label)
            if below != label:
                found.setdefault((below, label), []).append((y, x))
            canvas[y, x] = label
    expected = {Overlap(*pair, len(at), min(at)) for pair, at in found.items()}
    shapes = tuple(Patch(label, (0, 0), pixels) for label, pixels in layers)
    answer = overlaps(Drawing(None, shapes), (3, 4))
    assert {*answer} == expected
    assert [o.pixels for o in answer] == sorted((o.pixels for o in answer), reverse=True)


# Marks.

near = st.floats(0, 40, allow_subnormal=False)
places = st.tuples(near, near)


@given(places, places, sizes)
def test_rectangles_and_circles_are_labelmes(one, other, size):
    points = np.array([one, other])
    low, high = points.min(0), points.max(0)
    expected = by_pillow(size, lambda pen: pen.rectangle([*low, *high], fill=1, outline=1))
    assert np.array_equal(painted(rectangle(1, points), size=size), expected)
    radius = math.dist(one, other)
    box = [one[0] - radius, one[1] - radius, one[0] + radius, one[1] + radius]
    expected = by_pillow(size, lambda pen: pen.ellipse(box, fill=1, outline=1))
    assert np.array_equal(painted(circle(1, points), size=size), expected)
    box = [one[0] - 5, one[1] - 5, one[0] + 5, one[1] + 5]
    expected = by_pillow(size, lambda pen: pen.ellipse(box, fill=1, outline=1))
    assert np.array_equal(painted(point(1, points[:1]), size=size), expected)


@given(places, places, st.integers(2, 12), sizes)
def test_straight_lines_are_labelmes(one, other, width, size):
    expected = by_pillow(size, lambda pen: pen.line([one, other], fill=1, width=width))
    shapes = line(1, np.array([one, other]), width=width)
    assert np.array_equal(painted(*shapes, size=size), expected)


strips = st.lists(places, min_size=3, max_size=5, unique_by=lambda at: (int(at[0]), int(at[1])))


@given(strips)
def test_a_line_is_its_straight_parts_and_round_joints(points):
    ring = np.array(points)
    parts = [line(1, np.array(ends)) for ends in pairwise(ring)]
    parts += [(point(1, np.trunc(at)[None], radius=4),) for at in ring[1:-1]]
    united = np.bitwise_or.reduce([painted(*part, size=(50, 50)) for part in parts])
    assert np.array_equal(painted(*line(1, ring), size=(50, 50)), united)
    doubled = painted(*line(1, ring.repeat(2, 0)), size=(50, 50))
    assert np.array_equal(doubled, united)


@given(strips)
def test_a_line_differs_from_labelmes_at_most_beside_its_joints(points):
    expected = by_pillow((50, 50), lambda pen: pen.line(points, fill=1, width=10, joint="curve"))
    ours = painted(*line(1, np.array(points)), size=(50, 50))
    joints = painted(*(point(1, np.array([at]), radius=7) for at in points[1:-1]), size=(50, 50))
    assert not ((ours != expected) & (joints == 0)).any()


@pytest.mark.parametrize("radius", [0, 0.5, 1, 2.5, 7, 63.2, 511.9, 1024])
def test_circles_of_all_sizes_are_pillows_and_small_in_memory(radius: float):
    for x, y in ((700.3, 650.0), (-20.5, 1390.9), (1400.0, 0.2)):
        shape = circle(1, np.array([[x, y], [x + radius, y]]))
        box = [x - radius, y - radius, x + radius, y + radius]
        canvas = pil.new("L", (1400, 1400))
        ImageDraw.Draw(canvas).ellipse(box, fill=1, outline=1)
        assert np.array_equal(painted(shape, size=(1400, 1400)), np.array(canvas))
        assert isinstance(shape, Polygon)
        assert sum(ring.nbytes for ring in shape.rings) <= 30_000


def test_large_circles_are_round():
    mask = painted(circle(1, np.array([[0, 0], [1500, 0]])), size=(1600, 1600))
    y, x = np.mgrid[:1600, :1600]
    off = np.hypot(x, y)[mask.astype(bool) != (np.hypot(x, y) <= 1500)]
    assert abs(off - 1500).max() < 2


@pytest.mark.parametrize("points", [[], [[np.nan, 1]], [[1e300, 1], [np.inf, 2]]])
def test_marks_without_a_place_paint_nothing(points):
    points = np.array(points)
    for shape in (rectangle(1, points), circle(1, points), point(1, points), *line(1, points)):
        assert not painted(shape, size=(5, 5)).any()


def test_a_stamp_lies_where_it_was_put(tmp_path: Path):
    pixels = np.array([[0, 255, 0], [1, 0, 9]], np.uint8)
    pil.fromarray(pixels).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    shape = stamp(4, np.array([[1.6, 0.2], [3, 1]]), content, where="a.json")
    assert painted(shape, size=(3, 5)).tolist() == [[0, 0, 0, 4, 0], [0, 0, 4, 0, 4], [0] * 5]
    nowhere = stamp(4, np.array([[np.nan, 1]]), content, where="a.json")
    assert not painted(nowhere, size=(3, 5)).any()
    header = content[12:16] + (1 << 30).to_bytes(4, "big") + content[20:29]
    bomb = content[:12] + header + crc32(header).to_bytes(4, "big") + content[33:]
    with pytest.raises(ImageError, match="claims 1073741824 x 2 pixels"):
        stamp(4, np.array([0, 0]), bomb, where="a.json")
    for broken in (b"", b"GIF89a", content[:50]):
        with pytest.raises(ImageError, match=r"a\.json: has a mask.*whole PNG") as error:
            stamp(4, np.array([0, 0]), broken, where="a.json")
        assert error.value.code == "F201"


# Label Studio's brush.


@given(masks)
def test_brushes_come_back(mask):
    assert np.array_equal(label_studio_decode(label_studio_encode(mask), mask.shape), mask)


def test_a_long_brush_is_cut_into_records():
    mask = np.ones((200, 300), bool)
    mask[0, 0] = False
    assert np.array_equal(label_studio_decode(label_studio_encode(mask), mask.shape), mask)


def packed(bits: str) -> list[int]:
    bits = bits.replace(" ", "")
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


HEAD = f"{8:032b} 00111 0001 0010 0011 0100"  # 8 values of 8 bits; lengths of 2, 3, 4 or 5
# Red, green, blue of the first pixel one by one, its alpha 0; then 4 times 9, by another length.
STREAM = HEAD + " 0 00 11 00000001 00000010 00000011 00000000  1 11 00011 00001001"


def test_a_brush_worked_by_hand():
    assert label_studio_decode(packed(STREAM), (1, 2)).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([], "not the bytes"),
        ([0] * 5, "not the bytes"),
        ([999] * 20, "not the bytes"),
        (packed(STREAM)[:-1], "ends before"),
        (packed(HEAD), "ends before"),
        (packed(STREAM.replace(f"{8:032b}", f"{12:032b}")), "holds 12 values.*1 x 2 pixels"),
    ],
)
def test_what_is_no_brush_of_the_picture_is_refused(numbers: list[int], said: str):
    with pytest.raises(ValueError, match=said):
        label_studio_decode(numbers, (1, 2))


# Rings.


def test_crossings_are_found_where_they_are():
    bow = np.array([[0, 0], [4, 4], [4, 0], [0, 4]])
    assert crosses_itself(bow) == (2, 2)
    assert crosses_itself(np.array([[0, 0], [4, 0], [4, 4], [0, 4], [np.nan, 2]])) is None
    keyholed = np.array(
        [[0, 0], [9, 0], [9, 9], [0, 9], [0, 5], [3, 5], [6, 6], [6, 3], [3, 5], [0, 5]]
    )
    assert crosses_itself(keyholed) is None
    assert crosses_itself(np.zeros((0, 2))) is None


@given(rings(), st.integers(-5, 5), st.integers(-5, 5))
def test_area_is_that_of_the_triangles_whatever_the_place(ring, x, y):
    signed = sum(
        ((b - ring[0])[0] * (c - ring[0])[1] - (b - ring[0])[1] * (c - ring[0])[0]) / 2
        for b, c in pairwise(ring)
    )
    assert area(ring + np.array([x, y])) == pytest.approx(abs(signed), abs=1e-6)
    assert area(ring[::-1]) == pytest.approx(area(ring), abs=1e-6)
    assert area(ring[:2]) == area(ring[:0]) == 0


def test_outside_is_more_than_a_pixel_away():
    for x, y, out in (
        (-1, 0, False),
        (-1.1, 0, True),
        (31, 9, False),
        (31.2, 9, True),
        (5, 11.5, True),
        (np.nan, 1, True),
    ):
        assert outside(np.array([[0, 0], [x, y], [5, 5]]), (10, 30)) is out


# From pixels to rings.


def drawn_again(regions: list[Region], size, *, with_keyholes: bool) -> np.ndarray:
    rings_of = (((keyhole(r),) if with_keyholes else (r.outer, *r.holes)) for r in regions)
    return painted(*(Polygon(1, rings, "centre") for rings in rings_of), size=size)


@given(masks, st.booleans())
@settings(max_examples=100)
def test_what_is_traced_is_drawn_again(mask, with_keyholes):
    regions = trace(mask)
    assert np.array_equal(drawn_again(regions, mask.shape, with_keyholes=with_keyholes), mask)
    for region in regions:
        one, other = (drawn_again([region], mask.shape, with_keyholes=way) for way in (False, True))
        assert np.array_equal(one, other)
        assert min(map(len, (region.outer, *region.holes))) >= 3


def test_small_masks_with_holes_are_drawn_again():
    for bits in range(0, 1 << 16, 127):
        inside = (bits >> np.arange(16) & 1).astype(bool).reshape(4, 4)
        mask = np.pad(inside, 1, constant_values=True)
        regions = trace(mask)
        for way in (False, True):
            assert np.array_equal(drawn_again(regions, mask.shape, with_keyholes=way), mask), bits


def test_regions_touch_at_sides_and_holes_at_corners():
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1], [1, 1, 1, 1]], bool)
    first, second = trace(mask), trace(~mask)
    assert [len(region.holes) for region in first] == [0]
    assert [region.outer.tolist()[0] for region in second] == [[3, 0], [1, 1], [2, 2]]


def test_rings_have_points_only_where_they_turn():
    mask = np.zeros((50, 60), bool)
    mask[5:40, 10:50] = True
    mask[20:30, 20:30] = False
    (region,) = trace(mask)
    assert region.outer.tolist() == [[10, 5], [49, 5], [49, 39], [10, 39]]
    assert len(region.holes[0]) == 4
    assert len(keyhole(region)) < 16
    assert crosses_itself(keyhole(region)) is None


def test_traced_streets_are_drawn_again(shared_data: Path):
    mask = read_mask(sorted((shared_data / "camvid/trainannot").iterdir())[0])
    for label in np.unique(mask):
        there = mask == label
        for way in (False, True):
            assert np.array_equal(drawn_again(trace(there), there.shape, with_keyholes=way), there)
