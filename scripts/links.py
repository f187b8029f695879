"""Find links in the project's Markdown pages that lead nowhere.

Relative links must name a file or folder that is there, and anchors a heading of the page
that they point to. Links to the web are not followed.

    python scripts/links.py [FOLDER]    exit code 1, and a line for each, if any is broken
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*\s*$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
HTML_ANCHOR = re.compile(r"<[a-z]+\s[^>]*?\b(?:id|name)=[\"']([^\"']+)", re.IGNORECASE)
TARGETS = (
    re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\s*\)"),  # [text](target "title")
    re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)", re.MULTILINE),  # [label]: target
    re.compile(r"<(?:a|img|source)\s[^>]*?\b(?:href|src|srcset)=[\"']([^\"'\s]+)", re.IGNORECASE),
)
ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
NOT_OURS = {"venv", "runs", "build", "dist", "node_modules"}  # and every folder with a dot


def pages(root: Path) -> Iterator[Path]:
    """Markdown files of the project, in order, without those of environments and caches."""
    for page in sorted(root.rglob("*.md")):
        folders = page.relative_to(root).parts[:-1]
        if not any(part.startswith(".") or part in NOT_OURS for part in folders):
            yield page


def prose(page: Path) -> str:
    """The page without fenced blocks, whose lines are not Markdown."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What `page#...` may name: its headings the way GitHub writes them, and HTML ids."""
    text = prose(page)
    found: set[str] = set(HTML_ANCHOR.findall(text))
    seen: dict[str, int] = {}
    for heading in HEADING.findall(text):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


def broken(root: Path) -> list[str]:
    """One line for each link under `root` that leads nowhere: where, what, why."""
    problems = []
    for page in pages(root):
        text = INLINE_CODE.sub("", prose(page))
        for target in (match for pattern in TARGETS for match in pattern.findall(text)):
            if ELSEWHERE.match(target):
                continue
            path, _, anchor = unquote(target).partition("#")
            goal = root / path[1:] if path.startswith("/") else page.parent / path
            goal = goal if path else page
            if not goal.exists():
                problems.append(f"{page.relative_to(root)}: {target}: no such file")
            elif anchor and goal.suffix == ".md" and anchor not in anchors(goal):
                problems.append(f"{page.relative_to(root)}: {target}: no such heading")
    return problems


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent
    problems = broken(root.resolve())
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
