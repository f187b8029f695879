"""What docs/deploy.md and the README show runs as it stands there, and says what the code has."""

import io
import json
import re
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import numpy as np
import onnx
import pytest
from PIL import Image as pil

import atrous
from atrous.exported import guest_manifest, write_exported
from atrous.exported.manifest import GUEST
from small_graphs import graph, manifest_of

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8").partition("A picture, an array")[2]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
TOML = re.compile(r"^```toml\n(.*?)^```", re.M | re.S)
SIZE = (20, 30)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the page names: a model, photos, a data set."""
    folder = tmp_path_factory.mktemp("deploy")
    write_exported(folder / "street.onnx", graph().SerializeToString(), manifest_of())
    random = np.random.default_rng(0)
    for where in ("photos", "street/val/images"):
        (folder / where).mkdir(parents=True)
        for i in range(2):
            photo = random.integers(0, 256, (*SIZE, 3), np.uint8)
            pil.fromarray(photo).save(folder / where / f"{i}.png")
    (folder / "street/val/masks").mkdir()
    for i in range(2):
        mask = random.integers(0, 3, SIZE, np.uint8)
        pil.fromarray(mask).save(folder / "street/val/masks" / f"{i}.png")
    (folder / "street/dataset.toml").write_text('classes = ["sky", "road", "tree"]\n')
    pil.fromarray(random.integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / "photo.jpg")
    return folder


@pytest.fixture(scope="module")
def names(place: Path) -> dict[str, Any]:
    return all_run(TEXT, place)


def all_run(text: str, place: Path) -> dict[str, Any]:
    """What is known after all Python of a text has run, one block after the other."""
    known: dict[str, Any] = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for block in PYTHON.findall(text):
            exec(compile(block, "page", "exec"), known)
    return known


def test_the_python_of_the_page_runs(place: Path, names: dict[str, Any]):
    assert names["prediction"].mask.shape == SIZE
    assert (
        names["careful"].note.startswith("Engine: onnxruntime")
        and "2 threads" in names["careful"].note
    )
    assert len(names["masks"]) == 2 and not names["failures"]
    assert (place / "scores" / "report.html").is_file()


@pytest.mark.parametrize("page", ["deploy.md", "README.md"])
def test_the_web_handler_answers_a_picture_with_its_mask(
    place: Path, names: dict[str, Any], page: str
):
    known = names if page == "deploy.md" else all_run(README, place)
    with served(known["application"]) as url, ask(url, (place / "photo.jpg").read_bytes()) as mask:
        answered = np.asarray(pil.open(io.BytesIO(mask.read())))
    expected = atrous.load(place / "street.onnx")(place / "photo.jpg").mask
    assert np.array_equal(answered, expected) and expected.any()


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [(b"no picture", 422, "It "), (b"", 413, "20 MB"), (None, 405, "POST")],
)
def test_the_web_handler_refuses_what_is_no_picture(
    names: dict[str, Any], body: bytes | None, code: int, words: str
):
    with served(names["application"]) as url:
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(url, body)
        with refused.value:
            assert refused.value.code == code and words in refused.value.read().decode()


@contextmanager
def served(application: Any) -> Iterator[str]:
    class Silent(WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

    server = make_server("127.0.0.1", 0, validator(application), handler_class=Silent)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def ask(url: str, body: bytes | None) -> Any:
    # No proxy of the machine may stand between the two.
    open_ = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    return open_(urllib.request.Request(url, body), timeout=20)


def test_the_side_file_of_the_page_is_what_is_taken_without_it():
    (shown,) = map(tomllib.loads, TOML.findall(TEXT))
    manifest = guest_manifest(shown, where="person.toml")
    assert manifest.size == (513, 513)
    needed = {key: shown[key] for key in ("classes", "mean", "std", "size")}
    assert guest_manifest(needed, where="person.toml") == manifest
    assert {"placement", "layout", "normalises"} <= GUEST.keys()


def test_the_table_has_every_key_of_the_manifest():
    rows = TEXT.partition("| key |")[2].partition("\n\n")[0].splitlines()
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    left_out = {"format", "probabilities"}  # of the manifest itself; of guests alone
    assert keys == manifest_of().to_dict().keys() - left_out


def test_the_manifest_lies_where_the_page_says(place: Path):
    (entry,) = onnx.load(place / "street.onnx").metadata_props
    assert entry.key == "atrous"
    said = json.loads(entry.value)
    assert said["manifest"] == json.loads(json.dumps(manifest_of().to_dict())) and said["sha256"]
