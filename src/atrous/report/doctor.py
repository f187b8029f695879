"""A diagnosis -> one HTML page with a contact sheet of each kind of finding.

It loads nothing from anywhere and runs no script; all that comes from the data set is escaped.
"""

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path

from atrous.data.colours import BINARY
from atrous.doctor import Diagnosis, Finding
from atrous.doctor.card import Card, ClassRow
from atrous.errors import RunError
from atrous.files import make_folder, write_whole
from atrous.report import verdict
from atrous.report.tables import chip, percent
from atrous.report.tiles import WRONG, Tile, Tiles, View
from atrous.report.verdict import Verdict

MOST_IN_LEGEND = 40  # classes
MOST_TILES = 24  # of a kind; the others are a list
PICTURE_BYTES, MOST_LINES = 6_000_000, 8_000  # in all, shared by the kinds alike
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


def write_doctor_page(diagnosis: Diagnosis, path: Path, training: str, last: Verdict) -> Path:
    """Write the page of a diagnosis; what training takes and the verdict stand on it as given.

    Raises:
        RunError: it cannot be written there.
    """
    make_folder(path.parent)
    text = doctor_page(diagnosis, training, last)
    try:
        # Names of files may hold what is no text; it is shown by its number.
        write_whole(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise RunError(
            path,
            found=f"cannot be written ({error.strerror or error})",
            allowed="the page is one new or replaced file",
            fix="Give another --out.",
        ) from None
    return path


def doctor_page(diagnosis: Diagnosis, training: str, last: Verdict) -> str:
    """The page of a diagnosis; the same files give the same text."""
    style = "".join(_resource(name) for name in ("page.css", "doctor.css"))
    name = escape(_name(diagnosis))
    sections = [
        _header(diagnosis, last),
        _read(diagnosis, training),
        _classes(diagnosis.card),
        _contents(diagnosis),
        *_findings(diagnosis),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{name} · {escape(verdict.counted(diagnosis))}</title>",
            f"<style>{style}</style></head><body>",
            *(section for section in sections if section),
            "</main><footer><p>Made by atrous. This page loads nothing from anywhere.</p></footer>",
            "</body></html>\n",
        ]
    )


def _header(diagnosis: Diagnosis, last: Verdict) -> str:
    errors, count, card = len(diagnosis.errors), diagnosis.count, diagnosis.card
    tiles = [("Warnings", f"{count['warning']:,}"), ("Notes", f"{count['note']:,}")]
    if card:
        tiles += [
            ("Pictures", f"{sum(card.splits.values()):,}"),
            ("Without labels", f"{card.unlabelled:,}"),
            ("Classes", f"{len(card.classes):,}"),
        ]
    grave = "bad" if errors else "good"
    command = f"<code>{escape(last.command)}</code>" if last.command else ""
    return (
        f"<header><p class=over>atrous doctor</p><h1>{escape(_name(diagnosis))}</h1>"
        f"<dl class=facts>{_terms([('Folder', str(diagnosis.root))])}</dl>"
        f'<div class=headline><p class=big><b class="{grave}">{errors:,}</b>'
        f"<span>error{'s' * (errors != 1)}</span></p>"
        f"<dl class=tiles>{_terms(tiles)}</dl></div>"
        f"<p class=lead>{escape(last.sentence)} {command}</p></header><main>"
    )


def _read(diagnosis: Diagnosis, training: str) -> str:
    """What lies there, how it was read, what to begin with."""
    facts, card = verdict.facts(diagnosis), diagnosis.card
    if not facts:
        return ""
    told = _terms((term.capitalize(), text) for term, text in facts)
    if card:
        told += _terms([("Begin with", verdict.recommended(card)), ("Training", training)])
    how = "".join(f"<li>{escape(text)}</li>" for text in verdict.how_read(diagnosis))
    how = f"<h3>How it was read</h3><ul class=read>{how}</ul>" if how else ""
    return f"<section><h2>What is there</h2><dl class=terms>{told}</dl>{how}</section>"


def _classes(card: Card | None) -> str:
    return f"<section><h2>Classes</h2>{_class_table(card)}</section>" if card else ""


def _class_table(card: Card) -> str:
    splits = verdict.splits_shown(card)
    heads = [f"{what} of {split}" for split in splits for what in ("Pixels", "Pictures")]
    kinds = ["wide", "num"] * len(splits)
    columns = zip([*heads, "Weight"], [*kinds, "num"], strict=True)
    head = "".join(f'<th scope="col" class="{kind}">{text}</th>' for text, kind in columns)
    rows = "".join(_class_row(row, splits) for row in card.classes)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Classes">'
        f'<table class="classes"><thead><tr><th scope="col">Class</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _class_row(row: ClassRow, splits: Iterable[str]) -> str:
    cells = "".join(
        f'<td class="wide"><span class="bar"><span style="width:{100 * row.pixels[split]:.2f}%">'
        f"</span></span><b>{percent(row.pixels[split])}</b></td>"
        f'<td class="num">{percent(row.images[split])}</td>'
        for split in splits
    )
    return (
        f'<tr><th scope="row">{chip(row.colour)}{escape(row.name)}</th>{cells}'
        f'<td class="num">{row.weight:.2f}</td></tr>'
    )


def _contents(diagnosis: Diagnosis) -> str:
    """A table of what was found, each kind with a link to its section; what colours mean."""
    found = verdict.groups(diagnosis)
    if not found:
        return ""
    rows = "".join(
        f'<tr><td>{_badge(group)}</td><td><a href="#{group.code}">{group.code}</a></td>'
        f"<td>{escape(_title(group))}</td><td class=num>{len(group.findings):,}</td>"
        f"<td>{escape(group.effect)}</td></tr>"
        for group in found
    )
    head = (
        '<th scope="col"></th><th scope="col">Code</th><th scope="col">What</th>'
        '<th scope="col" class=num>How many</th><th scope="col">What it does to training</th>'
    )
    return (
        '<section><h2>What was found</h2><div class="scroll" tabindex="0" role="region" '
        f'aria-label="Findings"><table class="kinds"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{_legend(diagnosis.card)}</section>"
    )


def _legend(card: Card | None) -> str:
    if card is None or len(card.classes) > MOST_IN_LEGEND:
        return ""
    shown = [(row.colour, row.name) for row in card.classes if row.name != BINARY[0]]
    items = "".join(
        f"<li>{chip(c)}{escape(name)}</li>" for c, name in [*shown, (WRONG, "no class")]
    )
    return f'<ul class="legend key" aria-label="Colours">{items}</ul>'


def _findings(diagnosis: Diagnosis) -> Iterable[str]:
    tiles, found = Tiles(diagnosis), verdict.groups(diagnosis)
    for group in found:
        room = PICTURE_BYTES // len(found)
        shown = tiles.of(group.findings, most=MOST_TILES, room=room)
        yield _section(group, shown, MOST_LINES // len(found))


def _section(group: verdict.Group, tiles: list[Tile], lines: int) -> str:
    fixes = verdict.fixes(group.findings)
    each = len(fixes) > 1
    fix = "Each file has its own, below." if each else "".join(fixes)
    sheet = "".join(_figure(tile, with_fix=each) for tile in tiles)
    shown = {id(tile.finding) for tile in tiles}
    rest = [finding for finding in group.findings if id(finding) not in shown]
    return (
        f'<section class=finding id="{group.code}"><h2><code>{group.code}</code>'
        f"{escape(_title(group))} {_badge(group)}</h2>"
        f"<dl class=what>{_terms([('What it does', group.effect)])}"
        f"<div><dt>Fix</dt><dd>{_with_code(fix)}</dd></div></dl>"
        + (f"<div class=sheet>{sheet}</div>" if sheet else "")
        + _list(rest, lines, with_fix=each, folded=bool(tiles))
        + "</section>"
    )


def _figure(tile: Tile, *, with_fix: bool) -> str:
    two = " two" if len(tile.views) > 1 and not any(view.close for view in tile.views) else ""
    views = "".join(map(_view, tile.views))
    return (
        f'<figure class="tile{two}"><div class=views>{views}</div>'
        f"<figcaption><b>{escape(tile.name)}</b>{_told(tile.finding, with_fix=with_fix)}"
        "</figcaption></figure>"
    )


def _view(view: View) -> str:
    width, height = view.size
    shape = f"--w:{width};--h:{height};--share:{width / height:.3f}"
    if not view.uri:
        return f'<div class="view none" style="{shape}"><span>{escape(view.words)}</span></div>'
    close = " close" if view.close else ""
    return (
        f'<div class="view{close}" style="{shape}"><img src="{view.uri}" width="{width}" '
        f'height="{height}" alt="{escape(view.words)}" decoding="async">{_ring(view)}</div>'
    )


def _ring(view: View) -> str:
    if view.ring is None:
        return ""
    (width, height), (x, y) = view.size, view.ring
    if view.close:
        at = f'x="{x - 0.5:.1f}" y="{y - 0.5:.1f}" width="1" height="1"'
        mark = f'<rect class="ring under" {at}/><rect class="ring" {at}/>'
    else:
        at = f'cx="{x:.1f}" cy="{y:.1f}" r="{max(view.size) / 24:.1f}"'
        mark = f'<circle class="ring under" {at}/><circle class="ring" {at}/>'
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{mark}</svg>'


def _list(findings: list[Finding], lines: int, *, with_fix: bool, folded: bool) -> str:
    """Findings without pictures; all that are left in one fold where there are pictures."""
    if not findings:
        return ""
    items = "".join(
        f"<li><b>{escape(finding.where or 'the whole')}</b> "
        f"{_told(finding, with_fix=with_fix)}</li>"
        for finding in findings[:lines]
    )
    if more := len(findings) - len(findings[:lines]):
        items += f"<li>and {more:,} more; <code>--json</code> lists all</li>"
    listed = f"<ul>{items}</ul>"
    if not folded:
        return f"<div class=rest>{listed}</div>"
    return f"<details class=rest><summary>{len(findings):,} more</summary>{listed}</details>"


def _told(finding: Finding, *, with_fix: bool) -> str:
    """Where in the file, what was found, and what to do where each file has its own."""
    parts = [verdict.place(finding), finding.found, verdict.further(finding)]
    text = "; ".join(escape(part) for part in parts if part)
    return f"{text}. {escape(finding.fix)}" if with_fix else text


def _badge(group: verdict.Group) -> str:
    word = "accepted" if group.accepted else group.kind.severity
    return f'<span class="badge {"note" if group.accepted else word}">{word}</span>'


def _title(group: verdict.Group) -> str:
    title = group.kind.title
    return title[0].upper() + title[1:]


def _terms(facts: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in facts
    )


def _with_code(text: str) -> str:
    """Text with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _name(diagnosis: Diagnosis) -> str:
    return diagnosis.root.resolve().name or str(diagnosis.root)


def _resource(name: str) -> str:
    return files("atrous.report").joinpath(name).read_text(encoding="utf-8")
