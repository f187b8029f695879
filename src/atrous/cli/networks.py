"""What a network is and what it sees, for `atrous models` and `atrous info`.

Networks are built without values, so that large ones cost nothing.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from atrous.classes import Classes
from atrous.errors import RecipeError
from atrous.recipe import MODEL_TABLES, Basic, Recipe, from_tables, make_recipe
from atrous.types import Size

if TYPE_CHECKING:
    from atrous.models.build import Segmenter

SIZE: Size = (360, 480)  # of a picture that costs are told of: CamVid's
NUM_CLASSES = 21  # of the networks that are listed: Pascal VOC's


class Network(NamedTuple):
    """A row of `atrous models`; costs are those of one picture of a size."""

    name: str
    encoder: str
    parameters: int
    macs: int
    output_stride: int
    receptive_field: int
    what: str


def networks(size: Size) -> list[Network]:
    """Every model by its defaults."""
    return [_network(name, size) for name in MODEL_TABLES]


def _network(name: str, size: Size) -> Network:
    from atrous.models.build import outline
    from atrous.models.geometry import geometry, macs

    options = make_recipe(flags={"model.name": name}).model
    model = outline(options, num_classes=NUM_CLASSES)
    return Network(
        name,
        "its own" if isinstance(options, Basic) else options.encoder,
        _parameters(model),
        macs(model, size),
        model.encoder.strides[-1],
        geometry(model).receptive_field,
        (MODEL_TABLES[name].__doc__ or "").strip().splitlines()[0],
    )


def network_rows(recipe: Recipe, num_logits: int, size: Size | None) -> list[tuple[str, str]]:
    """Names and sentences on a model; `size` is the training crop unless another is given."""
    from atrous.models.build import outline
    from atrous.models.geometry import described

    side = recipe.augment.crop
    model = outline(recipe.model, num_classes=num_logits)
    parameters = f"{_parameters(model) / 1e6:.2f} M"
    return [("parameters", parameters), *described(model, size or (side, side))]


def network_of(facts: dict[str, Any], size: Size | None) -> list[tuple[str, str]]:
    """The same on the model of a weights file."""
    recipe = from_tables(facts["recipe"], where=facts["file"])
    return network_rows(recipe, Classes.from_dict(facts["classes"]).num_logits, size)


def size_of(text: str) -> Size:
    """`"360,480"` -> (360, 480).

    Raises:
        RecipeError: it is no such text.
    """
    parts = text.replace("x", ",").split(",")
    if len(parts) == 2 and all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        return int(parts[0]), int(parts[1])
    raise RecipeError(
        "--size",
        found=f"is {text!r}",
        allowed="it is HEIGHT,WIDTH in pixels",
        fix="Write for example --size 360,480.",
    )


def _parameters(model: "Segmenter") -> int:
    return sum(parameter.numel() for parameter in model.parameters())
