"""Masks in colours: a colour is a label, and a table, or what is found, says of which class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil

from atrous.classes import TRANSPARENT, Classes, colour_label, label_of_text, label_text
from atrous.data.dataset import DataSet, open_dataset
from atrous.errors import DataError

BLACK, RED, GREEN, WHITE = (0, 0, 0), (200, 0, 0), (0, 200, 0), (255, 255, 255)
TABLE = 'classes = ["earth", "fire", "leaf"]\ncolours = ["#000000", "#c80000", "#00c800"]\n'


def lay(root: Path, *rows: list, toml: str = "") -> Path:
    """A train and a val pair for each row of pixels of a mask, which is one row high."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder in ("images", "masks"):
            (root / folder / split).mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(rows):
            mask = np.array([row], np.uint8)
            noise = rng.integers(0, 256, (*mask.shape[:2], 3), np.uint8)
            pil.fromarray(noise).save(root / "images" / split / f"{number}.png")
            pil.fromarray(mask).save(root / "masks" / split / f"{number}.png")
    if toml:
        (root / "dataset.toml").write_text(toml, encoding="utf-8")
    return root


def indices(data: DataSet, number: int = 0) -> list[int]:
    return data.read(data.split("train")[number]).mask[0].tolist()


def test_a_label_in_words_is_that_label():
    for value in (0, 255, -1, colour_label(RED), colour_label(BLACK), TRANSPARENT):
        assert label_of_text(label_text(value)) == value


def test_declared_colours_are_the_classes_of_that_place(tmp_path: Path):
    data = open_dataset(lay(tmp_path, [GREEN, RED, BLACK], toml=TABLE))
    assert indices(data) == [2, 1, 0]
    assert Classes.from_dict(data.classes.to_dict()) == data.classes


def test_an_unknown_colour_is_refused_by_its_name_and_pixel(tmp_path: Path):
    with pytest.raises(DataError, match=r"#010203 .*row 0, column 1") as error:
        open_dataset(lay(tmp_path, [RED, (1, 2, 3), BLACK], toml=TABLE))
    assert error.value.code == "M409"


def test_colours_without_a_table_are_classes_and_black_is_the_first(tmp_path: Path):
    data = open_dataset(lay(tmp_path, [RED, BLACK, GREEN]))
    assert data.classes.names == ("background", "#00c800", "#c80000")
    assert indices(data) == [2, 0, 1]
    assert data.classes.colours == (BLACK, GREEN, RED)


def test_black_and_one_colour_are_binary(tmp_path: Path):
    data = open_dataset(lay(tmp_path, [RED, BLACK]))
    assert data.classes.task == "binary"
    assert indices(data) == [1, 0]


def test_grey_in_three_bands_means_what_it_means_in_one(tmp_path: Path):
    three = open_dataset(lay(tmp_path / "rgb", [BLACK, WHITE]))
    one = open_dataset(lay(tmp_path / "grey", [0, 255]))
    assert three.classes.names == one.classes.names
    assert indices(three) == indices(one) == [0, 1]
    rows = [(1, 1, 1), (0, 0, 0), (2, 2, 2)]
    assert indices(open_dataset(lay(tmp_path / "levels", rows))) == [1, 0, 2]


def test_remap_takes_colours_and_ignores_what_it_says(tmp_path: Path):
    toml = 'classes = ["earth", "fire"]\n[remap]\n"#000000" = 0\n"#c80000" = "fire"\n'
    data = open_dataset(lay(tmp_path, [RED, BLACK, GREEN], toml=toml + '"#00c800" = "ignore"\n'))
    assert indices(data) == [1, 0, 255]


def test_black_that_is_no_class_is_ignored(tmp_path: Path):
    toml = 'classes = ["fire", "leaf"]\ncolours = ["#c80000", "#00c800"]\n'
    data = open_dataset(lay(tmp_path, [RED, BLACK, GREEN], toml=toml))
    assert indices(data) == [0, 255, 1]


def test_a_trained_model_reads_the_colours_it_was_trained_on(tmp_path: Path):
    trained = open_dataset(lay(tmp_path / "a", [RED, BLACK, GREEN])).classes
    other = open_dataset(lay(tmp_path / "b", [GREEN, GREEN, BLACK]), classes=trained)
    assert indices(other) == [1, 1, 0]


def test_colours_and_numbers_without_a_table_are_refused(tmp_path: Path):
    root = lay(tmp_path, [RED, BLACK, GREEN])
    pil.fromarray(np.array([[0, 1, 2]], np.uint8)).save(root / "masks" / "val" / "0.png")
    with pytest.raises(DataError, match=r"numbers .* and of colours") as error:
        open_dataset(root)
    assert error.value.code == "M409"


def test_numbers_among_colours_of_a_table_are_read_both(tmp_path: Path):
    root = lay(tmp_path, [RED, BLACK, GREEN], toml=TABLE)
    pil.fromarray(np.array([[2, 1, 0]], np.uint8)).save(root / "masks" / "train" / "0.png")
    assert indices(open_dataset(root)) == [2, 1, 0]
