"""The pages' links lead somewhere, and the checker sees those that don't."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "links.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_every_link_of_the_project_leads_somewhere():
    answer = check(ROOT)
    assert answer.returncode == 0, answer.stderr


GOOD = """# The first: `page`

[web](https://example.org/x), [here](#the-first-page), [again](#twice-1), [other](docs/b.md#b),
![picture](docs/b.md "a title"), `[code](gone.md)`, <a href="docs">folder</a>

## Twice
## Twice

```
[fenced](gone.md)
```

[label]: docs/b.md
"""


def plant(folder: Path, text: str) -> Path:
    (folder / "docs").mkdir()
    (folder / "docs" / "b.md").write_text("# B\n", encoding="utf-8")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "c.md").write_text("[not ours](gone.md)\n", encoding="utf-8")
    (folder / "a.md").write_text(text, encoding="utf-8")
    return folder


def test_good_links_pass(tmp_path: Path):
    answer = check(plant(tmp_path, GOOD))
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize(
    "link",
    [
        "[a](gone.md)",
        "![a](docs/gone.png)",
        "[a](#no-such)",
        "[a](#twice-2)",
        "[a](docs/b.md#no-such)",
        "[a]: gone.md",
        '<img src="gone.png">',
    ],
)
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, link: str):
    answer = check(plant(tmp_path, GOOD + "\n" + link + "\n"))
    assert answer.returncode == 1
    assert len(answer.stderr.splitlines()) == 1
    assert answer.stderr.startswith("a.md: ")
