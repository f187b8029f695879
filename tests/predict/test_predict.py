import json
import shutil

import numpy as np
import pytest
from PIL import Image

import atrous
from atrous.errors import RunError, WeightsError
from atrous.weights import write_weights


@pytest.fixture(scope="module")
def run(shapes, small, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    sets = [*small, "model.pretrained=true", "train.steps=20", "train.batch=4"]
    atrous.train(shapes, out=out, set=sets)
    return out


@pytest.fixture(scope="module")
def predictor(run):
    return atrous.load(run)


@pytest.fixture
def photo(shapes):
    return np.asarray(Image.open(shapes / "val/images/0.png"))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 17), (72, 96), (131, 250)])
def test_any_size_comes_back_at_its_own(predictor, size):
    mask = predictor(np.zeros((*size, 3), np.uint8)).mask
    assert mask.shape == size and mask.dtype == np.uint8


def test_grey_cmyk_rgba_palette_and_16_bit_are_the_same_picture(predictor, photo, tmp_path):
    colour = Image.fromarray(photo)
    grey = colour.convert("L")
    expected, expected_grey = predictor(photo).mask, predictor(grey.convert("RGB")).mask
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(tmp_path / "16.png")
    colour.convert("RGBA").save(tmp_path / "rgba.png")
    colour.convert("CMYK").save(tmp_path / "cmyk.tif")
    assert np.array_equal(predictor(tmp_path / "rgba.png").mask, expected)
    assert np.array_equal(predictor(tmp_path / "cmyk.tif").mask, expected)
    assert np.array_equal(predictor(grey).mask, expected_grey)
    assert np.array_equal(predictor(np.asarray(grey)).mask, expected_grey)
    assert np.array_equal(predictor(tmp_path / "16.png").mask, expected_grey)


def test_exif_rotation_is_honoured(predictor, photo, tmp_path):
    turned = Image.fromarray(np.rot90(photo))  # a camera held upright stores it so ...
    exif = Image.Exif()
    exif[0x0112] = 6  # ... and says: turn by 90 degrees clockwise to see it
    turned.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(predictor(tmp_path / "turned.png").mask, predictor(photo).mask)


def test_files_arrays_and_pil_pictures_give_one_answer(predictor, shapes, photo):
    path = shapes / "val/images/0.png"
    for image in (path, str(path), Image.open(path)):
        assert np.array_equal(predictor(image).mask, predictor(photo).mask)


def test_masks_are_index_pngs_with_the_palette_and_overlays_lie_beside(
    run, predictor, shapes, tmp_path
):
    masks, failures = atrous.predict(
        run, [shapes / "val/images"], out=tmp_path / "out", overlay=True
    )
    assert len(masks) == 4 and not failures
    with Image.open(tmp_path / "out/0.png") as written:
        assert written.mode == "P"
        assert np.array_equal(np.asarray(written), predictor(shapes / "val/images/0.png").mask)
        assert tuple((written.getpalette() or [])[:3]) == predictor.classes.colours[0]
    with Image.open(tmp_path / "out/overlay/0.jpg") as overlay:
        assert overlay.size == (96, 72)


def test_a_broken_picture_is_named_and_the_others_go_on(run, shapes, tmp_path):
    pictures = tmp_path / "pictures"
    shutil.copytree(shapes / "val/images", pictures)
    whole = (pictures / "1.png").read_bytes()
    (pictures / "1.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "2.png").write_bytes(b"")
    masks, failures = atrous.predict(run, [pictures], out=tmp_path / "out")
    assert sorted(mask.name for mask in masks) == ["0.png", "3.png"]
    assert [error.where for error in failures] == [str(pictures / "1.png"), str(pictures / "2.png")]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "0.png",
        "3.png",
        "predict.json",
        "shares.csv",
    }


def test_a_folder_holds_the_masks_of_one_model(run, shapes, tmp_path):
    out = tmp_path / "out"
    atrous.predict(run, [shapes / "val/images/0.png"], out=out)
    atrous.predict(run, [shapes / "val/images/1.png"], out=out)  # the same model may go on
    digest = json.loads((out / "predict.json").read_text())["model"]
    (out / "predict.json").write_text('{"model": "0123456789abcdef"}')
    with pytest.raises(RunError, match="0123456789ab") as caught:
        atrous.predict(run, [shapes / "val/images/2.png"], out=out)
    assert digest[:12] in str(caught.value)
    assert not (out / "2.png").exists()


def test_weights_of_another_shape_are_refused_with_the_tensor(run, tmp_path):
    from atrous.weights import read_weights

    tensors, about, _ = read_weights(run / "last.safetensors")
    tensors["head.classify.bias"] = np.zeros(7, np.float32)
    write_weights(tmp_path / "w.safetensors", tensors, about)
    with pytest.raises(WeightsError, match=r"\(7,\).*head\.classify\.bias.*\(3,\)"):
        atrous.load(tmp_path / "w.safetensors")


def test_a_state_is_no_model(run):
    with pytest.raises(WeightsError, match="'state'"):
        atrous.load(run / "state.safetensors")


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_run_is_named(tmp_path, name):
    with pytest.raises(RunError, match=r"does not exist|without recipe\.toml"):
        atrous.load(tmp_path / name)


def test_best_weights_say_that_they_were_chosen_on_val(run):
    assert "chosen on val" in atrous.load(run, weights="best").description
