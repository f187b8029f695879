"""What the pages tell people to type is understood by the command line."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from atrous.cli import app

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
PAGES = ["README.md", "docs/doctor.md", "docs/results.md", "docs/lineage.md", "docs/deploy.md"]


def blocks(page, language):
    text = (ROOT / page).read_text(encoding="utf-8")
    return [content for name, content in FENCE.findall(text) if name == language]


def commands():
    for page in PAGES:
        for block in blocks(page, ""):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words and Path(words[0]).name == "atrous":
                    yield words[1:]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_a_command_of_the_pages_is_understood(words):
    app.parse_args(words, exit_on_error=False, print_error=False)


def test_there_are_commands_and_python_and_toml_on_the_pages():
    assert len(list(commands())) > 5
    for block in blocks("README.md", "python"):
        compile(block, "README.md", "exec")
    for block in blocks("README.md", "toml"):
        assert tomllib.loads(block)
