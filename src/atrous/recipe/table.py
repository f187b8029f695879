"""What every table of options is: frozen, strict, each field with its sentence under it."""

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """A table of a recipe."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,  # a field's sentence stands under it
    )
