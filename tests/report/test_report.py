"""The page is whole, tells the truth about the run, and lets nothing in or out."""

import base64
import io
import json
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as pil

import atrous.report as report_module
from atrous.classes import Classes, from_hex
from atrous.errors import DataError, RunError
from atrous.evaluate import Counted, summed
from atrous.kernels.borders import border_counts
from atrous.metrics.boundary import BoundaryScores
from atrous.metrics.scores import Scores, scored
from atrous.predict.predictor import Prediction
from atrous.recipe import Recipe, to_toml
from atrous.report import charts, contents, gallery, page, pictures, tables
from atrous.types import Grid, Sample

EVIL = "<script>alert(1)</script>"
URL = '"onload=x src=http://evil.example/x.png'
CLASSES = Classes(("sky", EVIL, URL), remap={9: "ignore"})
NAMES = tuple(f"street/{i}&<b>" for i in range(6))


def truth(name: str) -> np.ndarray:
    rng = np.random.default_rng(NAMES.index(name))
    return rng.choice(np.array([0, 1, 2, 255], np.uint8), (20, 30))


def prediction(name: str) -> np.ndarray:
    """As the truth, with the more wrong rows the later the name stands."""
    pred = np.where(truth(name) == 255, 0, truth(name)).astype(np.uint8)
    pred[: 2 * NAMES.index(name)] = 1
    return pred


def read(name: str) -> Sample:
    return Sample(np.full((20, 30, 3), NAMES.index(name), np.uint8), truth(name), name)


def predict(image: np.ndarray) -> np.ndarray:
    return prediction(NAMES[int(image[0, 0, 0])])


def scores_of(name: str) -> Scores:
    valid = truth(name) != 255
    cells = truth(name)[valid].astype(np.int64) * 3 + prediction(name)[valid]
    return Scores(CLASSES.names, np.bincount(cells, minlength=9).reshape(3, 3))


def borders_of(name: str) -> BoundaryScores:
    counts = border_counts(
        prediction(name), truth(name), num_classes=3, ignore_index=255, distance=1
    )
    return BoundaryScores(CLASSES.names, counts)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run whose data set is gone."""
    folder = tmp_path / "run"
    folder.mkdir()
    images = (Counted(name, scores_of(name), borders_of(name)) for name in NAMES)
    evaluation = summed("val", CLASSES, images)
    known = {"root": str(tmp_path / "gone"), "classes": CLASSES.to_dict(), "splits": {"val": 6}}
    lines = [{"step": s, "loss": 3 / s, "lr": 1e-3 / s, "images_per_s": 4.0} for s in range(1, 50)]
    values = [{"step": s, "val": {"mIoU": s / 60, "IoU": [0.5, None, 0.1]}} for s in (20, 40)]
    text = "\n".join(map(json.dumps, [{"machine": {"torch": "2.14.1"}}, *lines, *values]))
    (folder / "scores.json").write_text(json.dumps(evaluation.to_dict()), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(known), encoding="utf-8")
    (folder / "recipe.toml").write_text(to_toml(Recipe()), encoding="utf-8")
    (folder / "log.jsonl").write_text(text + '\n{"step": 50, "lo', encoding="utf-8")
    return folder


def with_pictures(run: Path) -> contents.Contents:
    found = contents.read_contents(run)
    worst, best = gallery.extremes(found.scores["images"])
    return gallery.shown(found, worst, best, read=read, predict=predict)


class Elements(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_loads_nothing_from_elsewhere(run: Path):
    html = page.page(with_pictures(run))
    seen = Elements(html)
    for tag, attributes in seen.elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "audio", "video"}
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(key, "#").startswith(("#", "data:image/")), (tag, attributes)
        assert "http" not in attributes.get("style", "")
    assert all(url.startswith("data:image/") for url in re.findall(r"url\(([^)]*)", html))
    assert "@import" not in html
    (policy,) = [a["content"] for t, a in seen.elements if "http-equiv" in a and t == "meta"]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_names_of_the_user_are_inert(run: Path):
    html = page.page(with_pictures(run))
    seen = Elements(html)
    assert sum(tag == "script" for tag, _ in seen.elements) == 1
    assert EVIL not in html and escape(EVIL) in html
    assert not any(key.startswith("on") for _, attributes in seen.elements for key in attributes)
    assert sum(tag == "img" for tag, _ in seen.elements) == 3 * len(NAMES)


def test_only_the_script_of_the_page_may_run(run: Path):
    html = page.page(contents.read_contents(run))
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert page._policy(script) in html


def test_the_numbers_are_those_of_the_scores(run: Path):
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    html = page.page(contents.read_contents(run))
    seen = Elements(html)
    assert [float(a["data-miou"]) for _, a in seen.elements if "data-miou" in a] == [scores["mIoU"]]
    ious = [float(a["data-iou"]) for _, a in seen.elements if "data-iou" in a]
    assert ious == [row["IoU"] for row in scores["classes"]]
    borders = [row["boundary_IoU"] for row in scores["classes"]]
    assert min(borders) > 0
    whole = ("mIoU", "pixel_accuracy", "mIoU_per_image", "boundary_mIoU")
    for number in [*map(scores.get, whole), *ious, *borders]:
        assert f"{number:.3f}" in seen.text
    titles = [a["title"] for tag, a in seen.elements if tag == "td" and "px" in a.get("title", "")]
    assert [int(re.findall(r": ([\d,]+) px", t)[0].replace(",", "")) for t in titles] == [
        cell for row in scores["confusion"] for cell in row
    ]


def test_the_worst_come_first_and_no_picture_comes_twice(run: Path):
    found = with_pictures(run)
    mious = [scores_of(name).miou for name in NAMES]
    shown = [*found.worst, *found.best]
    assert found.worst[0].miou == min(mious) and found.best[0].miou == max(mious)
    assert len({p.name for p in shown}) == len(shown) == len(NAMES)
    assert found.note == ""


def test_a_picture_that_scores_otherwise_now_is_told(run: Path):
    found = contents.read_contents(run)
    row = {"name": NAMES[3], "mIoU": 0.123}
    found = gallery.shown(found, [row], [], read=read, predict=predict)
    assert "0.123" in found.note and NAMES[3] in found.note
    assert escape(found.note) in page.page(found)


def test_a_picture_that_cannot_be_read_is_told_and_the_rest_shown(run: Path):
    def broken(name: str) -> Sample:
        if name == NAMES[0]:
            raise DataError("0.png", found="is cut off", allowed="it must be whole", fix="Copy it.")
        return read(name)

    found = contents.read_contents(run)
    rows = [{"name": name, "mIoU": scores_of(name).miou} for name in NAMES[:2]]
    found = gallery.shown(found, rows, [], read=broken, predict=predict)
    assert [p.name for p in found.worst] == [NAMES[1]] and "is cut off" in found.note


@st.composite
def truth_and_prediction(draw):
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.choice(np.array([0, 1, 255], np.uint8), size), rng.integers(0, 2, size).astype(
        np.uint8
    )


@given(truth_and_prediction())
def test_the_errors_are_exactly_the_wrong_pixels(pair):
    mask, pred = pair
    judged = pictures.verdicts(mask, pred, Classes(("a", "b")))
    wrong = np.isin(judged, (pictures.Verdict.WRONG, pictures.Verdict.STRIPE))
    assert np.array_equal(wrong, (mask != 255) & (mask != pred))
    assert np.array_equal(judged == pictures.Verdict.IGNORED, mask == 255)


def test_large_errors_are_hatched():
    judged = pictures.verdicts(np.zeros((9, 9), np.uint8), np.ones((9, 9), np.uint8), CLASSES)
    assert {pictures.Verdict.WRONG, pictures.Verdict.STRIPE} == set(judged.ravel().tolist())


def test_the_layers_hold_what_was_drawn():
    mask, pred = truth(NAMES[2]), prediction(NAMES[2])
    made = pictures.layers(np.zeros((20, 30, 3), np.uint8), mask, pred, CLASSES)
    drawn = pictures.painted(pictures.verdicts(mask, pred, CLASSES))
    assert np.array_equal(decoded(made.errors)[..., :3], drawn[..., :3])
    seen = decoded(made.truth)
    assert np.array_equal(seen[..., 3] == 0, mask == 255)
    assert np.array_equal(
        seen[mask == 1][:, :3], np.tile(CLASSES.colours[1], ((mask == 1).sum(), 1))
    )


def decoded(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.partition(",")[2])
    return np.asarray(pil.open(io.BytesIO(content)).convert("RGBA"))


@pytest.mark.parametrize(
    ("bands", "dtype"), [(1, "uint8"), (3, "uint16"), (4, "uint8"), (13, "uint16")]
)
def test_any_picture_becomes_a_photograph_no_wider_than_allowed(bands: int, dtype: str):
    image = np.full((300, 1000, bands), np.iinfo(dtype).max, dtype)
    mask = np.zeros((300, 1000), np.uint8)
    made = pictures.layers(image, mask, mask, CLASSES)
    assert made.size == (480, 144)
    assert decoded(made.photo).shape == (144, 480, 4) and decoded(made.photo).min() == 255


finite = st.floats(-1e9, 1e9)


@given(st.lists(st.tuples(st.integers(0, 10**7), finite | st.just(float("nan"))), max_size=40))
def test_a_chart_is_well_formed_whatever_the_values(points):
    steps, values = np.array(sorted(points) or np.zeros((0, 2))).T
    for style in ("line", "faint", "marked"):
        text = charts.line_chart([charts.Curve(steps, values, style)], label='"<loss>"')
        tree = ElementTree.fromstring(text)
        numbers = re.findall(r"-?[\d.]+", "".join(e.get("d", "") for e in tree.iter()))
        assert all(0 <= float(number) <= charts.WIDTH for number in numbers)


def test_every_svg_of_the_page_is_well_formed(run: Path):
    svgs = re.findall(r"<svg.*?</svg>", page.page(contents.read_contents(run)), re.DOTALL)
    assert len(svgs) == 3 + 2  # curves, and the two classes that have an IoU twice
    for svg in svgs:
        ElementTree.fromstring(svg)


@given(st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(high: float):
    ticks = charts.nice_ticks(0.0, high, 5)
    assert 2 <= len(ticks) <= 6 and ticks[0] == 0 and ticks[-1] <= high * (1 + 1e-9)


@pytest.mark.parametrize("dark", [False, True])
def test_numbers_stand_out_on_every_heat(dark: bool):
    for high in (tables.RIGHT_HEAT, tables.WRONG_HEAT):
        for colour in tables.heat_scale(tables.NONE_HEAT[dark], high[dark]):
            assert tables.contrast(colour, tables.ink(colour)) >= 4.5


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_of_the_page_stands_out_from_every_ground(dark: bool):
    text = page._resource("page.css")
    blocks = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): #(\w{6})", blocks[1 if dark else 0]))
    rgb = {name: from_hex(value) for name, value in colours.items()}
    for ink in ("ink", "soft", "accent", "good", "bad"):
        for ground in ("paper", "card"):
            assert tables.contrast(rgb[ink], rgb[ground]) >= 4.5, (ink, ground)


def test_a_run_whose_data_set_is_gone_still_gives_a_page(run: Path):
    path = report_module.report(run)
    html = path.read_text(encoding="utf-8")
    assert path == run / "report.html"
    assert "Pictures are left out" in html and str(run.parent / "gone") in html
    assert "<figure" not in html


def test_where_the_data_set_still_lies_its_pictures_are_shown(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for i, name in enumerate(NAMES):
        for folder, pixels in (("images", read(name).image), ("masks", truth(name))):
            path = tmp_path / "gone" / "val" / folder / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pil.fromarray(pixels).save(path)
    text = (run / "scores.json").read_text(encoding="utf-8")
    for i, name in enumerate(NAMES):
        text = text.replace(json.dumps(name), json.dumps(str(i)))
    (run / "scores.json").write_text(text, encoding="utf-8")

    class FakePredictor:
        classes = CLASSES

        def __call__(self, image: np.ndarray) -> Prediction:
            return Prediction(predict(image), CLASSES, image, np.zeros((3, 20, 30)), Grid(1, 0.0))

    monkeypatch.setattr("atrous.predict.predictor.load", lambda run, **_: FakePredictor())
    html = report_module.report(run).read_text(encoding="utf-8")
    assert html.count("<figure") == len(NAMES) and 'class="notice"' not in html


def test_a_run_with_scores_alone_still_gives_a_page(run: Path, tmp_path: Path):
    for name in ("dataset.json", "log.jsonl"):
        (run / name).unlink()
    path = report_module.report(run, out=tmp_path / "new" / "page.html")
    assert path == tmp_path / "new" / "page.html" and not (run / "report.html").exists()
    assert escape(EVIL) in path.read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_bytes(run: Path):
    assert report_module.report(run).read_bytes() == report_module.report(run).read_bytes()


def test_the_module_is_called_like_the_function(run: Path):
    assert report_module(run) == run / "report.html"  # pyright: ignore[reportCallIssue]


def test_scores_of_before_borders_were_counted_still_give_a_page(run: Path):
    assert "Boundary IoU" in Elements(page.page(contents.read_contents(run))).text
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    for values in (scores, scores["definitions"], *scores["classes"]):
        for key in [key for key in values if key.startswith("boundary")]:
            del values[key]
    (run / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    html = page.page(contents.read_contents(run))
    assert "Boundary IoU" not in html and f"{scores['mIoU']:.3f}" in Elements(html).text


def test_a_run_without_scores_is_refused(run: Path):
    (run / "scores.json").unlink()
    with pytest.raises(RunError, match=r"no scores\.json yet, but .* --resume") as caught:
        report_module.report(run)
    assert caught.value.where == str(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    for folder, found in [(tmp_path, "without recipe"), (tmp_path / "none", "is not a folder")]:
        with pytest.raises(RunError, match=found) as caught:
            report_module.report(folder)
        assert caught.value.where == str(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("scores.json", "{"),
        ("scores.json", "[]"),
        ("scores.json", '{"classes": [], "confusion": [[1]]}'),
        ("scores.json", '{"mIoU": 1, "pixel_accuracy": 1, "pixels": 1}'),
        ("dataset.json", "nonsense"),
        ("dataset.json", '{"classes": {"names": ["other"], "colours": [], "remap": {}}}'),
    ],
)
def test_a_damaged_file_is_named(run: Path, file: str, content: str):
    (run / file).write_text(content, encoding="utf-8")
    with pytest.raises(RunError) as caught:
        report_module.report(run)
    assert caught.value.where == str(run / file)
    assert not (run / "report.html").exists()


def test_of_a_step_logged_twice_the_later_line_counts(run: Path):
    with open(run / "log.jsonl", "a", encoding="utf-8") as log:
        log.write('\n{"step": 7, "loss": 99.0}\n{"step": "x"}\n[]\n{"other": 1}\n')
    log = contents.read_log(run / "log.jsonl")
    assert log.column("loss")[6] == 99.0 and len(log.steps) == 49
    assert log.machine == {"torch": "2.14.1"}


@pytest.mark.parametrize("count", [1, 2, 40, 150])
def test_any_number_of_classes_gives_a_page(count: int):
    rng = np.random.default_rng(count)
    names = tuple(f"class {i}" for i in range(count))
    confusion = rng.integers(0, 9, (count, count))
    confusion[-1] = 0
    made = contents.Contents("run", Scores(names, confusion).to_dict(), Classes(names))
    seen = Elements(page.page(made))
    assert sum(tag == "tr" for tag, _ in seen.elements) == 2 * (count + 1)


def test_a_run_without_any_truth_gives_a_page():
    names = ("a", "b")
    empty = Scores(names, np.zeros((2, 2), np.int64)).to_dict()
    made = contents.Contents("run", empty, Classes(names))
    assert "–" in Elements(page.page(made)).text


OVERLAPPING = Classes(("road", "wet"), ((200, 0, 0), (0, 100, 0)), task="multilabel")


def test_where_classes_overlap_none_is_taken_for_another(run: Path):
    """No confusion matrix; pixels are wrong where any of their classes is."""
    mask, pred = np.array([[0, 1, 3, 4]], np.uint8), np.array([[0, 3, 3, 1]], np.uint8)
    scores = scored(pred, mask, OVERLAPPING)
    made = contents.Contents("run", scores.to_dict(), OVERLAPPING)
    sample = Sample(np.zeros((1, 4, 3), np.uint8), mask, "a")
    row = {"name": "a", "mIoU": scores.miou}
    made = gallery.shown(made, [row], [], read=lambda _: sample, predict=lambda _: pred)
    assert (made.worst[0].wrong, made.worst[0].mistake, made.note) == (1 / 3, None, "")
    html = page.page(made)
    assert 'class="confusion' not in html and "taken for" not in html
    assert "several at once" in html and "33.3 % of its pixels wrong" in html
    assert made.worst[0].layers.truth != made.worst[0].layers.prediction
    seen = decoded(made.worst[0].layers.truth)
    assert seen[0, :, 3].tolist() == [0, 255, 255, 0]
    assert seen[0, 2, :3].tolist() == [100, 50, 0]


def test_scores_alone_say_that_classes_overlap(run: Path):
    names = list(OVERLAPPING.names)
    scores = scored(
        np.array([[0, 3]], np.uint8), np.array([[1, 3]], np.uint8), OVERLAPPING
    ).to_dict()
    (run / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    (run / "dataset.json").unlink()
    found = contents.read_contents(run)
    assert (found.classes.task, list(found.classes.names)) == ("multilabel", names)


def test_comments_of_the_recipe_are_shown_and_escaped():
    made = contents.Contents("run", Scores(("a",), np.ones((1, 1), np.int64)).to_dict(), CLASSES)
    made = replace(made, classes=Classes(("a",)), recipe='[model]\nname = "<i>"  # <b>\nnot toml')
    text = Elements(page.page(made)).text
    assert 'name = "<i>"' in "".join(text) and "  # <b>" in text
