"""The doctor's page shows every finding, lets nothing in or out, and comes whatever files hold."""

import base64
import io
import re
import shutil
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

from atrous.classes import Classes, colour_label
from atrous.doctor import KINDS, Diagnosis, Finding, examine
from atrous.errors import RunError
from atrous.report import tiles
from atrous.report.doctor import MOST_TILES, POLICY, doctor_page, write_doctor_page
from atrous.report.tiles import SIDE, Tiles, painted
from atrous.report.verdict import Verdict

LAST = Verdict("2 errors. Training refuses this.", "atrous doctor x --fix COPY")
EVIL = "<script>alert(1)</script>"


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))


@pytest.fixture
def root(shapes, tmp_path) -> Path:
    """The shapes with one defect of many kinds."""
    root = tmp_path / "set & <b>"
    shutil.copytree(shapes, root)
    images, masks = root / "train/images", root / "train/masks"
    mask = np.array(pil.open(masks / "0.png"))
    mask[10, 20] = 9
    pil.fromarray(mask).save(masks / "0.png")  # M403
    (images / "1.png").write_bytes((images / "1.png").read_bytes()[:900])  # F202
    pil.fromarray(mask[:40, :40]).save(masks / "2.png")  # M401
    (masks / "3.png").write_bytes(b"")  # F203
    shutil.copy(masks / "4.png", masks / "lonely.png")  # S102
    shutil.copy(images / "5.png", root / "val/images/5.png")  # D602
    shutil.copy(masks / "5.png", root / "val/masks/5.png")
    return root


@pytest.fixture
def diagnosis(root) -> Diagnosis:
    return examine(root)


def views(diagnosis: Diagnosis, code: str, count: int = MOST_TILES) -> list[tiles.Tile]:
    findings = [finding for finding in diagnosis.findings if finding.code == code]
    return Tiles(diagnosis).of(findings, most=count, room=10**7)


def decoded(view: tiles.View) -> np.ndarray:
    return np.asarray(pil.open(io.BytesIO(base64.b64decode(view.uri.partition(",")[2]))))


def test_the_page_loads_nothing_and_runs_nothing(diagnosis):
    html = doctor_page(diagnosis, "unknown", LAST)
    elements = Elements(html).elements
    outside = {"script", "link", "iframe", "object", "embed", "base", "form", "audio", "video"}
    assert not outside & {tag for tag, _ in elements}
    for tag, attributes in elements:
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(key, "#").startswith(("#", "data:image/")), (tag, attributes)
        assert not any(key.startswith("on") for key in attributes)
    assert not re.search(r"@import|https?:", html)
    (policy,) = [a["content"] for t, a in elements if t == "meta" and "http-equiv" in a]
    assert policy == POLICY and "default-src 'none'" in policy


def test_names_of_the_user_are_inert(diagnosis):
    finding = Finding("M403", f"{EVIL}.png", EVIL, EVIL, others=(EVIL,))
    assert diagnosis.data is not None and diagnosis.card is not None
    row = diagnosis.card.classes[0]._replace(name=EVIL)
    evil = replace(
        diagnosis,
        findings=(finding,),
        card=replace(diagnosis.card, classes=(row,), how=(EVIL,), kind=EVIL),
    )
    html = doctor_page(evil, EVIL, Verdict(EVIL, EVIL))
    assert "<script" not in html and escape(EVIL) in html
    assert "set &amp; &lt;b&gt;" in html


def test_each_finding_is_there_with_its_kind_effect_and_fix(diagnosis):
    codes = {finding.code for finding in diagnosis.findings}
    assert {"M403", "F202", "M401", "F203", "S102", "D602"} <= codes
    html = doctor_page(diagnosis, "about 35 min", LAST)
    for code in codes:
        assert f'id="{code}"' in html and f'href="#{code}"' in html
        assert escape(KINDS[code].effect[1:]) in html
    for finding in diagnosis.findings:
        assert escape(finding.where) in html and escape(finding.found) in html
        assert escape(finding.fix) in html
    assert "about 35 min" in html and LAST.command in html


def test_beyond_the_first_tiles_findings_are_a_list(diagnosis):
    many = tuple(Finding("M411", f"val/masks/{i}.png", f"empty {i}", "x") for i in range(60))
    html = doctor_page(replace(diagnosis, findings=many), "unknown", LAST)
    assert sum(tag == "figure" for tag, _ in Elements(html).elements) == MOST_TILES
    assert "<summary>36 more</summary>" in html
    assert all(f"empty {i}" in html for i in range(60))


def test_a_ring_stands_at_the_pixel(diagnosis):
    (tile,) = views(diagnosis, "M403")
    whole, close = tile.views
    assert whole.ring == (20.5, 10.5) and whole.size == (96, 72)
    assert close.close and close.ring is not None
    x, y = (int(at) for at in close.ring)
    red, green, blue = decoded(close)[y, x, :3].astype(int)
    assert red > 200 and green < 130 and blue < 160  # the label of no class, among greens
    assert (decoded(close)[:, :, 0] > 200).sum() < 30


def test_a_ring_of_a_large_picture_is_scaled_with_it():
    photo = np.zeros((1200, 600, 3), np.uint8)
    view = tiles._view(photo, None, "", (600, 300))
    assert view.size == (SIDE // 2, SIDE)
    assert view.ring == pytest.approx((300.5 * SIDE / 1200, 600.5 * SIDE / 1200))


def test_a_mask_of_another_size_lies_beside_its_picture(diagnosis):
    (tile,) = views(diagnosis, "M401")
    picture, mask = tile.views
    assert picture.size == (96, 72) and mask.size == (40, 40)


def test_twins_lie_side_by_side(diagnosis):
    (tile,) = views(diagnosis, "D602")
    one, other = tile.views
    assert one.uri == other.uri != ""
    assert tile.finding.others


def test_what_cannot_be_read_has_a_tile_that_says_why(diagnosis):
    (cut,) = views(diagnosis, "F202")
    assert [view.uri for view in cut.views] == [""]
    assert cut.views[0].words in {f.found.partition(", but ")[0] for f in diagnosis.findings}
    (empty,) = views(diagnosis, "F203")
    picture, mask = empty.views
    assert picture.uri and not mask.uri and "empty" in mask.words


def test_a_mask_without_a_picture_shows_its_classes(diagnosis):
    (tile,) = views(diagnosis, "S102")
    (view,) = tile.views
    grass = diagnosis.data.classes.colours[0]
    assert np.abs(decoded(view)[0, 0].astype(int) - grass).max() < 12


def test_the_page_comes_though_all_files_are_gone(diagnosis, root):
    shutil.rmtree(root)
    html = doctor_page(diagnosis, "unknown", LAST)
    assert "there is no such file" in html
    assert html.rstrip().endswith("</html>")


def test_a_folder_that_is_not_understood_has_a_page_too(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    html = doctor_page(examine(tmp_path), "unknown", LAST)
    assert 'id="S109"' in html and "What is there" not in html


def test_lists_and_annotations_of_many_pictures_have_no_tile(diagnosis):
    finding = Finding("S106", "train.txt:3", "lists 'x', which is not there", "Correct it.")
    assert views(replace(diagnosis, findings=(finding,)), "S106") == []


def test_a_page_of_every_kind_stays_below_ten_megabytes(tmp_path):
    random = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(3):  # of noise, the worst that a JPEG can be of
        noise = random.integers(0, 256, (300, 400, 3), np.uint8)
        pil.fromarray(noise).save(tmp_path / "images" / f"{i}.png", compress_level=1)
        mask = random.integers(0, 2, (300, 400), np.uint8)
        pil.fromarray(mask).save(tmp_path / "masks" / f"{i}.png", compress_level=1)
    findings = tuple(
        Finding(code, f"images/{i % 3}.png", "is odd " * 10, "Mend it.", (5, 5))
        for code in KINDS
        for i in range(400)
    )
    diagnosis = replace(examine(tmp_path), findings=findings)
    html = doctor_page(diagnosis, "unknown", LAST)
    assert html.count("<section class=finding") == len(KINDS)
    assert html.count("<figure") >= len(KINDS)
    assert len(html.encode()) < 10_000_000


def test_painted_masks_say_what_is_ignored_and_what_is_no_class():
    classes = Classes(("background", "road"))
    rgba = painted(np.array([[0, 1, 255, 7]]), classes)
    assert rgba[0, :, 3].tolist() == [0, 255, 0, 255]
    assert tuple(rgba[0, 1, :3]) == classes.colours[1]
    assert tuple(rgba[0, 3, :3]) == tiles.WRONG
    colours = painted(np.array([[colour_label((9, 8, 7)), 4]]), None)
    assert tuple(colours[0, 0]) == (9, 8, 7, 255) and colours[0, 1, 3] == 255


def test_a_page_that_cannot_be_written_is_a_plain_error(diagnosis, tmp_path):
    (tmp_path / "doctor.html").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        write_doctor_page(diagnosis, tmp_path / "doctor.html", "unknown", LAST)


def test_names_that_are_no_text_do_not_stop_the_page(diagnosis, tmp_path):
    finding = Finding("F201", "caf\udce9.png", "cannot be decoded", "Get it again.")
    page = tmp_path / "doctor.html"
    write_doctor_page(replace(diagnosis, findings=(finding,)), page, "unknown", LAST)
    assert r"caf\udce9.png" in page.read_text(encoding="utf-8")
