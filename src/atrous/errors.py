"""What can go wrong, and how it is said.

    AtrousError            the user must change something (exit code 2)
    ├── DataError          a data set, a picture, a mask
    │   ├── ImageError     a picture cannot be decoded, or is not fit for the model
    │   └── MaskError      a mask cannot be read as class indices
    ├── RecipeError        an option: unknown key, wrong type, out of range
    ├── RunError           a run folder, a checkpoint, an output folder
    └── WeightsError       a weights file: damaged, or of another model

Every message has four parts: where, what was found, what is allowed, what to do. What is wrong
with data also has the short code of docs/doctor.md, and a pixel where there is one.

`Approximation` is no error but a warning: the answer is nearly what was asked for.
"""

from typing import Any


class AtrousError(Exception):
    """An error that its reader can act on.

    Example:
        >>> print(
        ...     MaskError(
        ...         "a.png", found="holds class 21", allowed="classes are 0-20", fix="Map it."
        ...     )
        ... )
        a.png: holds class 21, but classes are 0-20. Map it.
    """

    def __init__(self, where: object, *, found: str, allowed: str, fix: str) -> None:
        super().__init__(f"{where}: {found}, but {allowed}. {fix}")
        self.where, self.found, self.allowed, self.fix = str(where), found, allowed, fix

    def __reduce__(self):  # data workers send their errors through a pickle
        return _rebuild, (type(self), vars(self))


def _rebuild(kind: type[AtrousError], parts: dict[str, Any]) -> AtrousError:
    return kind(**parts)


class DataError(AtrousError):
    """A data set, a picture or a mask is not what it must be.

    `code` is that of docs/doctor.md; `pixel` the row and column of the first wrong one.
    """

    def __init__(
        self,
        where: object,
        *,
        found: str,
        allowed: str,
        fix: str,
        code: str = "",
        pixel: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(where, found=found, allowed=allowed, fix=fix)
        self.code, self.pixel = code, pixel


class ImageError(DataError):
    """A picture cannot be decoded, or is not fit for the model."""


class MaskError(DataError):
    """A mask cannot be read as class indices."""


class Approximation(UserWarning):
    """An answer that is nearly what was asked for; the warning says how near."""


class RecipeError(AtrousError):
    """An option has an unknown key, a wrong type or a value out of range."""


class RunError(AtrousError):
    """A run folder, a checkpoint or an output folder cannot be used as asked."""


class WeightsError(AtrousError):
    """A weights file is damaged, or belongs to another model."""
