"""A run or an evaluation -> one HTML page that needs nothing else: curves, scores, pictures.

`contents` reads the folder, `gallery` predicts the pictures to show, `charts`, `pictures`
and `tables` draw, `page` puts it together. The page loads nothing from anywhere.
"""

import sys
from pathlib import Path

from atrous.callable_module import make_callable
from atrous.errors import RunError
from atrous.files import write_whole
from atrous.runs import RunFolder


def report(run: str | Path, *, out: str | Path | None = None) -> Path:
    """The path of the page, `report.html` in the folder `run` unless `out` names another file.

    The folder is a run's, or that which `atrous evaluate MODEL DATA --out DIR` wrote. The worst
    and the best pictures are predicted again by the model that was scored; where it or its data
    set is gone, the page says so and has no pictures.

    Raises:
        RunError: neither is there, it has no scores yet, or the page cannot be written.

    Example:
        atrous.report("runs/street")
    """
    from atrous.report.contents import read_contents
    from atrous.report.gallery import with_pictures
    from atrous.report.page import page

    folder = RunFolder(Path(run))
    contents = with_pictures(read_contents(folder.path), folder.path)
    path = folder.report if out is None else Path(out)
    if path.is_dir():
        path = path / folder.report.name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page(contents).encode("utf-8"))
    except OSError as error:
        raise RunError(
            path,
            found=f"cannot be written ({error.strerror or error})",
            allowed="the report is one new or replaced file",
            fix="Name another with --out FILE.",
        ) from None
    return path


make_callable(sys.modules[__name__])
