"""Every engine gives the same logits for a file, from any thread; what it cannot do, it says."""

import importlib.util
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atrous.errors import RecipeError, WeightsError
from atrous.exported import write_exported
from atrous.machine import cores
from atrous.predict.engines import open_engine
from atrous.types import Grid, Spread

pytest.importorskip("onnx")
from onnx import TensorProto, helper

from small_graphs import (
    MEAN,
    STD,
    K,
    graph,
    logits_of,
    manifest_of,
    model_of,
    pictures,
    with_pooled,
)
from tiny_models import write_tiny

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
ENGINES = ["onnxruntime", *(["openvino"] if HAS_OPENVINO else [])]
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="openvino is not installed")
every_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture
def file(tmp_path):
    return written(tmp_path)


def written(folder, model=None, **changed):
    path = folder / "small.onnx"
    write_exported(path, (model or graph()).SerializeToString(), manifest_of(**changed))
    return path


def opened(file, engine, *, threads=2, **options: Any):
    return open_engine(file, engine=engine, threads=threads, **options)


def runtime_of(engine: Any) -> Any:
    return engine.runtime


@every_engine
@pytest.mark.parametrize("size", [(1, 2, 2), (1, 2, 40), (2, 33, 17), (1, 72, 96), (3, 8, 6)])
def test_an_engine_computes_what_the_graph_says(file, engine, size):
    images = pictures(*size)
    logits = opened(file, engine).engine(images)
    assert logits.dtype == np.float32 and logits.shape[:2] == (size[0], K)
    assert np.allclose(logits, logits_of(images), atol=1e-4)


@every_engine
def test_pictures_may_be_views_and_read_only(file, engine):
    images = pictures(1, 20, 30)[:, ::-1, 4:-4]
    images.flags.writeable = False
    assert np.allclose(opened(file, engine).engine(images), logits_of(images), atol=1e-4)


@every_engine
@pytest.mark.parametrize("lanes", [1, 3])
def test_many_threads_get_what_one_gets(file, engine, lanes):
    answer = opened(file, engine, threads=3, lanes=lanes).engine
    shown = [pictures(1, 8 + 2 * (i % 5), 30, seed=i) for i in range(60)]
    alone = [answer(images) for images in shown]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(answer, shown))
    assert answer.lanes == lanes
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@every_engine
def test_what_an_engine_gave_stays_when_it_is_called_again(file, engine):
    answer = opened(file, engine).engine
    first = answer(pictures(1, 10, 10))
    kept = first.copy()
    answer(pictures(1, 10, 10, seed=1))
    assert np.array_equal(first, kept)


@every_engine
def test_an_input_with_a_default_need_not_be_given(tmp_path, engine):
    file = written(tmp_path, with_pooled(graph()), pooled=K, tiling="two-pass")
    images = pictures(2, 12, 18)
    cells = logits_of(images)
    expected = cells + cells.mean((2, 3), keepdims=True)
    assert np.allclose(opened(file, engine).engine(images), expected, atol=1e-4)


@every_engine
def test_an_engine_knows_its_file_and_is_said_aloud(file, engine):
    found = opened(file, engine)
    assert found.engine.name == engine and found.engine.precision == "f32"
    assert found.engine.grid == Grid(2, 0.5)
    assert (found.engine.bands, found.engine.dtype) == (3, "uint8")
    assert (found.engine.lanes, found.engine.threads) == (1, 2)
    assert found.description == "small weights" and found.classes == manifest_of().classes
    assert found.note.startswith(f"Engine: {engine} ") and found.note.endswith(", f32, 2 threads.")
    assert opened(file, engine, lanes=2).note.endswith(", f32, 2 threads in 2 lanes.")
    assert opened(file, engine, threads=1, lanes=4).engine.lanes == 1


@pytest.mark.parametrize(("threads", "lanes", "pool"), [(4, 1, 4), (4, 2, 3), (3, 3, 1)])
def test_the_calls_of_onnxruntime_and_its_workers_are_as_many_as_the_threads(
    file, threads, lanes, pool
):
    """Its pool counts one call, and has a worker less than that."""
    engine = opened(file, "onnxruntime", threads=threads, lanes=lanes).engine
    assert runtime_of(engine).session.get_session_options().intra_op_num_threads == pool


@needs_openvino
def test_f32_is_f32_also_where_the_cpu_would_rather_have_bf16(file):
    compiled = runtime_of(opened(file, "openvino").engine).any_size.compiled
    assert str(compiled.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"


@needs_openvino
def test_bf16_is_taken_where_it_is_asked_for_and_there_is_some(file):
    from atrous.predict.engines.openvino import shared_core

    if "BF16" in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        answer, images = opened(file, "openvino", precision="bf16").engine, pictures(1, 20, 30)
        assert answer.precision == "bf16"
        assert np.allclose(answer(images), logits_of(images), atol=0.1)
    else:
        with pytest.raises(RecipeError, match=r"is bf16, but this CPU computes in FP32"):
            opened(file, "openvino", precision="bf16")


@every_engine
@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_sizes_that_come_again_are_answered_as_before(tmp_path, engine, precision):
    file = written(tmp_path, graph(int8=precision == "int8"), precision=precision)
    answer = opened(file, engine).engine
    shown = [pictures(1, 16, 20 + 2 * i) for i in range(7)]
    first = [answer(images) for images in shown]
    assert answer.precision == precision
    assert np.allclose(first[0], logits_of(shown[0]), atol=1.0)  # int8 is rounded to 0.05
    for _ in range(9):
        again = [answer(images) for images in shown]
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    if engine == "openvino":
        assert len(runtime_of(answer).sizes.kept) == 4


@needs_openvino
def test_nothing_is_kept_for_the_sizes_of_parts_whose_memory_has_a_bound(file):
    answer, images = opened(file, "openvino").engine, pictures(1, 16, 20)
    parts = [answer(images, ()) for _ in range(20)]
    assert not runtime_of(answer).sizes.kept
    assert all(np.array_equal(answer(images), part) for part in parts)
    assert runtime_of(answer).sizes.kept


@needs_openvino
def test_sizes_that_take_turns_are_not_compiled_again_and_again(tmp_path, monkeypatch):
    from atrous.predict.engines import openvino

    answer = opened(written(tmp_path, graph(int8=True), precision="int8"), "openvino").engine
    made, compiled = [], openvino._Compiled
    monkeypatch.setattr(openvino, "_Compiled", lambda model: made.append(1) or compiled(model))
    for i in range(7 * 40):
        answer(pictures(1, 16, 20 + 2 * (i % 7)))
    assert len(made) == 7


@needs_openvino
def test_a_size_that_cannot_be_compiled_is_answered_as_before(tmp_path, monkeypatch):
    answer = opened(written(tmp_path, graph(int8=True), precision="int8"), "openvino").engine
    images, tried = pictures(1, 16, 20), []
    first = answer(images)

    def out_of_memory(model):
        tried.append(model)
        raise MemoryError

    monkeypatch.setattr(runtime_of(answer).sizes, "compiled", out_of_memory)
    assert all(np.array_equal(answer(images), first) for _ in range(20))
    assert len(tried) == 1


@needs_openvino
def test_a_compilation_for_a_size_is_taken_if_it_answers_alike_to_the_bit(file, monkeypatch):
    from atrous.predict.engines.openvino import _Compiled

    answer = opened(file, "openvino").engine
    images, runs = pictures(1, 16, 20), _Compiled.__call__
    first, dynamic = answer(images), runtime_of(answer).any_size

    def nearly(model, pixels):
        given = runs(model, pixels)
        return given if model is dynamic else np.nextafter(given, np.float32(np.inf))

    monkeypatch.setattr(_Compiled, "__call__", nearly)
    assert all(np.array_equal(answer(images), first) for _ in range(20))
    assert not runtime_of(answer).sizes.kept


@needs_openvino
def test_large_weights_are_held_once(file, monkeypatch):
    from atrous.predict.engines import openvino

    monkeypatch.setattr(openvino, "ROOM", file.stat().st_size // 2)
    assert runtime_of(opened(file, "openvino").engine).sizes is None


def test_openvino_answers_where_it_is_installed_and_else_onnxruntime(file, monkeypatch):
    if HAS_OPENVINO:
        assert opened(file, "auto").engine.name == "openvino"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert opened(file, "auto").engine.name == "onnxruntime"
    with pytest.raises(RecipeError, match=r"is not installed.*pip install 'atrous\[openvino\]'"):
        opened(file, "openvino")


REFUSED = [
    ({"engine": "torch"}, r"engine: is torch for .*small\.onnx"),
    ({"engine": "tensorrt"}, r"engine: is 'tensorrt', but engines are auto, torch, onnxruntime"),
    ({"engine": "onnxruntime", "precision": "int8"}, r"precision: is int8 .* that file is f32"),
    ({"engine": "onnxruntime", "precision": "bf16"}, r"is bf16 in onnxruntime, but openvino"),
    ({"engine": "onnxruntime", "precision": "f16"}, r"is 'f16', but precisions are auto, f32"),
    ({"weights": "best"}, r"weights: are 'best'"),
    ({"output_stride": 8}, r"output_stride: is 8"),
    ({"device": "cuda"}, r"device: is 'cuda'"),
    ({"manifest": "other.toml"}, r"manifest other\.toml: is given"),
    ({"threads": -1}, r"threads: is -1, but .* 0"),
    ({"lanes": -2}, r"lanes: is -2, but .* 0"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_a_file_cannot_do_is_refused(file, options, message):
    with pytest.raises(RecipeError, match=message):
        open_engine(file, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "openvino"}, r"runs answer with torch\. Export it first"),
        ({"precision": "int8"}, r"runs answer in f32\. Export it first"),
        ({"manifest": "other.toml"}, r"a run knows its own"),
        ({"threads": -1}, r"threads: is -1, but .* 0"),
        ({"lanes": -2}, r"lanes: is -2, but .* 0"),
    ],
)
def test_what_a_run_cannot_do_is_refused(tmp_path, options, message):
    with pytest.raises(RecipeError, match=message):
        open_engine(tmp_path, **options)


def test_torch_says_which_engine_it_is():
    from atrous.models.build import build
    from atrous.predict.engines.torch import TorchEngine

    engine = TorchEngine(build("fcn_basic", num_classes=2))
    assert (engine.name, engine.precision, engine.lanes) == ("torch", "f32", 1)
    assert engine.threads == cores()
    assert TorchEngine(engine.model, threads=3).threads == 3


@every_engine
def test_a_graph_that_a_runtime_does_not_know_is_an_error_of_a_line(tmp_path, engine):
    nodes = [helper.make_node("Fold", ["images"], ["logits"], domain="org.nowhere")]
    model = model_of(nodes, [])
    model.opset_import.append(helper.make_opsetid("org.nowhere", 1))
    with pytest.raises(WeightsError, match=rf"small\.onnx: cannot be loaded in {engine}") as caught:
        opened(written(tmp_path, model), engine)
    assert "Fold" in str(caught.value) and len(str(caught.value)) < 500 + len(str(tmp_path))


@every_engine
def test_an_input_that_must_be_given_is_refused_when_it_is_opened(tmp_path, engine):
    model = graph()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    end = model.graph.node[-2]
    end.op_type = "Add"
    end.input.append("more")
    with pytest.raises(WeightsError, match=r"needs 2 inputs: (images, more|more, images)"):
        opened(written(tmp_path, model), engine)


@every_engine
def test_pictures_of_other_bands_are_a_typed_error(file, engine):
    answer = opened(file, engine).engine
    with pytest.raises(WeightsError, match=r"cannot be run with uint8 1 x 8 x 8 x 4") as caught:
        answer(np.zeros((1, 8, 8, 4), np.uint8))
    assert engine in str(caught.value) and "fit into memory" in str(caught.value)
    assert answer(pictures(1, 8, 8)).shape == (1, K, 4, 4)  # it goes on


@every_engine
def test_logits_of_other_classes_are_a_typed_error(tmp_path, engine):
    from atrous.classes import Classes

    answer = opened(written(tmp_path, classes=Classes(("a", "b"))), engine).engine
    with pytest.raises(WeightsError, match=r"gives float32 1 x 3 x 4 x 4 .* has 2 logits"):
        answer(pictures(1, 8, 8))


def test_what_was_checked_is_what_runs(file, monkeypatch):
    """The path is read once: another file in its place cannot come between check and run."""
    from atrous import exported

    def read_and_replaced(path, manifest_file=None):
        read = exported.read_exported(path, manifest_file)
        path.write_bytes(b"something else")
        return read

    monkeypatch.setattr("atrous.predict.engines.read_exported", read_and_replaced)
    images = pictures(1, 8, 8)
    answer = open_engine(file, engine="onnxruntime").engine
    assert np.allclose(answer(images), logits_of(images), atol=1e-4)


def guest(folder, text, **form):
    """A graph of another program, with its side file."""
    path = folder / "guest.onnx"
    path.write_bytes(graph(plain=False, **form).SerializeToString())
    numbers = f"mean = {list(MEAN)}\nstd = {list(STD)}\n"
    (folder / "guest.toml").write_text('classes = ["sky", "road", "tree"]\n' + numbers + text)
    return path


@every_engine
@pytest.mark.parametrize("axes", ["NCHW", "NHWC"])
def test_a_guest_gets_pictures_in_its_own_form(tmp_path, engine, axes):
    images = pictures(2, 14, 22)
    found = opened(guest(tmp_path, f'layout = "{axes}"\n', axes=axes), engine)
    assert found.engine.grid == Spread() and found.description == "the graph of guest.onnx"
    assert np.allclose(found.engine(images), logits_of(images), atol=1e-4)


@every_engine
@pytest.mark.parametrize("axes", ["NCHW", "NHWC"])
def test_of_as_many_cells_as_classes_the_layout_says_where_the_classes_are(tmp_path, engine, axes):
    images = pictures(1, 2 * K, 2 * K)
    answer = opened(guest(tmp_path, f'layout = "{axes}"\n', axes=axes), engine).engine
    assert np.allclose(answer(images), logits_of(images), atol=1e-4)


@every_engine
def test_a_guest_that_normalises_itself_may_give_classes_last(tmp_path, engine):
    model = graph()
    model.graph.node[-1].attribute[0].ints[:] = [0, 2, 3, 1]
    path = guest(tmp_path, 'layout = "NHWC"\nnormalises = true\n')
    path.write_bytes(model.SerializeToString())
    images = pictures(2, 14, 22)
    assert np.allclose(opened(path, engine).engine(images), logits_of(images), atol=1e-4)


@every_engine
def test_our_own_give_classes_first_also_where_there_are_as_many_cells(file, engine):
    images = pictures(1, 2 * K, 2 * K)
    assert np.allclose(opened(file, engine).engine(images), logits_of(images), atol=1e-4)


@every_engine
def test_a_guest_of_blue_first_gets_it_first(tmp_path, engine):
    images = pictures(1, 14, 22)
    answer = opened(guest(tmp_path, 'band_order = "BGR"\n'), engine).engine
    assert np.allclose(answer(images), logits_of(images[..., ::-1]), atol=1e-4)


@every_engine
def test_a_guest_of_one_size_gets_every_picture_at_it(tmp_path, engine):
    answer = opened(guest(tmp_path, "size = [12, 16]\n"), engine).engine
    images = pictures(2, 30, 22)
    small = [
        np.asarray(Image.fromarray(i).resize((16, 12), Image.Resampling.BILINEAR)) for i in images
    ]
    assert np.allclose(answer(images), logits_of(np.stack(small)), atol=1e-4)


@every_engine
def test_probabilities_become_logits_of_the_same_soft_max(tmp_path, engine):
    images = pictures(1, 14, 22)
    file = guest(tmp_path, "probabilities = true\n", last="Softmax")
    logits, raw = opened(file, engine).engine(images), logits_of(images)
    probs = np.exp(raw - raw.max(1, keepdims=True))
    assert np.allclose(np.exp(logits).sum(1), 1, atol=1e-3)
    assert np.allclose(np.exp(logits), probs / probs.sum(1, keepdims=True), atol=1e-4)


def test_probabilities_of_one_class_become_logits(tmp_path):
    file = guest(tmp_path, 'probabilities = true\ntask = "multilabel"\n', last="Sigmoid")
    images = pictures(1, 14, 22)
    logits = opened(file, "onnxruntime").engine(images)
    assert np.allclose(np.clip(logits, -9, 9), np.clip(logits_of(images), -9, 9), atol=0.02)


PERSON = "guest_models/deeplabv3plus_mnv2_dm05_person_nchw.onnx"
SIDE = """
classes = ["background", "person"]
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
size = [513, 513]
"""


@pytest.fixture
def person(shared_data, tmp_path):
    file = tmp_path / "person.onnx"
    shutil.copy(shared_data / PERSON, file)
    return file


def test_the_guest_model_needs_a_manifest_and_an_example_is_given(person):
    with pytest.raises(WeightsError, match=r"has no manifest.*Write person\.toml, for example"):
        open_engine(person)


@pytest.mark.parametrize("where", ["beside", "given"])
def test_the_guest_model_finds_the_same_person_in_every_engine(
    person, where, tmp_path, shared_data
):
    side = person.with_suffix(".toml") if where == "beside" else tmp_path / "other.toml"
    side.write_text(SIDE)
    given = {} if where == "beside" else {"manifest": side}
    with Image.open(shared_data / "dense_crf" / "im3.png") as picture:
        image = np.asarray(picture.convert("RGB"))
    masks = []
    for engine in ENGINES:
        logits = opened(person, engine, **given).engine(image[None])
        assert logits.shape == (1, 2, 513, 513)
        masks.append(logits[0].argmax(0))
    assert 0.05 < masks[0].mean() < 0.5
    assert all((mask != masks[0]).mean() < 1e-5 for mask in masks)


def test_a_child_may_end_after_engines_of_openvino_have_come_and_gone(tmp_path):
    """In any order; a stack for signals that is gone would be the end of the process."""
    pytest.importorskip("openvino")
    path = write_tiny(tmp_path / "tiny.onnx")
    program = """
import signal, subprocess, sys
import numpy as np, atrous
signal.signal(signal.SIGCHLD, lambda *_: None)
load = lambda: atrous.load(sys.argv[1], engine="openvino")
kept = [load(), load(), load()]
for index in (0, 1, 0):
    del kept[index if index < len(kept) else 0]
    kept.append(load())
    subprocess.run([sys.executable, "-c", ""], check=True)
kept.clear()
subprocess.run([sys.executable, "-c", ""], check=True)
print("alive")
"""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
