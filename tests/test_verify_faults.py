"""Faults that an export may have, planted in a sound file: each must be caught."""

import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest

import atrous
from atrous.classes import Classes
from atrous.errors import RecipeError, WeightsError
from atrous.exported import read_exported, write_exported
from atrous.runs import RunFolder
from atrous.types import Grid
from atrous.weights import read_weights, write_weights


@pytest.fixture(scope="module")
def run(exported):
    return exported[0]


@pytest.fixture(scope="module")
def model(exported):
    return exported[1]


def verified(model, run, data, **options):
    return atrous.verify(model, run, data, engine="onnxruntime", threads=1, **options)


def test_a_sound_file_passes_and_its_numbers_are_those_of_evaluation(model, run, shapes):
    verification = verified(model, run, shapes)
    (row,) = verification.rows
    assert verification.passed and verification.reasons == ()
    assert row.pictures == 4 and row.pixels == 4 * 72 * 96
    assert row.largest < 1e-4 * row.scale
    scores = atrous.evaluate(run, shapes, threads=1).scores
    assert row.reference.miou == scores.miou > 0.4
    assert np.array_equal(row.reference.confusion, scores.confusion)
    facts = verification.to_dict()
    assert facts["passed"] and facts["rows"][0]["classes"][1]["name"] == "disc"
    assert facts["reference"]["engine"] == "torch"


def scaled(op: str, factor: float) -> Callable:
    """The constant of the first such operation, which normalises, times a factor."""

    def plant(proto):
        node = next(node for node in proto.graph.node if node.op_type == op)
        (old,) = (i for i in proto.graph.initializer if i.name == node.input[1])
        values = onnx.numpy_helper.to_array(old)
        proto.graph.initializer.append(
            onnx.numpy_helper.from_array((values * factor).astype(values.dtype), "planted")
        )
        node.input[1] = "planted"

    return plant


def swapped(proto):
    """Blue, green, red where red, green, blue come in."""
    name = proto.graph.input[0].name
    for node in proto.graph.node:
        node.input[:] = ["planted" if text == name else text for text in node.input]
    order = onnx.numpy_helper.from_array(np.array([2, 1, 0]), "order")
    proto.graph.initializer.append(order)
    proto.graph.node.insert(
        0, onnx.helper.make_node("Gather", [name, "order"], ["planted"], axis=3)
    )


def zeroed(proto):
    """A layer without weights."""
    layer = [tensor for tensor in proto.graph.initializer if len(tensor.dims) == 4][2]
    zeros = np.zeros(layer.dims, np.float32)
    layer.CopyFrom(onnx.numpy_helper.from_array(zeros, layer.name))


FAULTS = {
    "wrong mean": scaled("Sub", 0.9),
    "wrong scale": scaled("Div", 1.1),
    "swapped channels": swapped,
    "a layer zeroed": zeroed,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_in_the_graph_are_caught(fault, model, run, shapes, tmp_path):
    content, manifest, _ = read_exported(model)
    proto = onnx.load_from_string(content)
    FAULTS[fault](proto)
    write_exported(tmp_path / "bad.onnx", proto.SerializeToString(), manifest)
    verification = verified(tmp_path / "bad.onnx", run, shapes)
    (row,) = verification.rows
    assert not verification.passed and not row.failure
    assert row.flipped > 1e-4 * row.pixels
    assert any("differ and are no ties" in reason for reason in verification.reasons)


@pytest.fixture
def other(run, tmp_path):
    """A run of the same recipe whose weights are each some percent off."""
    path, random = shutil.copytree(run, tmp_path / "other"), np.random.default_rng(0)
    for name in ("last", "best"):
        tensors, about, _ = read_weights(RunFolder(path).weights(name))
        tensors = {
            key: array * random.normal(1, 0.1, array.shape).astype(np.float32)
            for key, array in tensors.items()
        }
        write_weights(RunFolder(path).weights(name), tensors, about)
    return path


def test_weights_of_another_run_are_named_and_seen(model, other, shapes):
    verification = verified(model, other, shapes)
    assert verification.mismatches[0].startswith("weights of another run")
    assert verification.rows[0].flipped > 0  # shown too how different they are


def test_weights_of_another_run_are_seen_though_the_manifest_lies(model, other, shapes, tmp_path):
    content, manifest, _ = read_exported(model)
    digest = read_weights(RunFolder(other).weights("last")).digest
    write_exported(tmp_path / "lie.onnx", content, replace(manifest, weights=digest))
    verification = verified(tmp_path / "lie.onnx", other, shapes)
    assert not verification.mismatches and not verification.passed


ORDER = "classes stand in another order: class 0 is 'disc' in the file, 'grass' in the run"
MEANINGS = {
    ORDER: {"classes": Classes(("disc", "grass", "square"))},
    "classes: class 2 is 'box' in the file, 'square' in the run": {
        "classes": Classes(("grass", "disc", "box"))
    },
    "classes is 2 in the file, 3 in the run": {"classes": Classes(("grass", "disc"))},
    "task is multilabel in the file, multiclass in the run": {
        "classes": Classes(("grass", "disc", "square"), task="multilabel")
    },
    "pixels is uint16 in the file, uint8 in the run": {"dtype": "uint16"},
    "bands is 4 in the file, 3 in the run": {
        "bands": 4,
        "mean": (0.0,) * 4,
        "std": (1.0,) * 4,
        "band_order": "",
    },
    "placement of logits is Grid(stride=7, offset=0.0) in the file": {"placement": Grid(7)},
}


@pytest.mark.parametrize("line", MEANINGS)
def test_what_the_manifest_says_otherwise_is_a_line_before_any_picture(
    line, model, run, shapes, tmp_path
):
    content, manifest, _ = read_exported(model)
    write_exported(tmp_path / "bad.onnx", content, replace(manifest, **MEANINGS[line]))
    verification = verified(tmp_path / "bad.onnx", run, shapes)
    assert any(line in reason for reason in verification.reasons)
    assert not verification.passed and verification.rows == ()


def test_a_mean_that_the_manifest_alone_has_wrong_is_told(model, run, shapes, tmp_path):
    content, manifest, _ = read_exported(model)
    write_exported(tmp_path / "bad.onnx", content, replace(manifest, mean=(0.5, 0.5, 0.5)))
    verification = verified(tmp_path / "bad.onnx", run, shapes)
    line = "mean of pixels is 0.5, 0.5, 0.5 in the file, 127.5, 127.5, 127.5 in the run"
    assert verification.reasons == (line,)
    assert verification.rows[0].flipped == 0  # the graph has the right one


def test_the_reference_is_those_weights_that_the_file_was_made_from(model, run, other, shapes):
    shutil.copy(RunFolder(run).weights("last"), RunFolder(other).weights("best"))
    assert verified(model, other, shapes).passed
    assert not verified(model, other, shapes, weights="last").passed


def test_pictures_without_truth_are_compared_by_their_masks(model, run, shapes):
    pictures = sorted((shapes / "val/images").iterdir())
    verification = verified(model, run, pictures, limit=2)
    (row,) = verification.rows
    assert verification.passed and row.pictures == 2
    assert verification.to_dict()["rows"][0]["mIoU"] is None


def test_whole_numbers_without_truth_are_not_said_to_answer_as_the_run(
    model, run, shapes, tmp_path
):
    content, manifest, _ = read_exported(model)
    proto = onnx.load_from_string(content)
    zeroed(proto)
    whole = replace(manifest, precision="int8")
    write_exported(tmp_path / "bad.onnx", proto.SerializeToString(), whole)
    pictures = sorted((shapes / "val/images").iterdir())
    verification = verified(tmp_path / "bad.onnx", run, pictures)
    assert not verification.passed and "nothing to judge by" in verification.reasons[0]


def test_no_pictures_are_refused(model, run):
    with pytest.raises(RecipeError, match="pictures: are none"):
        verified(model, run, [])


@pytest.fixture
def refusing(monkeypatch):
    """OpenVINO refuses the file, or this machine."""
    from atrous.predict import predictor

    opened = predictor.load

    def refuse(error):
        def load(path, **options):
            if options.get("engine") == "openvino":
                raise error
            return opened(path, **options)

        monkeypatch.setattr(predictor, "load", load)

    return refuse


def test_a_runtime_that_cannot_load_the_file_is_a_row_beside_those_that_can(
    model, run, shapes, refusing
):
    refusing(WeightsError("x", found="cannot be loaded", allowed="it must be", fix="Go."))
    verification = atrous.verify(model, run, shapes, precision="f32", threads=1, limit=1)
    assert [str(row.runtime) for row in verification.rows] == ["onnxruntime f32", "openvino f32"]
    assert verification.reasons == ("openvino f32: cannot be loaded",)
    (alone,) = atrous.verify(model, run, shapes, engine="openvino", precision="f32").rows
    assert alone.failure == "cannot be loaded" and alone.pictures == 0


def test_a_runtime_that_this_machine_lacks_is_noted(model, run, shapes, refusing):
    refusing(RecipeError("engine", found="is x", allowed="it is not installed", fix="Get it."))
    verification = atrous.verify(model, run, shapes, precision="f32", threads=1, limit=1)
    assert verification.passed and len(verification.rows) == 1
    note = "openvino f32 is not tried: it is not installed."
    assert note in verification.notes and note in verification.to_dict()["notes"]
    with pytest.raises(RecipeError, match="not installed"):
        atrous.verify(model, run, shapes, engine="openvino", precision="f32")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": -0.1}, "--budget: is -0.1"),
        ({"budget": 2.0}, "--budget: is 2.0"),
        ({"limit": 0}, "--limit: is 0"),
        ({"precision": "int8"}, "there is onnxruntime f32, openvino f32"),
    ],
)
def test_impossible_wishes_are_refused(options, said, model, run, shapes):
    with pytest.raises(RecipeError) as caught:
        verified(model, run, shapes, **options)
    assert said in str(caught.value)
