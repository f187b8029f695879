"""Pictures of other bands and types are trained on, evaluated and predicted as they are."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as pil

import atrous
from atrous.runs import RunFolder, read_model

SMALL = ("model.name=fcn_basic", "augment.crop=64", "train.batch=2", "train.steps=2", "threads=1")


def lay(root: Path, bands: int, dtype: type) -> Path:
    """Four pairs whose bands have scales of their own: 0-1, 1000-1001, 2000-2001, ..."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True)
        for number in range(2):
            mask = rng.integers(0, 2, (40, 48), np.uint8)
            image = mask[..., None] + 1000 * np.arange(bands) + rng.random((40, 48, bands)) / 4
            path = root / split / "images" / f"{number}.tif"
            tifffile.imwrite(
                path, image.astype(dtype), photometric="minisblack", planarconfig="contig"
            )
            pil.fromarray(mask).save(root / split / "masks" / f"{number}.png")
    return root


@pytest.mark.parametrize(("bands", "dtype"), [(5, np.float32), (2, np.int16), (4, np.uint16)])
def test_a_model_of_the_bands_learns_their_scale_and_keeps_it(tmp_path: Path, bands, dtype):
    data, run = lay(tmp_path / "data", bands, dtype), tmp_path / "run"
    atrous.train(data, out=run, set=SMALL)
    tensors, about, _ = read_model(RunFolder(run).weights("last"))
    expected = "uint16" if dtype == np.uint16 else "float32"
    assert about["dtype"] == expected
    assert np.allclose(tensors["mean"], 1000 * np.arange(bands), atol=1.5)
    predictor = atrous.load(run)
    picture = data / "val" / "images" / "0.tif"
    assert predictor(picture).mask.shape == (40, 48)
    assert atrous.evaluate(run, data).num_images == 2
    with pytest.raises(atrous.AtrousError, match="bands"):
        predictor(np.zeros((40, 48, bands + 2), np.uint8))
