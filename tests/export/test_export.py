"""A run becomes one file that says what it is and answers as the run, or no file at all."""

import errno
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made import BASIC, made_run
from onnx import numpy_helper
from PIL import Image

import atrous
from atrous.classes import Classes
from atrous.data.dataset import open_dataset
from atrous.errors import AtrousError, DataError, RecipeError, RunError, WeightsError
from atrous.export import Export
from atrous.export.facts import manifest_of, source_of, tiles_of
from atrous.export.gate import made_up
from atrous.export.search import Quantised
from atrous.exported import Manifest, read_exported
from atrous.models.build import build
from atrous.runs import read_model
from atrous.types import Grid, Spread, Statistics

GRASS = Classes(("grass", "disc", "square"), remap={7: "ignore"})


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_run(tmp_path_factory.mktemp("runs") / "run", GRASS, data=shapes)


@pytest.fixture(scope="module")
def exported(run: Path) -> Export:
    return atrous.export(run, out=run / "to" / "shapes.onnx", samples=3)


@pytest.fixture(scope="module")
def graph(exported: Export) -> bytes:
    return exported.path.read_bytes()


@pytest.fixture
def ready(graph: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of the run is there at once."""
    monkeypatch.setattr("atrous.export.graph.graph_of", lambda model: graph)


def failing(code: int) -> Any:
    """A function that the disk refuses."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


class TestTheFile:
    def test_it_answers_as_the_run(self, run, exported, shapes):
        ours, theirs = atrous.load(exported.path), atrous.load(run)
        for picture in (shapes / "val" / "images").iterdir():
            mask = ours(picture).mask
            assert np.array_equal(mask, theirs(picture).mask) and len(np.unique(mask)) > 1
        assert ours.classes == theirs.classes and ours.description == theirs.description

    def test_it_says_what_it_is(self, run, exported):
        manifest = read_exported(exported.path).manifest
        assert manifest == exported.manifest
        assert manifest.classes == GRASS
        assert (manifest.dtype, manifest.bands, manifest.band_order) == ("uint8", 3, "RGB")
        assert manifest.mean == manifest.std == (127.5,) * 3
        assert manifest.placement == Grid(4)
        assert (manifest.alignment, manifest.tiling, manifest.pooled) == (8, "exact", 0)
        assert manifest.halo % 8 == 0 < manifest.halo
        assert manifest.precision == "f32" and manifest.normalises and manifest.opset == 18
        assert manifest.weights == read_model(run / "last.safetensors").digest
        assert manifest.description == "last weights, step 7, averaged (EMA)"
        model = atrous.build("fcn_basic", num_classes=3)
        assert manifest.model["parameters"] == sum(p.numel() for p in model.parameters())
        assert manifest.model["name"] == "fcn_basic" and manifest.model["macs"] > 1e9
        assert manifest.scores is None  # the run has none

    def test_it_tells_how_it_compared_with_the_run_and_not_where_the_data_lie(
        self, exported, shapes
    ):
        record = exported.manifest.verified
        assert record is not None
        assert (record["data"], record["pictures"]) == (shapes.name, 3)
        assert record["reference_mIoU"] == exported.verification.rows[0].reference.miou
        assert {row["engine"] for row in record["runtimes"]} >= {"onnxruntime"}
        assert all(row["flipped"] == 0 for row in record["runtimes"])
        assert str(shapes.parent).encode() not in exported.path.read_bytes()

    def test_what_is_said_of_it_is_plain(self, exported):
        told = json.loads(json.dumps(exported.to_dict(), allow_nan=False))
        assert told["file"] == str(exported.path)
        assert told["bytes"] == exported.path.stat().st_size
        assert told["digest"] == read_exported(exported.path).digest
        assert told["verification"]["passed"] and told["verification"]["model"] == told["file"]

    def test_nothing_else_is_left_beside_it(self, exported):
        assert [path.name for path in exported.path.parent.iterdir()] == ["shapes.onnx"]


class TestWithoutADataSet:
    def test_made_up_pictures_are_compared(self, run, ready, tmp_path):
        alone = made_run(tmp_path / "alone", GRASS)
        result = atrous.export(alone, out=tmp_path / "a.onnx")
        assert result.verification.rows[0].pictures == 3
        assert "made-up pictures alone" in result.notes[0]

    def test_the_weights_file_alone_is_enough(self, run, ready, tmp_path):
        file = tmp_path / "given.safetensors"
        file.write_bytes((run / "last.safetensors").read_bytes())
        result = atrous.export(file, out=tmp_path / "a.onnx")
        assert result.manifest.description == "last weights, step 7, averaged (EMA)"

    def test_one_that_has_changed_is_told_of(self, ready, tmp_path):
        """Where it was given, it must be right."""
        data = tmp_path / "data"
        data.mkdir()
        run = made_run(tmp_path / "run", GRASS, data=data)
        assert "made-up" in atrous.export(run, out=tmp_path / "a.onnx").notes[0]
        with pytest.raises(DataError):
            atrous.export(run, out=tmp_path / "b.onnx", data=data)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "data", "run"]

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
    def test_made_up_pictures_lie_around_the_mean_colour(self, exported, dtype):
        mean, std = (100.0, 20.0), (30.0, 40.0)
        manifest = replace(
            exported.manifest, dtype=dtype, bands=2, mean=mean, std=std, band_order=""
        )
        for picture in made_up(manifest):
            assert picture.dtype == dtype and picture.shape[2] == 2
            assert abs(picture[..., 0].mean() - 100) < 3


class TestARunFolderOfSuchAName:
    """`street.onnx/` is a run like others."""

    def test_it_is_exported(self, ready, tmp_path):
        run = made_run(tmp_path / "street.onnx", GRASS)
        assert atrous.export(run, out=tmp_path / "a.onnx").path.is_file()


class TestScores:
    def test_those_of_the_same_weights_go_with_the_file(self, run, ready, tmp_path):
        scores = {"split": "val", "mIoU": 0.5, "images": [1, 2], "rules": "long", "weights": ""}
        for words, kept in (("last weights, step 7, averaged (EMA)", True), ("step 6", False)):
            (run / "scores.json").write_text(json.dumps(scores | {"weights": words}))
            told = manifest_of(source_of(run)).scores
            assert told == ({"split": "val", "mIoU": 0.5, "weights": words} if kept else None)
        (run / "scores.json").unlink()


class TestWhatIsRefused:
    @pytest.mark.parametrize("name", ["a.pt", "a", "folder.onnx"])
    def test_another_ending_or_a_folder(self, run, tmp_path, name):
        (tmp_path / "folder.onnx").mkdir()
        with pytest.raises(RecipeError, match=name) as caught:
            atrous.export(run, out=tmp_path / name)
        assert caught.value.fix == "Give for example --out model.onnx."

    def test_the_folder_itself(self, run):
        with pytest.raises(RecipeError, match=r"is \. \(a folder\)"):
            atrous.export(run, out=".")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"samples": 0}, "samples: is 0"),
            ({"samples": 3, "int8": "DATA"}, "are given with int8"),
            ({"data": "DATA", "int8": "DATA"}, "are given with int8"),
        ],
    )
    def test_what_would_have_no_effect(self, tmp_path, options, said):
        with pytest.raises(RecipeError, match=said):
            atrous.export(tmp_path / "none", out=tmp_path / "a.onnx", **options)

    def test_an_exported_file(self, exported, tmp_path):
        with pytest.raises(WeightsError, match="exported file already"):
            atrous.export(exported.path, out=tmp_path / "a.onnx")

    def test_a_run_that_is_not_there(self, tmp_path):
        with pytest.raises(RunError, match="does not exist"):
            atrous.export(tmp_path / "none", out=tmp_path / "a.onnx")

    def test_an_output_stride_that_the_model_has_not(self, run, tmp_path):
        with pytest.raises(AtrousError, match="output_stride"):
            atrous.export(run, out=tmp_path / "a.onnx", output_stride=16)

    def test_a_missing_package(self, run, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        with pytest.raises(RecipeError, match=r"onnxscript.*atrous\[train\]"):
            atrous.export(run, out=tmp_path / "a.onnx")

    def test_a_folder_that_is_a_file(self, run, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(RunError, match="cannot be made a folder"):
            atrous.export(run, out=tmp_path / "file" / "a.onnx")

    def test_a_full_disk(self, run, ready, tmp_path, monkeypatch):
        monkeypatch.setattr("atrous.exported.write_whole", failing(errno.ENOSPC))
        with pytest.raises(RunError, match="No space"):
            atrous.export(run, out=tmp_path / "new" / "folder" / "a.onnx")
        assert not [*tmp_path.iterdir()]

    def test_a_folder_that_may_not_be_written_to_before_the_run_is_looked_at(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("tempfile.mkdtemp", failing(errno.EROFS))
        with pytest.raises(RunError, match=r"a\.onnx: cannot be written \(Read-only"):
            atrous.export(tmp_path / "none", out=tmp_path / "new" / "a.onnx")
        assert not [*tmp_path.iterdir()]

    def test_what_goes_wrong_with_other_files_is_not_said_of_this_one(
        self, run, ready, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("atrous.export.gate.passed", failing(errno.EIO))
        with pytest.raises(OSError, match="Input/output error"):
            atrous.export(run, out=tmp_path / "new" / "a.onnx")
        assert not [*tmp_path.iterdir()]


def changed(graph: bytes, name: str, change: Any) -> bytes:
    """The graph with other values of this name."""
    model = onnx.load_from_string(graph)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    values = change(numpy_helper.to_array(tensor)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model.SerializeToString()


class TestTheGate:
    @pytest.mark.parametrize(
        ("name", "change", "reason"),
        [
            ("encoder.layers.2.0.weight", lambda weight: 0 * weight, "logits differ by"),
            ("pixels.mean", lambda mean: mean + 0.3, "differ and are no ties"),
            ("head.layers.1.bias", lambda bias: bias * np.nan, "no numbers"),
        ],
    )
    def test_a_graph_that_answers_otherwise_becomes_no_file(
        self, run, graph, tmp_path, monkeypatch, name, change, reason
    ):
        other = changed(graph, name, change)
        monkeypatch.setattr("atrous.export.graph.graph_of", lambda model: other)
        before = tmp_path / "a.onnx"
        before.write_bytes(b"an older one")
        with pytest.raises(WeightsError, match=reason) as caught:
            atrous.export(run, out=before)
        assert "report its recipe" in caught.value.fix
        assert before.read_bytes() == b"an older one"
        assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]

    def test_made_up_pictures_must_keep_their_masks_where_nothing_else_is_compared(
        self, graph, tmp_path, monkeypatch
    ):
        """The same fault as with a data set: small in logits, seen in masks."""
        other = changed(graph, "pixels.mean", lambda mean: mean + 0.3)
        monkeypatch.setattr("atrous.export.graph.graph_of", lambda model: other)
        (tmp_path / "data").mkdir()
        for name, data in (("alone", None), ("changed", tmp_path / "data")):
            run = made_run(tmp_path / name, GRASS, data=data)
            with pytest.raises(WeightsError, match="differ and are no ties"):
                atrous.export(run, out=tmp_path / "a.onnx")
        assert not (tmp_path / "a.onnx").exists()

    def test_a_graph_that_knows_its_size_becomes_no_file(self, run, graph, tmp_path, monkeypatch):
        model = onnx.load_from_string(graph)
        pad = next(node for node in model.graph.node if node.name == "pixels/Pad")
        pad.input[1] = "sides"
        sides = np.array([0, 0, 0, 0, 0, 0, 7, 5], np.int64)  # right for 97 x 131 alone
        model.graph.initializer.append(numpy_helper.from_array(sides, "sides"))
        other = model.SerializeToString()
        monkeypatch.setattr("atrous.export.graph.graph_of", lambda model: other)
        with pytest.raises(WeightsError, match=r"picture 1.*gives logits"):
            atrous.export(run, out=tmp_path / "a.onnx")


class TestWholeNumbers:
    def search(self, graph: bytes, images: list[np.ndarray], **more: Any) -> Any:
        """What was asked of the search; its graph is the float one."""
        self.images, self.more = images, more
        return Quantised(graph, {"pictures": len(images)})

    def test_they_come_from_pictures_of_train_and_pass_all_of_val(
        self, run, ready, shapes, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("atrous.export.search.best_quantised", self.search)
        result = atrous.export(run, out=tmp_path / "a.onnx", int8=shapes)
        train = open_dataset(shapes, classes=GRASS, only="train").split("train")
        assert len(self.images) == len(train) == 10
        assert all(image.shape == (72, 96, 3) and image.dtype == np.uint8 for image in self.images)
        assert self.more["task"] == "multiclass"
        assert result.manifest.precision == "int8"
        assert result.manifest.quantised == {"pictures": 10, "seed": 0}
        assert result.verification.rows[0].pictures == 4

    @pytest.mark.parametrize(
        ("void", "reason"), [(False, "mIoU falls by"), (True, "nothing to judge by")]
    )
    def test_a_spoiled_graph_becomes_no_file(
        self, run, ready, graph, shapes, tmp_path, monkeypatch, void, reason
    ):
        """Neither where scores show it, nor where val has no truth that could."""
        spoiled = changed(graph, "encoder.layers.2.0.weight", lambda weight: 0 * weight)
        monkeypatch.setattr(
            "atrous.export.search.best_quantised", lambda *_, **__: Quantised(spoiled, {})
        )
        data = shutil.copytree(shapes, tmp_path / "data")
        for mask in (data / "val" / "masks").iterdir() if void else ():
            Image.fromarray(np.full((72, 96), 255, np.uint8)).save(mask)
        with pytest.raises(WeightsError, match=reason) as caught:
            atrous.export(run, out=tmp_path / "a.onnx", int8=data)
        assert "Leave --int8 out" in caught.value.fix
        assert not (tmp_path / "a.onnx").exists()

    def test_without_a_data_set_there_is_nothing_to_see(self, run, ready, tmp_path):
        (tmp_path / "none").mkdir()
        with pytest.raises(DataError):
            atrous.export(run, out=tmp_path / "a.onnx", int8=tmp_path / "none")


class TestManifest:
    def of(self, path: Path, **more: Any) -> Manifest:
        return manifest_of(source_of(made_run(path / "run", **more)))

    def test_statistics_of_the_data_are_in_pixel_values(self, tmp_path):
        measured = Statistics((900.0, 20.5, 3.0, 7.0, 0.0), (300.0, 9.0, 0.5, 2.0, 0.0))
        manifest = self.of(tmp_path, classes=GRASS, statistics=measured, dtype="uint16")
        assert (manifest.dtype, manifest.bands, manifest.band_order) == ("uint16", 5, "")
        assert manifest.mean == measured.mean
        assert manifest.std == (300.0, 9.0, 0.5, 2.0, 1.0)  # a band without any is not divided

    @pytest.mark.parametrize(
        ("dtype", "largest"), [("uint8", 255), ("uint16", 65535), ("float32", 1)]
    )
    def test_other_normalisation_follows_the_rules_of_the_model(self, tmp_path, dtype, largest):
        options = {"name": "deeplabv3", "encoder": "resnet18", "origin": "torchvision"}
        manifest = self.of(tmp_path, classes=GRASS, options=options, dtype=dtype)
        np.testing.assert_allclose(manifest.mean, np.array([0.485, 0.456, 0.406]) * largest)
        np.testing.assert_allclose(manifest.std, np.array([0.229, 0.224, 0.225]) * largest)
        assert manifest.placement == Spread(False, 1) and manifest.pooled == 512

    @pytest.mark.parametrize("task", ["binary", "multilabel"])
    def test_the_task_is_that_of_the_run(self, tmp_path, task):
        classes = Classes(("no", "yes"), task=task)
        assert self.of(tmp_path, classes=classes).classes.task == task

    def test_paths_of_this_machine_stay_here(self, tmp_path):
        options = BASIC | {"from_run": str(tmp_path / "first")}
        assert str(tmp_path) not in json.dumps(
            self.of(tmp_path, classes=GRASS, options=options).to_dict()
        )


@pytest.mark.parametrize(
    ("name", "options", "mode", "pooled_stride"),
    [
        ("fcn_basic", {}, "exact", 0),
        ("fcn8s", {"encoder": "resnet18"}, "exact", 0),
        ("deeplabv3plus", {"encoder": "resnet18"}, "two-pass", 16),
        ("deeplabv3", {"encoder": "resnet18", "output_stride": 8}, "two-pass", 8),
        ("deeplabv3plus", {"encoder": "resnet18", "image_pooling": False}, "exact", 0),
        ("deeplabv3plus", {"encoder": "mobilenetv3_small_100"}, "blend", 16),  # squeeze-excite
        ("deeplabv3", {"encoder": "resnet18", "origin": "smp"}, "blend", 16),  # resizes by size
    ],
)
def test_tiles_are_as_exact_as_the_network_lets_them_be(name, options, mode, pooled_stride):
    tiles = tiles_of(build(name, num_classes=2, **options))
    assert (tiles.tiling, tiles.pooled_stride) == (mode, pooled_stride)
    assert (mode == "blend") == bool(tiles.inexact) and tiles.room > 0


def test_tiles_of_a_network_of_unknown_reach_are_blended():
    from torch import fft, nn

    class Waves(nn.Module):
        def forward(self, features: Any) -> Any:
            return fft.fft2(features).abs()

    model = build("fcn_basic", num_classes=2)
    layers = model.encoder.get_submodule("layers")
    model.encoder.set_submodule("layers", nn.Sequential(layers, Waves()))
    tiles = tiles_of(model)
    assert (tiles.alignment, tiles.halo, tiles.tiling) == (8, 0, "blend")
    assert "fft" in tiles.inexact
