"""What the pages tell people to type is understood by the command line."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from atrous.cli import app

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
EVERYWHERE = {"--set", "--config", "--json", "--help"}
NAMES = "crf deploy doctor lineage rasters results video".split()
PAGES = ["README.md", *(f"docs/{name}.md" for name in NAMES)]


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


def test_the_table_of_commands_has_every_command_and_flag():
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8").partition("`atrous COMMAND`")[2]
    lines = FENCE.findall(text)[0][1].splitlines()
    told = {line.split()[1]: {*re.findall(r"--[a-z][a-z0-9-]*", line)} for line in lines}
    named = {name: app[name] for name in app if not name.startswith("-")}
    named["recipe"] = named["recipe"]["show"]
    there = {
        name: {n for flag in command.assemble_argument_collection() for n in flag.names}
        for name, command in named.items()
    }
    assert told == {
        name: {flag for flag in flags - EVERYWHERE if flag.startswith("--")}
        for name, flags in there.items()
    }


def test_there_are_commands_and_python_and_toml_on_the_pages():
    assert len(list(commands())) > 5
    for block in blocks("README.md", "python"):
        compile(block, "README.md", "exec")
    for block in blocks("README.md", "toml"):
        assert tomllib.loads(block)
