"""Other colours for the classes of a model: those of a file, or of a published data set."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from atrous.classes import Classes, from_hex
from atrous.data.layouts import camvid, cityscapes, voc
from atrous.errors import RecipeError
from atrous.types import Colour

NAMES = ("voc", "cityscapes", "camvid")


def recoloured(classes: Classes, palette: str | Path) -> Classes:
    """The classes in the colours of a palette: `voc`, `cityscapes`, `camvid`, or a file.

    A file is a `dataset.toml` with `colours`, or holds one `#rrggbb` a line. Where the palette
    has names, and the model's are among them, each class takes the colour of its name;
    otherwise the classes take the colours in their order.

    Raises:
        RecipeError: there is no such palette, it cannot be read, or has another number of colours.
    """
    where = f"--palette {palette}"
    if str(palette) in NAMES:
        names, colours = _published(str(palette))
    else:
        names, colours = _read(Path(palette), where)
    by_name = dict(zip(map(str.casefold, names), colours, strict=False))
    wanted = [name.casefold() for name in classes.names]
    if all(name in by_name for name in wanted):
        return replace(classes, colours=tuple(by_name[name] for name in wanted))
    if str(palette) == "voc":  # a rule, which has as many as are needed
        return replace(classes, colours=voc.colour_map(len(classes)))
    if len(colours) != len(classes):
        raise RecipeError(
            where,
            found=f"has {len(colours)} colours",
            allowed=f"the model has {len(classes)} classes ({', '.join(classes.names[:6])}"
            f"{', ...' * (len(classes) > 6)}), of which not all are named there",
            fix="Give a file with one #rrggbb a line, in the order of the classes.",
        )
    return replace(classes, colours=colours)


def _published(name: str) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    match name:
        case "cityscapes":
            rows = cityscapes.CLASSES
            return tuple(name for _, name, _ in rows), tuple(colour for *_, colour in rows)
        case "camvid":
            return tuple(camvid.NAMES), camvid.COLOURS
        case _:
            return tuple(voc.NAMES), voc.colour_map(len(voc.NAMES))


def _read(path: Path, where: str) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    """Names, if the file has them, and colours."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        toml: dict[str, Any] = tomllib.loads(text) if path.suffix.lower() == ".toml" else {}
        lines = toml["colours"] if toml else text.split()
        colours = tuple(from_hex(line) for line in lines)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or error
        reason = "it has no colours" if isinstance(error, KeyError) else reason
        raise RecipeError(
            where,
            found=f"cannot be read ({reason})",
            allowed=f"a palette is one of {', '.join(NAMES)}, a dataset.toml with colours, or a "
            "file with one #rrggbb a line",
            fix="Check the name, or write such a file.",
        ) from None
    names = toml.get("classes")
    return tuple(map(str, names)) if isinstance(names, list) else (), colours
