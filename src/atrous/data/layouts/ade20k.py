"""ADE20K's benchmark of 150 classes (SceneParse150, ADEChallengeData2016).

`images/training/` and `annotations/training/`, and so on; masks hold 0 for "other" and k for
class k - 1.
"""

from collections.abc import Iterable
from pathlib import Path

from atrous.classes import IGNORE
from atrous.data.layouts.pairs import Found, folder_pool, pictures, read_lines, split_folders
from atrous.errors import DataError

FORM = "images/ and annotations/, each with training/, validation/ inside (ADE20K)"
HOME = "ADEChallengeData2016"
INFO = "objectInfo150.txt"
_PREFIX = "ADE_"  # of its files
NAMES = tuple(  # the first word for each in objectInfo150.txt
    """wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
    person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf,
    house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub,
    railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, sink,
    skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
    screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill,
    bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar,
    arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
    television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman,
    bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
    swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food,
    step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket,
    sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate,
    monitor, bulletin board, shower, radiator, glass, clock, flag""".replace("\n    ", " ").split(
        ", "
    )
)


def recognise(root: Path) -> Found | None:
    """The pools of ADE20K's folders; None without a sign that it is ADE20K and no other.

    A sign is its folder's name, `objectInfo150.txt`, or files called `ADE_...`.
    """
    home = _home(root)
    if home is None or not (home.name == HOME or (home / INFO).is_file() or _prefixed(home)):
        return None
    return read(root)


def read(root: Path) -> Found | None:
    """The pools of folders in the form of ADE20K, whatever their files are called."""
    home = _home(root)
    if home is None:
        return None
    images, truth = split_folders(home / "images"), split_folders(home / "annotations")
    names = _names(home)
    return Found(
        "ADE20K",
        {split: folder_pool(images[split], truth[split]) for split in images if split in truth},
        names=names,
        remap={0: IGNORE, **{index + 1: index for index in range(len(names))}},
        label_note="Label 0 is ignored, label k is class k - 1.",
        unlabelled=tuple(_pictures(images[split] for split in images if split not in truth)),
    )


def _home(root: Path) -> Path | None:
    """The folder that holds the two: `root`, or the one in it that has the data set's name."""
    for home in (root, root / HOME):
        images, truth = home / "images", home / "annotations"
        if images.is_dir() and truth.is_dir() and "train" in split_folders(truth):
            return home
    return None


def _prefixed(home: Path) -> bool:
    return any(
        path.name.startswith(_PREFIX)
        for folder in split_folders(home / "annotations").values()
        for path in folder.iterdir()
    )


def _pictures(folders: Iterable[Path]) -> Iterable[Path]:
    return (path for folder in folders for path in pictures(folder).by_name.values())


def _names(home: Path) -> tuple[str, ...]:
    """The names of `objectInfo150.txt`, the first word of each; without the file, the same."""
    if not (home / INFO).is_file():
        return NAMES
    rows = [line.split("\t") for line in read_lines(home / INFO)[1:] if line.strip()]
    numbers = [row[0].strip() for row in rows]
    names = tuple(row[-1].split(",")[0].strip() for row in rows)
    if names and len({*names}) == len(names) and numbers == [str(i + 1) for i in range(len(rows))]:
        return names
    raise DataError(
        home / INFO,
        found="is no list of different classes, numbered from 1",
        allowed="below the heading, lines hold a number, other columns and a name, tabs between",
        fix="Take the file of the data set, or remove it.",
        code="S109",
    )
