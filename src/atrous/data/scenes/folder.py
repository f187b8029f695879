"""The embedded set as a folder of files, in the layout that every other data set may have."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from atrous.classes import Classes, to_hex
from atrous.data.masks import write_mask
from atrous.data.scenes.legend import COLOURS, NAMES, VOID
from atrous.data.scenes.scene import scene
from atrous.errors import DataError
from atrous.files import TEMPORARY

CLASSES = Classes(NAMES, COLOURS)
VAL_START = 1 << 32  # index of the first val scene; no train set reaches it


def write_scenes(
    folder: Path,
    *,
    train: int = 120,
    val: int = 40,
    seed: int = 0,
    track: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Path:
    """`folder`, holding `train` and `val` scenes and their `dataset.toml`; all of it or nothing.

    A folder with a `dataset.toml` is a finished set and stays as it is, whatever is asked for.
    `track` wraps the numbers of the scenes, to show progress.
    """
    folder = Path(folder)
    if (folder / "dataset.toml").is_file():
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            folder,
            found="holds other files and no dataset.toml",
            allowed="scenes are written to a new or empty folder",
            fix="Name another folder, or empty this one.",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder.parent) as temporary:
        whole = Path(temporary) / "scenes"
        for name in ("train/images", "train/masks", "val/images", "val/masks"):
            (whole / name).mkdir(parents=True)
        for number in track(range(train + val)):
            held_out = number - train
            if held_out < 0:
                _write(whole / "train", number, *scene(seed, number))
            else:
                _write(whole / "val", held_out, *scene(seed, VAL_START + held_out))
        (whole / "dataset.toml").write_text(_description(), encoding="utf-8")
        if folder.exists():
            folder.rmdir()  # empty; Windows renames onto nothing that exists
        whole.rename(folder)
    return folder


def _write(folder: Path, number: int, image: np.ndarray, mask: np.ndarray) -> None:
    name = f"{number:04}.png"
    Image.fromarray(image).save(folder / "images" / name, compress_level=1)
    write_mask(folder / "masks" / name, mask, CLASSES)


def _description() -> str:
    names = ", ".join(f'"{name}"' for name in NAMES)
    colours = ", ".join(f'"{to_hex(colour)}"' for colour in COLOURS)
    return f"classes = [{names}]\ncolours = [{colours}]\nignore_index = {VOID}\n"
