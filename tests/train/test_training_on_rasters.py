"""Rasters are trained on by windows, and predicted on their ground, from the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import atrous
from atrous.runs import RunFolder, read_model

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")

SMALL = ("model.name=fcn_basic", "augment.crop=64", "train.batch=2", "threads=1", "device=cpu")


@pytest.fixture(scope="module")
def chip(shared_data, tmp_path_factory) -> Path:
    """A scene of 13 bands, -1 where its labels are unknown, as a data set of 4 x 4 windows."""
    source, root = shared_data / "sen1floods11_chip", tmp_path_factory.mktemp("chip") / "data"
    for folder, name in (("images", "s2/*_S2Hand.tif"), ("masks", "labels/*_LabelHand.tif")):
        (root / folder).mkdir(parents=True)
        (file,) = source.glob(name)
        shutil.copyfile(file, root / folder / "spain.tif")
    (root / "dataset.toml").write_text(
        'classes = ["land", "water"]\n[raster]\nwindow = 128\n', encoding="utf-8"
    )
    return root


def test_a_scene_of_13_bands_is_trained_on_and_predicted_on_its_ground(chip, cli, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    sets = [word for option in SMALL for word in ("--set", option)]
    code, told, err = cli("train", chip, "--out", run, "--steps", 3, "--json", *sets)
    assert code == 0, err
    assert json.loads(told)["scores"]["num_images"] == 4
    code, _, err = cli("predict", run, chip / "images/spain.tif", "--out", out)
    assert code == 0, err
    image, mask = (rasterio.open(path) for path in (chip / "images/spain.tif", out / "spain.tif"))
    with image, mask:
        assert (mask.crs, mask.transform, mask.shape) == (image.crs, image.transform, image.shape)
        assert {*np.unique(mask.read(1))} <= {0, 1, 255}


def test_its_scale_is_that_of_the_windows_of_train(chip, tmp_path):
    run = tmp_path / "run"
    atrous.train(chip, out=run, steps=1, set=SMALL)
    tensors, about, _ = read_model(RunFolder(run).weights("last"))
    assert about["dtype"] == "float32" and len(tensors["mean"]) == 13
    with rasterio.open(chip / "images/spain.tif") as scene:
        bands = scene.read().reshape(13, -1)
    assert (np.abs(tensors["mean"] - bands.mean(1)) < bands.std(1)).all()


def test_labels_of_minus_one_count_nowhere(chip):
    from atrous.data.dataset import open_dataset

    data = open_dataset(chip)
    with rasterio.open(chip / "masks/spain.tif") as labels:
        truth = labels.read(1)
    seen = np.zeros(2, np.int64)
    for pair in (pair for pairs in data.splits.values() for pair in pairs):
        assert pair.window
        box = pair.window.box
        part, mask = truth[box.rows, box.columns], data.read(pair).mask
        assert ((mask == 255) == (part == -1)).all()
        assert (mask[part >= 0] == part[part >= 0]).all()
        seen += np.bincount(part[part >= 0], minlength=2)
    assert (truth == -1).any()
    assert (np.sum([*data.counts.values()], axis=0) == seen).all()
