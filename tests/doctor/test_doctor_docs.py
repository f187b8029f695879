"""docs/doctor.md has a paragraph on each code, and shows what is really said."""

import io
import re
from pathlib import Path
from typing import get_args

from rich.console import Console

from atrous.cli.diagnosis import answer, closing
from atrous.cli.doctor import verdict
from atrous.data.layouts import FORMS
from atrous.doctor import KINDS, examine
from atrous.types import LayoutName

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
HEADING = re.compile(r"^### ([A-Z]\d{3}) (.+)\n\n(.+)", re.M)


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def blocks() -> list[str]:
    """What the page shows as said by the doctor."""
    return re.findall(r"^```text\n(.*?)^```", text(), re.M | re.S)


def test_each_kind_has_its_paragraph_and_nothing_else_has_one():
    found = HEADING.findall(text())
    assert [code for code, *_ in found] == sorted(KINDS, key=list(KINDS).index)
    for code, title, paragraph in found:
        assert title == KINDS[code].title
        severity = KINDS[code].severity.capitalize()
        assert paragraph.startswith(f"*{severity}.* "), code


def test_what_is_said_of_the_fix_is_said_of_every_kind():
    for section in re.split(r"^## ", text(), flags=re.M):
        of_all = "`--fix`" in section.split("\n### ")[0]
        for paragraph in section.split("\n### ")[1:]:
            needs_none = paragraph.startswith("S108")
            assert of_all or needs_none or "`--fix`" in paragraph, paragraph.splitlines()[0]


def test_each_layout_has_its_row():
    rows = re.findall(r"^\| `(\w+)` \|", text(), re.M)
    assert sorted(rows) == sorted(get_args(LayoutName)) == sorted(FORMS)


def test_what_the_page_shows_is_what_is_said(shared_data):
    """As it stands there but for the folder, and for the time that this machine takes."""
    shown = blocks()
    assert len(shown) == 2
    for block, name in zip(shown, ("camvid", "kvasir5_jpegmasks"), strict=True):
        diagnosis = examine(shared_data / name)
        console = Console(file=io.StringIO(), width=80)
        said = answer(diagnosis, "TRAINING", console)
        said += f"\n\n{closing(verdict(diagnosis, ()), console)}\n"
        said = said.replace(str(shared_data / name), name)
        assert without_time(said) == without_time(block)


def without_time(said: str) -> str:
    """What is said but for the lines on time and memory."""
    return re.sub(r"^training  .*\n( {12}.*\n)*", "", said, flags=re.M)
