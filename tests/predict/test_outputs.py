"""What is written for a picture, and what makes it finished."""

import csv
import json
import os
import tempfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import atrous
from atrous.classes import Classes
from atrous.data.layouts import cityscapes
from atrous.errors import ImageError, RecipeError, RunError, WeightsError
from atrous.files import claimed
from atrous.predict import outputs
from atrous.predict.palettes import recoloured
from atrous.predict.predictor import Predictor
from atrous.predict.shares import Row, class_shares, row_of, update_shares
from atrous.types import Grid
from tiny_models import CLASSES, contents, write_pictures, write_tiny

TWO = Classes(("no", "yes"), task="binary")
WET = Classes(("wet", "road"), task="multilabel")


@pytest.fixture
def pictures(tmp_path):
    return write_pictures(tmp_path / "pictures", 5)


@pytest.fixture
def load(tiny):
    return atrous.load(tiny, engine="onnxruntime")


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def table(path):
    return [*csv.reader(path.read_text(encoding="utf-8").splitlines())]


def predicted(tiny, pictures, out, **options):
    return atrous.predict(tiny, pictures, out=out, engine="onnxruntime", threads=1, **options)


def test_maps_are_those_of_the_prediction_at_the_pictures_size(
    tiny, pictures, tmp_path, monkeypatch
):
    monkeypatch.setattr(outputs, "STRIP_BYTES", 4 * 3 * 30 * 4)  # four rows
    out = tmp_path / "out"
    predicted(tiny, pictures, out, probabilities=True, confidence=True, overlay=True)
    prediction = atrous.load(tiny, engine="onnxruntime")(pictures / "a/b/002.png")
    probs = np.load(out / "probabilities/a/b/002.npy")
    assert probs.dtype == np.float16 and probs.flags.c_contiguous
    assert np.array_equal(probs, prediction.probabilities().astype(np.float16))
    confidence = pixels(out / "confidence/a/b/002.png")
    assert np.array_equal(confidence, np.rint(prediction.confidence() * 255))
    assert pixels(out / "overlay/a/b/002.jpg").shape == (21, 30, 3)
    assert np.array_equal(pixels(out / "a/b/002.png"), prediction.mask)


@pytest.mark.parametrize("classes", [CLASSES, TWO, WET])
def test_maps_agree_with_the_mask(classes, tmp_path):
    weights = np.random.default_rng(1).normal(0, 0.02, (classes.num_logits, 3))
    path = write_tiny(tmp_path / "m.onnx", weights=weights, classes=classes)
    picture = np.random.default_rng(2).integers(0, 256, (13, 18, 3), np.uint8)
    prediction = atrous.load(path, engine="onnxruntime")(picture)
    probs, sure, doubt = prediction.probabilities(), prediction.confidence(), prediction.entropy()
    assert probs.shape == (len(classes), 13, 18) and sure.shape == doubt.shape == (13, 18)
    if classes.task == "multilabel":
        bits = (probs > 0.5) << np.arange(len(classes))[:, None, None]
        assert np.array_equal(bits.sum(0), prediction.mask)
        assert np.allclose(sure, np.maximum(probs, 1 - probs).min(0), atol=1e-6)
    else:
        assert np.array_equal(probs.argmax(0), prediction.mask)
        assert np.allclose(probs.sum(0), 1, atol=1e-6) and np.allclose(
            probs.max(0), sure, atol=1e-6
        )
        assert np.allclose(doubt, -(probs * np.log(probs)).sum(0), atol=1e-5)
    assert np.array_equal(prediction.probabilities(slice(3, 8)), probs[:, 3:8])
    shares = (
        [(prediction.mask >> k & 1).mean() for k in range(2)]
        if classes is WET
        else [(prediction.mask == k).mean() for k in range(len(classes))]
    )
    assert prediction.shares() == pytest.approx(dict(zip(classes.names, shares, strict=True)))


def test_the_table_has_a_row_for_each_mask_in_order_of_names(tiny, pictures, tmp_path):
    predicted(tiny, pictures, tmp_path / "out")
    head, *lines = table(tmp_path / "out/shares.csv")
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert [row["picture"] for row in rows] == sorted(
        path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png")
    )
    for row in rows:
        mask = pixels(tmp_path / "out" / row["picture"])
        assert int(row["pixels"]) == mask.size
        shares = [float(row[name]) for name in CLASSES.names]
        assert shares == pytest.approx(class_shares(mask, CLASSES).tolist(), abs=1e-6)


def test_rows_of_other_pictures_stay_and_a_foreign_table_is_replaced(tmp_path):
    one, two = Row(4, ("0.5", "0.25", "0.25")), Row(9, ("1", "0", "0"))
    for foreign in ("something else\n", "a\rb\n", "a" * 200_000):
        (tmp_path / "shares.csv").write_bytes(foreign.encode())
        update_shares(tmp_path, {"b.png": one}, CLASSES)
        assert len(table(tmp_path / "shares.csv")) == 2
    update_shares(tmp_path, {"a,b.png": two, "ä.png": two}, CLASSES)
    update_shares(tmp_path, {"b.png": two}, CLASSES)
    lines = table(tmp_path / "shares.csv")
    assert [line[0] for line in lines] == ["picture", "a,b.png", "b.png", "ä.png"]
    assert lines[2] == ["b.png", "9", "1", "0", "0"]


def test_what_is_no_class_is_no_finished_mask():
    assert row_of(np.array([[0, 2]], np.uint8), CLASSES).shares == (
        "0.500000",
        "0.000000",
        "0.500000",
    )
    with pytest.raises(ValueError, match="3 is no class"):
        row_of(np.array([[0, 3]], np.uint8), CLASSES)


def test_finished_pictures_are_left_alone_and_damaged_or_missing_files_are_made_again(
    tiny, pictures, tmp_path
):
    out = tmp_path / "out"
    predicted(tiny, pictures, out, overlay=True)
    whole = contents(out)
    (out / "000.png").write_bytes(whole["000.png"][:50])
    (out / "overlay/a/001.jpg").unlink()
    (out / "shares.csv").unlink()
    before = {path: path.stat().st_ino for path in out.rglob("*.*") if path.is_file()}
    masks, failures = predicted(tiny, pictures, out, overlay=True)
    assert contents(out) == whole and len(masks) == 5 and not failures
    after = {
        path.relative_to(out).as_posix() for path, i in before.items() if path.stat().st_ino != i
    }
    assert after == {"000.png", "overlay/000.jpg", "a/001.png"}


@pytest.mark.parametrize(
    "classes", [TWO, WET, Classes(tuple(map(str, range(300))))], ids=["binary", "multilabel", "300"]
)
def test_masks_of_every_kind_are_known_again(pictures, tmp_path, classes):
    weights = np.random.default_rng(3).normal(0, 1, (classes.num_logits, 3))
    model = write_tiny(tmp_path / "m.onnx", weights=weights, classes=classes)
    out = tmp_path / "out"
    masks, _ = predicted(model, pictures, out)
    whole = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    (out / "shares.csv").unlink()
    assert predicted(model, pictures, out).masks == masks and contents(out) == whole
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_a_file_that_a_power_cut_left_empty_is_made_again(tiny, pictures, tmp_path):
    predicted(tiny, pictures, tmp_path / "out", confidence=True)
    whole = contents(tmp_path / "out")
    (tmp_path / "out/confidence/000.png").write_bytes(b"")
    predicted(tiny, pictures, tmp_path / "out", confidence=True)
    assert contents(tmp_path / "out") == whole


def test_an_output_that_was_not_asked_for_before_is_made(tiny, pictures, tmp_path):
    predicted(tiny, pictures, tmp_path / "out")
    predicted(tiny, pictures, tmp_path / "out", confidence=True)
    predicted(tiny, pictures, tmp_path / "other", confidence=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "other")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"flip": True}, "made with flip false, but now it is true"),
        ({"scales": [1, 0.5]}, r"made with scales \[1.0\], but now it is \[1, 0.5\]"),
        ({"palette": "voc"}, "made with classes"),
    ],
)
def test_a_folder_holds_masks_made_in_one_way(tiny, pictures, tmp_path, options, said):
    predicted(tiny, pictures, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(RunError, match=said):
        predicted(tiny, pictures, tmp_path / "out", **options)
    assert contents(tmp_path / "out") == before


def note(out, **changed):
    said = json.loads((out / "predict.json").read_text())
    (out / "predict.json").write_text(json.dumps(said | changed))


def test_a_fact_that_this_version_does_not_know_is_told(tiny, pictures, tmp_path):
    predicted(tiny, pictures, tmp_path / "out")
    note(tmp_path / "out", blur=512)
    with pytest.raises(RunError, match="made with blur 512, but now it is null"):
        predicted(tiny, pictures, tmp_path / "out")


def test_the_first_colour_that_differs_is_told_of_many(pictures, tmp_path):
    classes = Classes(tuple(f"class {k}" for k in range(40)))
    weights = np.random.default_rng(5).normal(0, 1, (40, 3))
    model = write_tiny(tmp_path / "m.onnx", weights=weights, classes=classes)
    predicted(model, pictures, tmp_path / "out")
    colours = classes.to_dict()["colours"]
    (tmp_path / "colours.txt").write_text("\n".join([*colours[:39], "#010203"]))
    said = rf"made with classes\.colours\[39\] .{colours[39]}., but now it is .#010203."
    with pytest.raises(RunError, match=said):
        predicted(model, pictures, tmp_path / "out", palette=tmp_path / "colours.txt")


def test_words_on_the_weights_are_no_fact_and_the_output_stride_is_one(tiny, pictures, tmp_path):
    predicted(tiny, pictures, tmp_path / "out")
    note(tmp_path / "out", weights="the graph of another name")
    predicted(tiny, pictures, tmp_path / "out")
    note(tmp_path / "out", output_stride=8)
    with pytest.raises(RunError, match="made with output_stride 8, but now it is 0"):
        predicted(tiny, pictures, tmp_path / "out")


def test_what_killed_parts_left_is_removed_by_any_other(tiny, pictures, tmp_path):
    left = tmp_path / "out/.atrous-3-of-7"
    left.mkdir(parents=True)
    (left / ".atrous-half").touch()
    (left / ".lock").touch()
    held = tmp_path / "out/.atrous-1-of-2"
    with claimed(held):
        (held / ".atrous-half").touch()
        predicted(tiny, pictures, tmp_path / "out", shard="2/2")
        assert (held / ".atrous-half").exists() and not left.exists()
    predicted(tiny, pictures, tmp_path / "out")
    assert not [*(tmp_path / "out").glob(".*")]


def test_the_small_files_are_half_written_where_the_next_one_removes_them(
    tiny, pictures, tmp_path, monkeypatch
):
    places = []
    make = tempfile.mkstemp
    record = lambda prefix, dir: places.append(dir) or make(prefix=prefix, dir=dir)  # noqa: E731
    monkeypatch.setattr("atrous.files.tempfile.mkstemp", record)
    predicted(tiny, pictures, tmp_path / "out")
    assert {*places} == {tmp_path / "out/.atrous-1-of-1"}


def test_shards_are_disjoint_and_together_the_whole(tiny, pictures, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = {*predicted(tiny, pictures, whole).masks}
    found = [predicted(tiny, pictures, parts, shard=f"{i}/3").masks for i in (2, 3, 1)]
    assert sorted(map(len, found)) == [1, 2, 2]
    assert {m.relative_to(parts) for part in found for m in part} == {
        m.relative_to(whole) for m in expected
    }
    assert contents(parts) == contents(whole)


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "a/b", "1/0", "1/3/5", "-1/3"])
def test_what_is_no_shard_is_named(tiny, pictures, tmp_path, text):
    with pytest.raises(RecipeError, match=r"--shard: is '"):
        predicted(tiny, pictures, tmp_path / "out", shard=text)
    assert not (tmp_path / "out").exists()


def test_a_map_that_would_be_another_pictures_mask_stops_before_the_first_write(tiny, tmp_path):
    pictures = write_pictures(tmp_path / "pictures", 1)
    (pictures / "confidence").mkdir()
    (pictures / "000.png").rename(pictures / "confidence/000.png")
    write_pictures(pictures, 1)
    with pytest.raises(
        RunError, match=r"confidence/000\.png: would be a file of both|the mask of both"
    ):
        predicted(tiny, pictures, tmp_path / "out", confidence=True)
    assert not (tmp_path / "out").exists()
    predicted(tiny, pictures, tmp_path / "out")


@pytest.mark.parametrize("place", ["open", "os.replace"])
def test_a_disk_that_refuses_is_a_plain_error_and_leaves_nothing_half_written(
    tiny, pictures, tmp_path, monkeypatch, place
):
    def refuse(*arguments, **_):
        raise OSError(30, "Read-only file system", str(arguments[0]))

    out = tmp_path / "out"
    if place == "open":
        monkeypatch.setattr("atrous.files.open", refuse, raising=False)
    else:
        predicted(tiny, pictures / "000.png", out)
        monkeypatch.setattr("atrous.files.os.replace", refuse)
    before = contents(out) if out.exists() else {}
    with pytest.raises(RunError, match="Read-only file system"):
        predicted(tiny, pictures, out)
    assert contents(out) == before


@pytest.mark.parametrize("name", ["out", "out/below"])
def test_a_folder_that_cannot_be_made_is_named(tiny, pictures, tmp_path, name):
    (tmp_path / "out").touch()
    with pytest.raises(RunError, match="cannot be made a folder") as caught:
        predicted(tiny, pictures, tmp_path / name)
    assert caught.value.where == str(tmp_path / name)


@pytest.mark.parametrize("name", ["000.png", "a/001.png", "overlay/a/b/002.jpg", "shares.csv"])
def test_files_that_no_prediction_made_are_neither_taken_for_masks_nor_replaced(
    tiny, pictures, tmp_path, name
):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_bytes((pictures / "000.png").read_bytes())
    before = contents(out)
    with pytest.raises(RunError, match=f"{name}: is there already, but no prediction made it"):
        predicted(tiny, pictures, out, overlay=True, shard="2/5")
    assert contents(out) == before
    (out / name).rename(out / "other.png")
    assert len(predicted(tiny, pictures, out, overlay=True).masks) == 5


def test_a_mask_of_another_size_than_the_picture_is_made_again(tiny, pictures, tmp_path):
    predicted(tiny, pictures, tmp_path / "out")
    with Image.open(pictures / "000.png") as picture:
        larger = picture.resize((50, 40))
    larger.save(pictures / "000.png")
    predicted(tiny, pictures, tmp_path / "out")
    assert pixels(tmp_path / "out/000.png").shape == (40, 50)


def test_a_picture_that_no_jpeg_can_show_is_left_out_and_the_others_go_on(tiny, tmp_path):
    write_pictures(tmp_path / "pictures", 1)
    Image.fromarray(np.zeros((4, 65_501, 3), np.uint8)).save(tmp_path / "pictures/wide.png")
    masks, failures = predicted(tiny, tmp_path / "pictures", tmp_path / "out", overlay=True)
    assert [mask.name for mask in masks] == ["000.png"]
    (failure,) = failures
    assert isinstance(failure, ImageError) and "4 x 65501 pixels" in str(failure)
    assert failure.where == str(tmp_path / "pictures/wide.png")
    assert not (tmp_path / "out/wide.png").exists()


def test_a_refusal_of_the_disk_names_the_file_that_failed(tiny, pictures, tmp_path, monkeypatch):
    replace_ = os.replace

    def full(source, target):
        if "overlay" in str(target):
            raise OSError("no words")
        replace_(source, target)

    monkeypatch.setattr("atrous.files.os.replace", full)
    said = r"overlay/.*jpg: cannot be written \(no words\)"
    with pytest.raises(RunError, match=said):
        predicted(tiny, pictures, tmp_path / "out", overlay=True)


def test_failures_come_in_the_order_of_names_with_their_reasons(tiny, pictures, tmp_path):
    (pictures / "a/000.jpg").write_bytes(b"no picture")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(pictures / "zz.tif")
    told = []
    masks, failures = predicted(tiny, pictures, tmp_path / "out", tell=told.append)
    assert len(masks) == 5
    assert [e.where for e in failures] == [str(pictures / "a/000.jpg"), str(pictures / "zz.tif")]
    assert "float32" in str(failures[1])
    assert told[0].startswith("Engine: onnxruntime")
    assert sorted(told[1:]) == [f"left out: {e.where} ({e.found})" for e in failures]
    assert "000.jpg" not in (tmp_path / "out/shares.csv").read_text()


def test_a_model_that_answers_for_no_picture_is_the_models_fault(tiny, pictures, tmp_path):
    weights = np.full((3, 3), np.nan)
    nan = write_tiny(tmp_path / "nan.onnx", weights=weights)
    with pytest.raises(WeightsError, match=r"000\.png: gets logits that are no numbers"):
        predicted(nan, pictures, tmp_path / "out")
    (pictures / "b.jpg").write_bytes(b"")
    masks, failures = predicted(nan, pictures, tmp_path / "out")
    assert not masks and {type(error) for error in failures} == {ImageError, WeightsError}


def test_an_error_of_the_model_is_listed_with_its_picture(tiny, pictures, tmp_path, monkeypatch):
    answer = Predictor.__call__

    def call(self, image):
        if image.name == "000.png":
            raise WeightsError("m.onnx", found="runs out of memory", allowed="-", fix="-")
        return answer(self, image)

    monkeypatch.setattr(Predictor, "__call__", call)
    masks, (failure,) = predicted(tiny, pictures, tmp_path / "out")
    assert len(masks) == 4 and failure.where == str(pictures / "000.png")
    assert failure.found == "m.onnx runs out of memory"


class Broken:
    name, precision, grid, bands, lanes, threads = "torch", "f32", Grid(1), 2, 1, 1

    def __init__(self, dtype):
        self.dtype = dtype

    def __call__(self, images):
        logits = images.transpose(0, 3, 1, 2).astype(np.float32)
        return logits if self.dtype == "float32" else logits * np.float32(np.nan)


def test_logits_that_are_no_numbers_are_blamed_on_the_picture_or_on_the_weights():
    two = Classes(("a", "b"))
    spoilt = np.zeros((3, 4, 2), np.float32)
    spoilt[1, 2, 0] = np.nan
    predictor = Predictor(Broken("float32"), two)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ImageError, match=r"1 pixel"):
        predictor(spoilt)
    predictor = replace(predictor, engine=Broken("uint8"), description="last weights")
    with pytest.raises(WeightsError, match=r"no numbers \(NaN\) from last weights"):
        predictor(np.zeros((3, 4, 2), np.uint8))


def test_palettes_go_by_name_where_they_can_and_else_by_order(tmp_path):
    by_name = recoloured(Classes(("Road", "sky")), "cityscapes")
    known = {name: colour for _, name, colour in cityscapes.CLASSES}
    assert by_name.colours == (known["road"], known["sky"])
    (tmp_path / "dataset.toml").write_text(
        'classes = ["blue", "green", "red"]\ncolours = ["#0000ff", "#00ff00", "#ff0000"]\n'
    )
    assert recoloured(CLASSES, tmp_path / "dataset.toml").colours[0] == (255, 0, 0)
    (tmp_path / "colours.txt").write_text("#010203\n#040506\n#070809\n")
    assert recoloured(CLASSES, tmp_path / "colours.txt").colours[2] == (7, 8, 9)
    assert recoloured(Classes(tuple(map(str, range(21)))), "voc").colours[1] == (128, 0, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [("#010203\n", "has 1 colours"), ("red\n", "cannot be read"), ("#12345\n", "cannot be read")],
)
def test_palettes_that_do_not_fit_are_named(tmp_path, text, said):
    (tmp_path / "colours.txt").write_text(text)
    with pytest.raises(RecipeError, match=said):
        recoloured(CLASSES, tmp_path / "colours.txt")
    with pytest.raises(RecipeError, match=r"nowhere: cannot be read \(No such file"):
        recoloured(CLASSES, "nowhere")
    (tmp_path / "a.toml").write_text("classes = 3")
    with pytest.raises(RecipeError, match="it has no colours"):
        recoloured(CLASSES, tmp_path / "a.toml")


def test_a_palette_colours_the_files_and_is_noted(tiny, pictures, tmp_path):
    (tmp_path / "colours.txt").write_text("#010203\n#040506\n#070809\n")
    predicted(tiny, pictures, tmp_path / "out", palette=tmp_path / "colours.txt")
    with Image.open(tmp_path / "out/000.png") as mask:
        assert (mask.getpalette() or [])[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    noted = json.loads((tmp_path / "out/predict.json").read_text())
    assert noted["classes"]["colours"][0] == "#010203"
