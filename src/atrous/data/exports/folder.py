"""The folder layout: `images/SPLIT/`, `masks/SPLIT/`, `dataset.toml`. It keeps everything.

Pictures are copied byte for byte; those in several files are put together into one TIFF. Masks
are PNGs of class indices, with the classes' colours as palette, 16-bit grey beyond 255 classes;
those of several classes a pixel are folders of planes.
"""

from atrous.data.exports.plan import Item, Plan, put_mask, put_picture
from atrous.data.exports.toml import declare
from atrous.data.masks import VOID, plane_names
from atrous.errors import DataError
from atrous.types import Mask


def write(plan: Plan) -> tuple[str, ...]:
    """Write the data set; a note on names that were changed."""
    _check_planes(plan)
    for item in plan.each():
        put_pair(plan, item, plan.mask(item))
    declare(plan, "folder")
    return plan.notes


def put_pair(plan: Plan, item: Item, mask: Mask) -> None:
    """Copy the picture of a pair, and write its mask beside it."""
    put_picture(plan.out / "images" / item.split / (item.name + item.suffix), item)
    name = item.name if plan.data.classes.task == "multilabel" else f"{item.name}.png"
    put_mask(plan.out / "masks" / item.split / name, mask, plan.data.classes)


def _check_planes(plan: Plan) -> None:
    """A plane of `a` is `a/CLASS.png`, which must not be taken for the mask of `a/CLASS`."""
    if plan.data.classes.task != "multilabel":
        return
    planes = {VOID, *plane_names(plan.data.classes.names, plan.data.root)}
    names = {(item.split, item.name) for item in plan.items}
    for split, name in names:
        folder, _, last = name.rpartition("/")
        if last in planes and (split, folder) in names:
            raise DataError(
                plan.data.root,
                found=f"has a picture {name!r} and a picture {folder!r} with a plane {last!r}",
                allowed="the masks of the two would be one file",
                fix="Rename one of the pictures.",
            )
