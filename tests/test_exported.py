"""Exported files: hostile bytes are refused, any changed bit is found, side files are checked."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.classes import Classes
from atrous.errors import RecipeError, WeightsError
from atrous.exported import (
    Manifest,
    facts,
    guest_manifest,
    is_exported,
    read_exported,
    with_manifest,
    write_exported,
)
from atrous.exported.wire import WireError, encoded, metadata_field, varint, walk
from atrous.types import Grid, Spread
from atrous.weights import canonical

pytest.importorskip("onnx")
import onnx
from onnx import TensorProto, helper, numpy_helper

from small_graphs import graph, manifest_of, with_pooled

GRAPH = graph().SerializeToString()
FILE, DIGEST = with_manifest(GRAPH, manifest_of())
SIDE = {"classes": ["a", "b"], "mean": [1, 2, 3.5], "std": [4, 5, 6]}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(FILE)
    return path


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "small.onnx"
    assert write_exported(path, GRAPH, manifest_of()) == DIGEST
    read = read_exported(path)
    assert read.content == path.read_bytes() == FILE
    assert read.manifest == manifest_of() and read.digest == DIGEST


def test_onnx_reads_the_same_graph(file):
    model = onnx.load(file)
    assert [entry.key for entry in model.metadata_props] == ["atrous"]
    del model.metadata_props[:]
    assert model == graph()


def test_a_new_manifest_takes_the_place_of_the_old_one():
    other = replace(manifest_of(), description="other weights")
    content, digest = with_manifest(FILE, other)
    assert (content, digest) == with_manifest(GRAPH, other) and digest != DIGEST
    assert with_manifest(content, manifest_of()) == (FILE, DIGEST)


def test_metadata_of_others_stay():
    model = graph()
    helper.set_model_props(model, {"author": "grün", "atrous": "of old"})
    model.metadata_props.add(key="licence", value="MIT")
    content, _ = with_manifest(model.SerializeToString(), manifest_of())
    kept = {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    assert kept.pop("atrous").startswith('{"digest"')
    assert kept == {"author": "grün", "licence": "MIT"}


def test_a_flipped_bit_of_any_byte_is_found(file):
    for at in range(len(FILE)):
        flipped = bytearray(FILE)
        flipped[at] ^= 1 << at % 8
        file.write_bytes(flipped)
        with pytest.raises(WeightsError):
            read_exported(file)


def test_any_truncation_and_anything_more_is_found(file):
    for length in [*range(0, len(FILE), 7), len(FILE) - 1]:
        file.write_bytes(FILE[:length])
        with pytest.raises(WeightsError):
            read_exported(file)
    for more in (b"\0", b"x" * 9, encoded(5 << 3), FILE, encoded(3 << 3 | 2) + b"\1a"):
        file.write_bytes(FILE + more)
        with pytest.raises(WeightsError):
            read_exported(file)


def test_a_graph_that_another_program_changed_is_found(file):
    model = onnx.load(file)
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    onnx.save(model, file)
    with pytest.raises(WeightsError, match="its graph"):
        read_exported(file)
    model.functions.add(name="f", domain="d")  # comes after the metadata
    onnx.save(model, file)
    with pytest.raises(WeightsError, match="not at its end"):
        read_exported(file)


def cut_and_joined(draw):
    """The file with pieces left out, doubled, changed."""
    content = bytearray(draw(st.sampled_from([GRAPH, FILE, GRAPH[:200]])))
    for _ in range(draw(st.integers(1, 4))):
        a, b = sorted(draw(st.integers(0, len(content))) for _ in range(2))
        b = min(b, a + 40)
        kind = draw(st.sampled_from(["leave out", "double", "write"]))
        piece = draw(st.binary(max_size=12)) if kind == "write" else bytes(content[a:b])
        content[a:b] = {"leave out": b"", "double": piece * 2, "write": piece}[kind]
    return bytes(content)


hostile = st.one_of(st.binary(max_size=200), st.composite(cut_and_joined)())


@given(hostile)
def test_hostile_bytes_are_walked_or_refused(content):
    try:
        walked = walk(content)
    except WireError:
        return
    for entry in walked.metadata:
        assert 0 <= entry.start < entry.end <= len(content)


@given(hostile)
def test_hostile_files_are_refused_or_are_the_file(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("hostile") / "a.onnx"
    path.write_bytes(content)
    try:
        read = read_exported(path)
    except WeightsError:
        return
    assert read.manifest == manifest_of() and read.content == FILE


def test_graphs_within_graphs_cannot_exhaust_the_stack():
    content = b""
    for _ in range(5000):  # a graph in an attribute of a node of a graph
        for number in (1, 5, 6):
            content = encoded(number << 3 | 2) + encoded(len(content)) + content
    content = encoded(7 << 3 | 2) + encoded(len(content)) + content
    assert walk(content).external == ()


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_read_as_it_was_written(value):
    content = encoded(value)
    assert varint(content, 0, len(content)) == (value, len(content))
    with pytest.raises(WireError):
        varint(content, 0, len(content) - 1)


def test_the_walker_sees_what_onnx_sees():
    model = graph()
    model.opset_import.add(domain="ai.onnx.ml", version=99)
    assert walk(model.SerializeToString()).opset == 18


def elsewhere(name="far"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def in_an_initializer(model):
    model.graph.initializer.append(elsewhere())


def in_a_constant(model):
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=elsewhere()))


def in_a_list_of_tensors(model):
    model.graph.node.append(helper.make_node("X", [], ["c"], many=[elsewhere("near"), elsewhere()]))


def in_a_branch(model):
    branch = helper.make_graph([], "branch", [], [], [elsewhere()])
    node = helper.make_node("If", ["c"], ["d"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


def in_a_branch_of_a_branch(model):
    inner = helper.make_graph([], "inner", [], [], [elsewhere()])
    outer = helper.make_graph(
        [helper.make_node("If", ["c"], ["d"], then_branch=inner)], "o", [], []
    )
    model.graph.node.append(helper.make_node("X", ["c"], ["d"], graphs=[outer, outer]))


def in_a_sparse_tensor(model):
    sparse = onnx.SparseTensorProto(dims=[9])
    sparse.values.CopyFrom(elsewhere())
    sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(2)))
    model.graph.sparse_initializer.append(sparse)


def in_a_sparse_constant(model):
    in_a_sparse_tensor(model)
    sparse = model.graph.sparse_initializer.pop()
    model.graph.node.append(helper.make_node("Constant", [], ["c"], sparse_value=sparse))


def in_a_function(model):
    node = helper.make_node("Constant", [], ["c"], value=elsewhere())
    function = helper.make_function("d", "F", [], ["c"], [node], [helper.make_opsetid("", 18)])
    model.functions.append(function)


def in_training(model):
    info = model.training_info.add()
    info.algorithm.name = "a"
    info.algorithm.initializer.append(elsewhere())


def by_location_alone(model):
    tensor = elsewhere()
    del tensor.external_data[:]
    model.graph.initializer.append(tensor)


def by_name_of_file_alone(model):
    tensor = elsewhere()
    tensor.ClearField("data_location")
    model.graph.initializer.append(tensor)


PLACES = [
    in_an_initializer,
    in_a_constant,
    in_a_list_of_tensors,
    in_a_branch,
    in_a_branch_of_a_branch,
    in_a_sparse_tensor,
    in_a_sparse_constant,
    in_a_function,
    in_training,
    by_location_alone,
    by_name_of_file_alone,
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_values_in_other_files_are_refused_wherever_they_are(place, file):
    model = graph()
    place(model)
    content = model.SerializeToString()
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=r"takes the values of (far|near).* from other files"):
        read_exported(file)
    with pytest.raises(WeightsError, match="from other files"):
        with_manifest(content, manifest_of())


def test_values_inside_are_not_taken_for_others():
    model = with_pooled(graph(int8=True))
    in_a_constant(model)
    model.graph.node[-1].attribute[0].t.CopyFrom(numpy_helper.from_array(np.ones(3), "near"))
    assert walk(model.SerializeToString()).external == ()


@given(
    st.builds(
        dict,
        placement=st.builds(Grid, st.integers(1, 64), st.floats(-9, 9))
        | st.builds(Spread, st.booleans(), st.integers(1, 64)),
        mean=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
        dtype=st.sampled_from(["uint8", "uint16", "float32"]),
        inexact=st.text(),
        room=st.integers(0, 10**6),
        pooled_stride=st.integers(0, 64),
        classes=st.lists(st.text(), min_size=2, max_size=2, unique=True).map(
            lambda names: Classes(tuple(names), task="binary", remap={-1: "ignore", 4: 1})
        ),
        scores=st.none() | st.dictionaries(st.text(), st.floats(0, 1)),
        pooled=st.integers(0, 999),
    )
)
def test_a_manifest_comes_back_from_json(changed):
    manifest = manifest_of(**changed)
    told = json.loads(json.dumps(manifest.to_dict()))
    assert Manifest.from_dict(told, where="here") == manifest


def test_a_manifest_of_another_format_is_told_apart_from_damage(file, monkeypatch):
    monkeypatch.setattr(
        Manifest, "to_dict", lambda self, to_dict=Manifest.to_dict: to_dict(self) | {"format": 99}
    )
    write_exported(file, GRAPH, manifest_of())
    monkeypatch.undo()
    with pytest.raises(WeightsError, match=r"manifest of format 99, but .* reads format 1"):
        read_exported(file)


def test_a_manifest_that_is_no_table_is_told_of_a_file_with_right_digests(file):
    body = {"manifest": [1], "sha256": hashlib.sha256(GRAPH).hexdigest()}
    digest = hashlib.sha256(canonical(body).encode()).hexdigest()
    file.write_bytes(GRAPH + metadata_field("atrous", canonical(body | {"digest": digest})))
    with pytest.raises(WeightsError, match="its manifest"):
        read_exported(file)


def test_facts_are_the_manifest_with_digest_and_size(file):
    told = json.loads(json.dumps(facts(read_exported(file))))
    assert told["kind"] == "exported" and told["digest"] == DIGEST and told["bytes"] == len(FILE)
    assert told["classes"] == ["sky", "road", "tree"] and told["placement"]["stride"] == 2


def test_exported_files_are_told_by_their_ending(tmp_path):
    assert is_exported(tmp_path / "a.onnx") and is_exported(tmp_path / "B.ONNX")
    assert not is_exported(tmp_path / "last.safetensors") and not is_exported(tmp_path)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.onnx: cannot be read \(No such file"):
        read_exported(tmp_path / "none.onnx")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_exported(tmp_path)


# Graphs of other programs.


@pytest.fixture
def stranger(tmp_path):
    path = tmp_path / "stranger.onnx"
    path.write_bytes(GRAPH)
    return path


def test_a_graph_without_a_manifest_is_told_what_to_write(stranger):
    with pytest.raises(WeightsError) as caught:
        read_exported(stranger)
    assert "stranger.json and stranger.toml are not there" in str(caught.value)
    assert 'Write stranger.toml, for example: classes = ["background", "person"]' in str(
        caught.value
    )


def test_a_side_file_may_be_json_or_toml_beside_or_given(stranger, tmp_path):
    side = guest_manifest(SIDE, where="here")
    assert side.placement == Spread() and side.layout == "NCHW" and not side.normalises
    assert side.bands == 3 and side.dtype == "uint8" and not side.is_plain
    digests = set()
    for name, text in (
        ("stranger.json", json.dumps(SIDE)),
        ("stranger.toml", 'classes = ["a", "b"]\nmean = [1, 2, 3.5]\nstd = [4, 5, 6]\n'),
        ("given.json", json.dumps(SIDE)),
    ):
        path = tmp_path / name
        path.write_text(text)
        given = path if name.startswith("given") else None
        read = read_exported(stranger, given)
        assert read.manifest == side and read.content == GRAPH
        digests.add(read.digest)
        path.unlink()
    assert len(digests) == 1


def test_the_digest_of_a_guest_is_of_its_manifest_too(stranger, tmp_path):
    digests = []
    for mean in (1, 2):
        (tmp_path / "stranger.json").write_text(json.dumps(SIDE | {"mean": [mean] * 3}))
        digests.append(read_exported(stranger).digest)
    assert digests[0] != digests[1]


def test_two_side_files_are_one_too_many(stranger, tmp_path):
    for name in ("stranger.json", "stranger.toml"):
        (tmp_path / name).write_text(json.dumps(SIDE))
    with pytest.raises(WeightsError, match=r"stranger\.json and stranger\.toml are both there"):
        read_exported(stranger)


def test_a_file_with_a_manifest_needs_no_other(file, tmp_path):
    (tmp_path / "small.json").write_text("{}")  # beside it, of something else
    assert read_exported(file).digest == DIGEST
    with pytest.raises(RecipeError, match="holds a manifest of its own"):
        read_exported(file, tmp_path / "small.json")


WRONG = [
    ({"classes": None}, "classes: is None, but the names"),
    ({"classes": ["a", "a"]}, "each once"),
    ({"classes": "ab"}, "classes: is 'ab'"),
    ({"layot": "NCHW"}, r"layot: is not a key of a manifest.* Did you mean layout\?"),
    ({"layout": "CHWN"}, "layout: is 'CHWN', but input should be 'NHWC' or 'NCHW'"),
    ({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, "Multiply both by 255"),
    ({"mean": [1, 2]}, "std has 3 values for 2 bands"),
    ({"mean": "grey"}, "mean: is 'grey'"),
    ({"std": [1, 0, 1]}, "std: is 0, but input should be greater than 0"),
    ({"mean": [float("nan"), 1, 1]}, "mean: is nan"),
    ({"size": [0, 3]}, "size: is 0"),
    ({"size": 513}, "size: is 513"),
    ({"size": [9, 9], "placement": {"stride": 4}}, "pictures of one size"),
    ({"placement": {"strid": 4}}, r"placement: .* \{stride, offset\}"),
    ({"placement": {"stride": 0}}, "a pixel or more"),
    ({"dtype": "int16"}, "dtype: is 'int16'"),
    ({"task": "regression"}, "task is multiclass, binary"),
    ({"task": "binary", "classes": ["a", "b", "c"]}, "3 classes of a binary task"),
    ({"remap": {"7": 2}}, "the class 2 in remap"),
    ({"colours": ["#112233"]}, "1 colours for 2 classes"),
    ({"colours": "red"}, "no label space"),
    ({"remap": {"seven": 1}}, "no label space"),
    ({"band_order": "GRB"}, "band_order: is 'GRB'"),
    ({"format": 2}, "format: is 2"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[str(c)[:40] for c, _ in WRONG])
def test_a_wrong_key_of_a_side_file_is_named_with_what_it_may_be(change, message):
    with pytest.raises(RecipeError, match=message) as caught:
        guest_manifest(SIDE | change, where="side.toml")
    assert str(caught.value).startswith("side.toml")


@pytest.mark.parametrize("key", SIDE)
def test_a_key_that_is_missing_is_named(key):
    with pytest.raises(RecipeError, match=rf"side\.toml, {key}: is missing"):
        guest_manifest({k: v for k, v in SIDE.items() if k != key}, where="side.toml")


@given(
    st.dictionaries(
        st.sampled_from([*manifest_of().to_dict(), "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=5,
        ),
    )
)
def test_any_side_file_gives_a_manifest_or_a_typed_error(changed):
    try:
        manifest = guest_manifest(SIDE | changed, where="side.toml")
    except RecipeError:
        return
    told = json.loads(json.dumps(manifest.to_dict()))
    assert Manifest.from_dict(told, where="here").to_dict() == manifest.to_dict()


@pytest.mark.parametrize("text", ["", "[", "[1, 2]", '"a"', "\0", '{"classes": ["a", "b"]'])
def test_a_side_file_that_is_no_table_is_named(stranger, text):
    side = stranger.with_suffix(".json")
    side.write_text(text)
    with pytest.raises(RecipeError, match=r"stranger\.json: cannot be read"):
        read_exported(stranger)
