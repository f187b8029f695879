"""The page on the lineage says what the code has: its defaults, its rows."""

import re
import tomllib
from pathlib import Path

import pytest

from atrous.recipe import MODEL_TABLES, Encoded

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "lineage.md").read_text(encoding="utf-8")
GROUPS = {
    "all": tuple(MODEL_TABLES),
    "all but the small two": tuple(n for n, t in MODEL_TABLES.items() if issubclass(t, Encoded)),
}


def switches():
    """What the table of all switches says of each model."""
    found = {name: {} for name in MODEL_TABLES}
    for line in PAGE.partition("## All switches")[2].partition("## Papers")[0].splitlines():
        if line.startswith("| ") and "=" in line:
            models, keys = line.strip("| ").split(" | ")
            pairs = tomllib.loads("\n".join(re.findall(r"`([^`]+=[^`]+)`", keys)))
            for name in GROUPS.get(models) or re.findall(r"`(\w+)`", models):
                found[name] |= pairs
    return found


@pytest.mark.parametrize("name", MODEL_TABLES)
def test_the_table_of_switches_has_every_key_and_its_default(name):
    fields = MODEL_TABLES[name].model_fields
    code = {key: field.default for key, field in fields.items() if key != "name"}
    page = {k: tuple(v) if isinstance(v, list) else v for k, v in switches()[name].items()}
    assert page == code


def test_every_row_that_the_page_waits_for_is_one_of_the_benchmark():
    rows = re.findall(r'_row\(\s*"([^"]+)"', (ROOT / "benchmarks" / "lineage.py").read_text())
    waits = re.findall(r"<!-- measured: (\S+) -->", PAGE)
    assert sorted(waits) == sorted(set(waits))
    assert set(waits) <= set(rows)
