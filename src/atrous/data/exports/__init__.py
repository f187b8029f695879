"""An opened data set written in another layout: folder, VOC, Cityscapes, COCO, labelme, YOLO.

What is read again from what is written are the same masks, pictures, names and splits. Where a
format cannot hold something, a note says so, or an error before anything is written.
"""

from pathlib import Path
from typing import Literal, NamedTuple, assert_never

from atrous.data.dataset import DataSet
from atrous.data.exports import cityscapes, coco, folder, labelme, voc, yolo
from atrous.data.exports.plan import Plan, check_place, make_plan
from atrous.files import whole_folder
from atrous.types import Track

__all__ = ["Exported", "Format", "export_data"]

Format = Literal["voc", "coco", "labelme", "cityscapes", "folder", "yolo"]


class Exported(NamedTuple):
    """How many pairs were written, and a sentence on each thing that was changed or lost."""

    pairs: int
    notes: tuple[str, ...]


def export_data(data: DataSet, to: Format, out: Path, track: Track | None = None) -> Exported:
    """Write the data set into a new or empty folder, whole or not at all.

    Raises:
        RunError: OUT is not empty, lies in the data set, or cannot be written.
        DataError: the format cannot hold these masks or pictures; a file has changed.
    """
    check_place(data.root, Path(out))
    with whole_folder(Path(out)) as place:
        plan = make_plan(data, place, track)
        return Exported(len(plan.items), _written(plan, to))


def _written(plan: Plan, to: Format) -> tuple[str, ...]:
    match to:
        case "folder":
            return folder.write(plan)
        case "voc":
            return voc.write(plan)
        case "cityscapes":
            return cityscapes.write(plan)
        case "coco":
            return coco.write(plan)
        case "labelme":
            return labelme.write(plan)
        case "yolo":
            return yolo.write(plan)
        case _:
            assert_never(to)
