"""Decoding survives every file: hostile ones, and decoders that die, hang or eat memory."""

import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
from PIL import Image as pil

from atrous.data.images import children, open_picture, read_header, read_image
from atrous.errors import ImageError

POSIX = pytest.mark.skipif(os.name == "nt", reason="by signals")
SOURCE = str(Path(__file__).parents[2] / "src")
LISTED = {"Bmp", "Gif", "Jpeg", "Mpo", "Png", "Ppm", "Tiff", "WebP"}  # MPO is JPEG

# Run by a Python of its own: what is loaded, what it costs, and that it lives, is seen there.
WALK = """
import json, sys, time
from pathlib import Path
from atrous.data.images import read_header, read_image
from atrous.errors import ImageError

def told(read, path):
    try:
        return read(path)
    except ImageError as error:
        return error

found = {}
for line in sys.stdin.read().splitlines():
    begun = time.monotonic()
    image, header = told(read_image, Path(line)), told(read_header, Path(line))
    seconds = time.monotonic() - begun
    if isinstance(image, ImageError):
        found[line] = {"code": image.code, "said": str(image), "seconds": seconds}
    else:
        shape = [image.shape[:2], image.shape[2], str(image.dtype)]
        found[line] = {"shape": shape, "header": header, "seconds": seconds}
plugins = [name for name in sys.modules if name.startswith("PIL.") and name.endswith("Plugin")]
print(json.dumps({"files": found, "plugins": plugins}))
"""


def run(code: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """What a fresh Python says; it has to end by itself."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )


class Walk(NamedTuple):
    """What reading each hostile file gave, and what Pillow alone says of it."""

    files: dict[str, dict[str, Any]]
    manifest: dict[str, str]
    plugins: list[str]


@pytest.fixture(scope="module")
def walk(shared_data: Path) -> Walk:
    root = shared_data / "bad_images"
    lines = (root / "manifest.tsv").read_text("utf-8").splitlines()[1:]
    manifest = {str(root / name): said for name, _, said in (line.split("\t") for line in lines)}
    answer = run(WALK, given="\n".join(manifest))
    assert answer.returncode == 0, answer.stderr[-2000:]
    found = json.loads(answer.stdout)
    return Walk(found["files"], manifest, found["plugins"])


def test_every_hostile_file_is_a_picture_or_our_error(walk: Walk):
    assert walk.files.keys() == walk.manifest.keys() and len(walk.files) >= 1200
    for path, found in walk.files.items():
        assert found["seconds"] < 5, path
        if "shape" in found:
            assert found["shape"] == found["header"], path
        else:
            assert path in found["said"] and re.fullmatch("F20[1-5]", found["code"]), path
    assert sum("shape" in found for found in walk.files.values()) > 800


def test_what_pillow_reads_has_the_size_that_pillow_says(walk: Walk):
    compared = 0
    for path, said in walk.manifest.items():
        known = re.match(r"ok \S+ \S+ (\d+)x(\d+).*?(exif_orient=[5-8])?$", said)
        if known and "shape" in walk.files[path]:
            width, height, turned = int(known[1]), int(known[2]), known[3]
            size = [width, height] if turned else [height, width]
            assert walk.files[path]["shape"][0] == size, path
            compared += 1
    assert compared > 750


def test_formats_outside_the_list_never_reach_a_decoder(walk: Walk):
    assert {
        name.removeprefix("PIL.").removesuffix("ImagePlugin") for name in walk.plugins
    } <= LISTED
    foreign = [path for path in walk.files if path.endswith((".pfm", ".dib"))]
    for path in foreign:  # Pillow could read them
        assert walk.manifest[path].startswith("ok ")
        assert "is not a picture (it begins with" in walk.files[path]["said"], path
    assert len(foreign) > 2


def test_codes_tell_apart_what_is_wrong(walk: Walk):
    codes: dict[str, set[str | None]] = {}
    for path, found in walk.files.items():
        kind = re.search(r"made_here/(truncated|empty|bomb|jpeg_claims)|git_eol_damaged", path)
        codes.setdefault((kind[1] or kind[0]) if kind else "", set()).add(found.get("code"))
    assert codes["truncated"] == {"F202"}
    assert codes["empty"] == {"F203"}
    assert codes["bomb"] == codes["jpeg_claims"] == {"F204"}
    assert codes["git_eol_damaged"] == {"F205", None}  # masks; photographs are whole
    many_bands = next(p for p in walk.files if p.endswith("libtiff_segfault.tif"))
    assert walk.files[many_bands]["code"] == "F204"


def claims(kind: str, side: int) -> bytes:
    """The header of a picture of `side` x `side` RGB pixels, and hardly any of them."""
    wide, tail = struct.pack(">II", side, side), bytes(64)
    match kind:
        case "png":
            head = b"IHDR" + wide + bytes((8, 2, 0, 0, 0))
            start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head
            return (
                start
                + struct.pack(">I", zlib.crc32(head))
                + struct.pack(">I4s", 64, b"IDAT")
                + tail
            )
        case "gif":
            return b"GIF89a" + struct.pack("<HH", side, side) + bytes(3) + b"," + tail
        case "bmp":
            info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
            return b"BM" + struct.pack("<IHHI", 118, 0, 0, 54) + info + tail
        case "ppm":
            return f"P6 {side} {side} 255\n".encode() + tail
        case "webp":
            canvas = (side - 1).to_bytes(3, "little") * 2
            body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas + tail
            return b"RIFF" + struct.pack("<I", len(body)) + body
        case _:  # tif, grey: of one strip
            tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: side, 279: 9}
            entries = b"".join(
                struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()
            )
            return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + tail


BOMBS = """
import resource, sys, time
from pathlib import Path
from atrous.data.images import read_image
from atrous.errors import ImageError

in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + (256 << 20), resource.RLIM_INFINITY))
for name in sys.argv[1:]:
    begun = time.monotonic()
    try:
        read_image(Path(name))
    except ImageError as error:
        print(error.code, error, "quick" if time.monotonic() - begun < 2 else "slow", sep="|")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path: Path):
    kinds = ("png", "gif", "bmp", "ppm", "webp", "tif")
    for kind in kinds:
        (tmp_path / f"a.{kind}").write_bytes(claims(kind, 65500))
    answer = run(BOMBS, *(str(tmp_path / f"a.{kind}") for kind in kinds))
    lines = answer.stdout.splitlines()
    assert len(lines) == len(kinds), answer.stderr
    for kind, line in zip(kinds, lines, strict=True):
        assert re.match(rf"F204\|.*a\.{kind}: claims 65500 x 65500 pixels.*\|quick$", line)


def test_the_same_headers_of_small_pictures_are_not_refused_by_size(tmp_path: Path):
    for kind in ("png", "gif", "bmp", "ppm", "webp", "tif"):
        path = tmp_path / f"a.{kind}"
        path.write_bytes(claims(kind, 40))
        with pytest.raises(ImageError, match=r"cut short|cannot be decoded") as error:
            read_image(path)
        assert error.value.code in ("F201", "F202")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A TIFF that only the child can read; its values add up to 66."""
    tifffile.imwrite(tmp_path / "good.tif", np.arange(12, dtype=np.int16).reshape(3, 4))
    return tmp_path / "good.tif"


def decoder() -> subprocess.Popen[bytes]:
    """The child that will be asked next."""
    return children.children_of(os.getpid()).idle[-1].process


def die_of(number: signal.Signals, patch: pytest.MonkeyPatch) -> None:
    """Have children that are asked be busy for a while, and then die of a signal."""
    ask = children.Child.ask

    def dying(child: children.Child, request: dict[str, Any]):
        child.process.send_signal(signal.SIGSTOP)
        later = threading.Timer(0.1, child.process.send_signal, [number])
        awake = threading.Timer(0.2, child.process.send_signal, [signal.SIGCONT])
        later.start()
        awake.start()
        return ask(child, request)

    patch.setattr(children.Child, "ask", dying)


def open_it(path: Path) -> None:
    with open_picture(path):
        pass


@POSIX
@pytest.mark.parametrize("read", [read_image, read_header, open_it])
@pytest.mark.parametrize(
    ("number", "said"), [("SIGSEGV", r"crash \(SIGSEGV\)"), ("SIGKILL", "killed.*out of memory")]
)
def test_a_decoder_that_dies_is_an_error_of_that_file_alone(
    good: Path, number, said, read, monkeypatch: pytest.MonkeyPatch
):
    assert read_image(good).sum() == 66
    process = decoder()
    with monkeypatch.context() as patch:
        die_of(signal.Signals[number], patch)
        with pytest.raises(ImageError, match=rf"good\.tif: .*{said}") as error:
            read(good)
    assert error.value.code == "F201"
    assert process.returncode is not None  # waited for: no zombie
    assert read_image(good).sum() == 66
    assert decoder().pid != process.pid


@POSIX
def test_a_decoder_that_hangs_is_an_error_of_that_file_alone(
    good: Path, monkeypatch: pytest.MonkeyPatch
):
    assert read_image(good).sum() == 66
    process = decoder()
    process.send_signal(signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(children, "SECONDS", 0.2)
        begun = time.monotonic()
        with pytest.raises(ImageError, match=r"good\.tif: is not decoded within 0\.2 seconds"):
            read_image(good)
        assert time.monotonic() - begun < 5
    assert process.returncode is not None
    assert read_image(good).sum() == 66


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="it inflates no more than claimed")
def test_a_decoder_that_eats_memory_is_an_error_of_that_file_alone(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert read_image(good).sum() == 66
    pid = decoder().pid
    packer = zlib.compressobj(9, wbits=-15)
    part = packer.compress(bytes(1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)
    strip = b"\x78\x9c" + part * 512  # 2 GB, for a picture of 12 values
    tifffile.imwrite(
        tmp_path / "bomb.tif", iter([strip]), shape=(3, 4), dtype="int16", compression="zlib"
    )
    monkeypatch.setattr(children, "MEMORY", 400 << 20)
    with pytest.raises(ImageError, match=r"bomb\.tif: does not fit into memory") as error:
        read_image(tmp_path / "bomb.tif")
    assert error.value.code == "F201"
    assert read_image(good).sum() == 66
    assert decoder().pid == pid


@POSIX
def test_a_decoder_that_died_while_idle_is_replaced_silently(good: Path):
    assert read_image(good).sum() == 66
    process = decoder()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert read_image(good).sum() == 66
    assert process.returncode is not None


@POSIX
def test_signals_to_the_whole_group_do_not_end_a_decoder(good: Path):
    assert read_image(good).sum() == 66
    process = decoder()
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    assert read_image(good).sum() == 66
    assert decoder().pid == process.pid


def test_an_interrupted_question_is_not_answered_later(good: Path, monkeypatch: pytest.MonkeyPatch):
    assert read_image(good).sum() == 66
    process = decoder()

    def interrupted(child: children.Child, request: dict[str, Any]):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(children.Child, "ask", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_image(good)
    assert process.returncode is not None
    assert read_image(good).sum() == 66


def test_threads_get_their_own_pictures(tmp_path: Path):
    paths = [tmp_path / f"{value}.tif" for value in range(24)]
    for value, path in enumerate(paths):
        tifffile.imwrite(path, np.full((64, 64, 5), value, np.int16), photometric="minisblack")
    with ThreadPoolExecutor(3) as pool:
        images = list(pool.map(read_image, paths * 4))
    assert [image.max() for image in images] == list(range(24)) * 4
    assert [image.min() for image in images] == list(range(24)) * 4


def test_a_child_reads_paths_of_this_process_wherever_it_stands(
    good: Path, monkeypatch: pytest.MonkeyPatch
):
    assert read_image(good).sum() == 66
    folder = good.parent / "bücher 图"
    folder.mkdir()
    good.rename(folder / "ä.tif")
    (folder / "struct.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(folder)
    children.children_of(os.getpid()).end()
    assert read_image(Path("ä.tif")).sum() == 66


FAMILY = """
import json, multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from atrous.data.images import children, read_image

def read(path):
    total = int(read_image(Path(path)).sum())
    (child,) = children.children_of(os.getpid()).idle
    return total, child.process.pid

if __name__ == "__main__":
    path, *ways = sys.argv[1:]
    told = [read(path)]
    for way in ways:
        context = multiprocessing.get_context(way)
        with ProcessPoolExecutor(1, context) as pool:  # its workers end by themselves
            told.append(pool.submit(read, path).result())
        with context.Pool(1) as pool:  # its workers are ended
            told.append(pool.apply(read, (path,)))
    print(json.dumps([*told, read(path)]), flush=True)
    if not ways:
        time.sleep(60)
"""


def runs(pid: int) -> bool:
    """Whether a process is there that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def none_runs(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(map(runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(runs, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_worker_processes_have_decoders_of_their_own_and_none_stays(good: Path, tmp_path: Path):
    (tmp_path / "family.py").write_text(FAMILY)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "family.py"), str(good)]
    answer = subprocess.run(
        [*command, "fork", "spawn"], capture_output=True, text=True, timeout=60, check=True
    )
    told = json.loads(answer.stdout)
    assert [total for total, _ in told] == [66] * 6
    pids = [pid for _, pid in told]
    assert pids[0] == pids[-1] and len(set(pids)) == 5
    assert none_runs(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_decoder_ends_with_a_process_that_is_killed(good: Path, tmp_path: Path):
    (tmp_path / "family.py").write_text(FAMILY)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "family.py"), str(good)], stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout is not None
        pids = [pid for _, pid in json.loads(parent.stdout.readline())]
        assert all(map(runs, pids))
        parent.kill()
    assert none_runs(pids)


def test_a_jpeg_of_endless_scans_is_refused_at_once(tmp_path: Path):
    content = io.BytesIO()
    pil.new("RGB", (64, 64), (90, 20, 200)).save(content, "JPEG", progressive=True)
    whole = content.getvalue()
    last = whole.rindex(b"\xff\xda")
    path = tmp_path / "a.jpg"
    path.write_bytes(whole)
    assert read_image(path).shape == (64, 64, 3)
    path.write_bytes(whole[:-2] + whole[last:-2] * 200 + whole[-2:])
    with pytest.raises(ImageError, match="scans") as error:
        read_image(path)
    assert error.value.code == "F204"
