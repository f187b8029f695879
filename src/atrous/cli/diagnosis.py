"""A diagnosis as text: the card of the data set, then what was found, a block a kind."""

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from atrous.classes import to_hex
from atrous.doctor import Diagnosis, Finding
from atrous.doctor.card import Card, ClassRow
from atrous.doctor.findings import SEVERITIES, Severity
from atrous.report import verdict
from atrous.report.tables import percent

WIDEST = 120  # columns; longer lines are hard to read
SHOWN = 5  # files of a code
CLASSES = 40  # rows of the table of classes
INDENT = 6  # columns: a code and two spaces
STYLES: dict[Severity, str] = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def answer(diagnosis: Diagnosis, training: str, console: Console) -> str:
    """All that is told of a data set but the last sentence; `training` is what that takes.

    As wide as the console, at most `WIDEST`; in colours where it is a terminal.
    """
    with console.capture() as lines:
        width = min(console.width, WIDEST)
        console.print(_answer(diagnosis, training, colours=console.is_terminal), width=width)
    return "\n".join(line.rstrip() for line in lines.get().splitlines()).rstrip()


def closing(last: verdict.Verdict, console: Console) -> str:
    """The last sentence; the command that it ends in is a line of its own, however long."""
    sentence = textwrap.fill(last.sentence, min(console.width, WIDEST))
    return f"{sentence}\n  {last.command}" if last.command else sentence


def _answer(diagnosis: Diagnosis, training: str, *, colours: bool) -> RenderableType:
    parts: list[RenderableType] = [*_read(diagnosis), Text()]
    if diagnosis.card:
        parts += [*_card(diagnosis.card, training, colours=colours), Text()]
    found = verdict.groups(diagnosis)
    for severity in SEVERITIES:
        here = [group for group in found if group.kind.severity == severity]
        if here:
            parts += [Text(f"{severity.upper()}S", STYLES[severity]), Text()]
        for group in here:
            parts += [*_block(group), Text()]
    return Group(*parts)


def shortened(path: str, width: int) -> str:
    """The path in at most `width` columns; the middle gives way, the file's name last.

    Example:
        >>> shortened("images/train/berlin/berlin_000017_leftImg8bit.png", 32)
        'images/t…_000017_leftImg8bit.png'
    """
    if cell_len(path) <= width:
        return path
    tail = path
    while cell_len(tail) > width - 1 - width // 4:
        tail = tail[1:]
    head = path[: len(path) - len(tail)]
    while cell_len(head) > width - 1 - cell_len(tail):
        head = head[:-1]
    return f"{head}…{tail}"


def printable(text: str) -> str:
    """The text without what would steer a terminal: such letters are escaped, lines are kept.

    Example:
        >>> printable("a\\x1b[2J.png")
        'a\\\\x1b[2J.png'
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _read(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """What lies there, and how it was read."""
    table = _terms([("data set", str(diagnosis.root)), *verdict.facts(diagnosis)])
    for i, text in enumerate(verdict.how_read(diagnosis)):
        table.add_row("" if i else "read as", printable(text))
    yield table


def _card(card: Card, training: str, *, colours: bool) -> Iterator[RenderableType]:
    yield _classes(card, colours=colours)
    if len(card.classes) > CLASSES:
        yield Text(f"and {len(card.classes) - CLASSES} more; --json and --out show all", "dim")
    yield Text()
    yield _terms([("begin with", verdict.recommended(card)), ("training", training)])


def _terms(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim", min_width=len("begin with"))
    table.add_column(overflow="fold")
    for term, text in rows:
        table.add_row(term, printable(text))
    return table


def _classes(card: Card, *, colours: bool) -> Table:
    splits = verdict.splits_shown(card)
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("\nclass", overflow="fold")
    for split in splits:
        for what in ("pixels", "pictures"):
            table.add_column(f"{split}\n{what}", justify="right", no_wrap=True)
    table.add_column("\nweight", justify="right", no_wrap=True)
    for row in card.classes[:CLASSES]:
        shares = [percent(s) for split in splits for s in (row.pixels[split], row.images[split])]
        table.add_row(_class_name(row, colours=colours), *shares, f"{row.weight:.2f}")
    return table


def _class_name(row: ClassRow, *, colours: bool) -> Text:
    chip = [("■ ", to_hex(row.colour))] if colours else []
    return Text.assemble(*chip, printable(row.name))


def _block(group: verdict.Group) -> Iterator[RenderableType]:
    style = "dim" if group.accepted else STYLES[group.kind.severity]
    yield Text.assemble((group.code, style), "  ", (group.title, "bold"))
    shown = group.findings[:SHOWN]
    found, common = verdict.told_once(shown)
    each = f" Each {found[0]}." if len(shown) > 1 and len(set(found)) == 1 else ""
    yield _indented(Text(group.effect + printable(each)))
    fixes = verdict.fixes(shown)
    told = [""] * len(shown) if each else found
    yield _indented(_Files(shown, told, with_fix=len(fixes) > 1))
    if more := len(group.findings) - len(shown):
        yield _indented(Text(f"and {more:,} more", "dim"))
    if common and not each:
        yield _indented(Text(printable(f"All: {common}.")))
    if len(fixes) == 1:
        yield _indented(Text.assemble(("Fix: ", "green"), printable(fixes[0])))


def _name(finding: Finding) -> str:
    return printable(finding.where or "the data set").replace("\n", "\\n")


def _indented(what: RenderableType, by: int = INDENT) -> Padding:
    return Padding(what, (0, 0, 0, by))


class _Files:
    """Files and what was found in each: side by side, or under each other where paths are long."""

    def __init__(
        self, findings: Sequence[Finding], found: Sequence[str], *, with_fix: bool
    ) -> None:
        self.has_lines = any("\n" in text for text in found)
        self.rows = [
            (finding, self._found(finding, text, with_fix=with_fix))
            for finding, text in zip(findings, found, strict=True)
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        names = [shortened(_name(f), width) for f, _ in self.rows]
        if self.has_lines or max(map(cell_len, names)) > width * 2 // 5:
            yield from self._stacked(names)
            return
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, (finding, found) in zip(names, self.rows, strict=True):
            place = verdict.place(finding)
            table.add_row(Text(name).append(f"\n{place}" if place else "", "dim"), found)
        yield table

    def _stacked(self, names: Sequence[str]) -> Iterator[RenderableType]:
        for name, (finding, found) in zip(names, self.rows, strict=True):
            place = verdict.place(finding)
            yield Text(name).append(f"  {place}" if place else "", "dim")
            if found:
                yield _indented(found, 2)

    @staticmethod
    def _found(finding: Finding, text: str, *, with_fix: bool) -> Text:
        others = verdict.further(finding)
        told = Text(printable("; ".join(part for part in (text, others) if part)))
        if with_fix:
            told.append("\nFix: ", "green").append(printable(finding.fix))
        return told
