"""Label Studio's JSON and JSON-MIN: a list of tasks, each a picture with what was drawn on it.

Of several annotations of a task the last one finished counts. Regions are painted in their order.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.layouts.annotations import (
    brief,
    by_split,
    class_names,
    json_files,
    listed_twice,
    no_picture,
    not_understood,
    only_boxes,
    picture_names,
)
from atrous.data.layouts.json_parts import JsonFile, Places, head, open_json, places, unreadable
from atrous.data.layouts.label_studio_tasks import picture_of, regions_of, spellings
from atrous.data.layouts.pairs import Found, Pair, Pool, split_folders
from atrous.data.layouts.paths import Pictures
from atrous.data.shapes import Drawing
from atrous.errors import DataError

FORM = "tasks in a JSON file, with their pictures anywhere below (Label Studio)"
_TASKS = re.compile(r"^\s*\[\s*\{")
_KEYS = re.compile(
    r'"(annotations|completions)"\s*:.*"result"\s*:|"(annotation_id|original_width)"\s*:', re.DOTALL
)


def recognise(root: Path) -> Found | None:
    """The pools of Label Studio's files in a folder; None if it has none.

    Raises:
        DataError: the only files there are cannot be read, hold boxes only, or have no pictures.
    """
    folders = [root, *split_folders(root).values()]
    paths = [p for folder in folders for p in json_files(folder) if _is_export(p)]
    if not paths:
        return None
    pictures = Pictures(root)
    exports = [_read(path, pictures) for path in paths]
    _check(exports)
    labels = sorted({label for export in exports for label in export.labels})
    classes = class_names(labels)
    return Found(
        "Label Studio",
        by_split({export.json.path: export.pool() for export in exports}, root),
        names=classes.names,
        notes=("Class names are those of the regions, by the alphabet.",),
        drawings=LabelStudioDrawings({e.json.path: e.places() for e in exports}, classes.places),
        unlabelled=tuple(path for export in exports for path in export.open),
    )


@dataclass(frozen=True)
class LabelStudioDrawings:
    """The regions of a picture; `labels` are class indices by name."""

    places: dict[Path, Places]
    labels: dict[str, int]

    def __call__(self, pair: Pair) -> Drawing:
        """What is painted of a picture.

        Raises:
            DataError: a region of it has no class, or cannot be read.
        """
        tasks = self.places[pair.mask].values(pair.image) if pair.mask in self.places else []
        if not tasks:
            raise unreadable(pair.mask, f"has no task for {pair.image.name}")
        regions = regions_of(tasks[0]) or []
        size = next((region.size for region in regions if region.size), None)
        where, whose = pair.mask, pair.image.name
        shapes = [region.drawn(self.labels, where, whose) for region in regions]
        return Drawing(size, tuple(shapes))


@dataclass
class _Export:
    """What one file holds: the places of tasks by picture, labels, kinds of regions.

    `open` are pictures that nobody has finished.
    """

    json: JsonFile
    tasks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    open: list[Path] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    problems: list[DataError] = field(default_factory=list)

    def pool(self) -> Pool:
        images = picture_names(self.tasks)
        return Pool(images, dict.fromkeys(images, self.json.path), problems=tuple(self.problems))

    def places(self) -> Places:
        rows = {str(path): row for row, path in enumerate(self.tasks)}
        spans = np.array([*self.tasks.values()], np.int64).reshape(-1, 2)
        return places(self.json, rows, np.arange(len(rows)), spans[:, 0], spans[:, 1])

    def take(self, task: Any, span: tuple[int, int], pictures: Pictures) -> None:
        """Find the picture of a task, and what is drawn on it."""
        text = picture_of(task)
        if text is None:
            self.problems.append(unreadable(self.json.path, "has a task without a picture"))
            return
        found = next(filter(None, map(pictures.find, spellings(text))), [])
        if len(found) != 1:
            number = f"task {brief(task.get('id'))}"
            self.problems.append(no_picture(self.json.path, text, number, found))
        elif found[0] in self.tasks and "annotation_id" not in task:  # of JSON-MIN the last counts
            self.problems.append(listed_twice(self.json.path, f"the picture {found[0].name}"))
        else:
            self._draw(task, span, found[0])

    def _draw(self, task: dict[str, Any], span: tuple[int, int], picture: Path) -> None:
        regions = regions_of(task)
        if regions is None:
            self.open.append(picture)
            return
        self.tasks[picture] = span
        self.labels |= {region.label for region in regions if region.label}
        self.kinds |= {region.kind for region in regions}


def _read(path: Path, pictures: Pictures) -> _Export:
    """What a file holds, as far as it can be read."""
    export = _Export(JsonFile(path))
    try:
        export = _Export(open_json(path))
        for part in export.json.parts():
            export.take(part.value, (part.start, part.stop), pictures)
    except DataError as error:
        export.problems.append(error)
    return export


def _check(exports: list[_Export]) -> None:
    """Refuse what gives nothing to learn from."""
    if {kind for export in exports for kind in export.kinds} == {"rectangle"}:
        raise only_boxes(exports[0].json.path, "gives")
    if any(export.tasks for export in exports):
        return
    problems = [problem for export in exports for problem in export.problems]
    where = exports[0].json.path
    if problems:
        more = f" (and {len(problems) - 1} more)" * (len(problems) > 1)
        first = problems[0]
        raise not_understood(where, f"{first.found}{more}", first.allowed, first.fix)
    allowed = "at least two tasks are finished"
    raise not_understood(where, "has no task that is finished", allowed, "Annotate pictures first.")


def _is_export(path: Path) -> bool:
    text = head(path)
    return bool(_TASKS.match(text) and _KEYS.search(text))
