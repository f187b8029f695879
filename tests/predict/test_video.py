"""Videos: what is in is out, in order and in time; what is wrong is named, and leaves nothing."""

import csv
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import QUARTER, SIZE, av, decoded, pictures, sound_of, turned, write_clip
from PIL import Image

import atrous
from atrous.classes import Classes
from atrous.data.masks import blend
from atrous.errors import DataError, RecipeError, RunError, WeightsError
from atrous.predict.predictor import Prediction
from atrous.predict.video.walk import Step, smoothed
from atrous.types import Grid
from tiny_models import contents, write_tiny

PLAIN: dict[str, Any] = {"engine": "onnxruntime", "threads": 2}
SLOW = """
import os, time
from atrous.cli import main

replace = os.replace
os.replace = lambda *files: (time.sleep(0.02), replace(*files))[1]
main()
"""


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", pictures(12))


def masks_in(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))}


def table_of(folder: Path) -> list[list[str]]:
    with (folder / "frames.csv").open(newline="") as file:
        return [*csv.reader(file)]


def predicted(model, clip, out, **options):
    masks, failures = atrous.predict(model, clip, out=out, **PLAIN, **options)
    assert not failures
    return masks


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "ts"])
def test_masks_are_those_of_the_frames_as_pictures(tiny, tmp_path, suffix):
    codec, container = ("mpeg4", "avi") if suffix == "avi" else ("libx264", "")
    container = "mpegts" if suffix == "ts" else container
    clip = write_clip(
        tmp_path / f"a.{suffix}", pictures(9), codec=codec, container=container, sound="aac"
    )
    assert predicted(tiny, clip, tmp_path / "out") == (tmp_path / "out/a",)
    frames, times = decoded(clip)
    predictor = atrous.load(tiny, engine="onnxruntime")
    masks = masks_in(tmp_path / "out/a")
    assert [*masks] == [f"{i:06d}.png" for i in range(len(frames))]
    for frame, mask in zip(frames, masks.values(), strict=True):
        assert np.array_equal(mask, predictor(frame).mask)
    head, *rows = table_of(tmp_path / "out/a")
    assert head == ["frame", "seconds", "pixels", "red", "green", "blue"]
    start = times[0] if suffix == "ts" else 0  # its clock begins anywhere
    told = [float(row[1]) for row in rows]
    assert np.allclose(np.diff(told), np.diff([float(t) for t in times]), atol=1e-6)
    assert abs(told[0] - float(times[0] - start)) < 0.2


def test_times_are_kept_where_frames_come_at_any_time(tiny, tmp_path):
    times = [0, 7, 40, 41, 500, 533, 1200, 1201, 1999]
    clip = write_clip(tmp_path / "a.mp4", pictures(9), times=times)
    predicted(tiny, clip, tmp_path / "out", overlay=True)
    assert [float(row[1]) * 1000 for row in table_of(tmp_path / "out/a")[1:]] == times
    shown, at = decoded(tmp_path / "out/overlay/a.mp4")
    assert [t * 1000 for t in at] == times and len(shown) == 9


def test_an_overlay_is_the_frame_under_its_mask(tiny, clip, tmp_path):
    predicted(tiny, clip, tmp_path / "out", overlay=True)
    frames, _ = decoded(clip)
    shown, _ = decoded(tmp_path / "out/overlay/clip.mp4")
    masks = masks_in(tmp_path / "out/clip").values()
    classes = atrous.load(tiny).classes
    for frame, mask, seen in zip(frames, masks, shown, strict=True):
        assert abs(blend(frame, mask, classes).astype(int) - seen).mean() < 4
    others = [abs(shown[0].astype(int) - seen).mean() for seen in shown[1:]]
    assert min(others) > 4  # so that a frame that is out of order would be seen


@pytest.mark.parametrize("every", [3, 5, 50])
def test_every_nth_frame_is_predicted_and_its_mask_held(tiny, clip, tmp_path, every):
    predicted(tiny, clip, tmp_path / "all")
    predicted(tiny, clip, tmp_path / "out", overlay=True, every=every)
    predicted(tiny, clip, tmp_path / "masks", every=every)
    whole, some = masks_in(tmp_path / "all/clip"), masks_in(tmp_path / "out/clip")
    assert [*some] == [name for i, name in enumerate(whole) if i % every == 0]
    assert all(np.array_equal(whole[name], mask) for name, mask in some.items())
    assert contents(tmp_path / "masks/clip") == contents(tmp_path / "out/clip")
    shown, _ = decoded(tmp_path / "out/overlay/clip.mp4")
    frames, _ = decoded(clip)
    classes, held = atrous.load(tiny).classes, [*some.values()]
    assert len(shown) == 12
    for i, (frame, seen) in enumerate(zip(frames, shown, strict=True)):
        expected = blend(frame, held[i // every], classes)
        assert abs(expected.astype(int) - seen).mean() < 4


def steps_of(logits):
    classes, image = Classes(("a", "b")), np.zeros((2, 2, 3), np.uint8)
    for values in logits:
        alone = None
        if values is not None:
            alone = Prediction(np.zeros((2, 2), np.uint8), classes, image, values, Grid(1))
        yield Step(frame=None, prediction=alone)  # pyright: ignore[reportArgumentType]


def logits_of(steps) -> list[Any]:
    return [None if step.prediction is None else step.prediction.logits for step in steps]


def test_smoothing_is_an_average_with_weights_that_fall_by_the_frame():
    random = np.random.default_rng(0)
    logits = [random.normal(size=(2, 3, 4)).astype(np.float32) for _ in range(6)]
    given = [logits[0], None, *logits[1:3], None, None, *logits[3:]]  # frames between are passed by
    found = logits_of(smoothed(steps_of(given), 0.7))
    assert [f is None for f in found] == [g is None for g in given]
    found = [f for f in found if f is not None]
    for t, mean in enumerate(found):
        shares = [0.7**t, *(0.3 * 0.7 ** (t - i) for i in range(1, t + 1))]
        expected = sum(a * b for a, b in zip(shares, logits, strict=False))
        assert np.allclose(mean, expected, atol=1e-6)


def test_what_comes_later_changes_nothing_and_a_constant_stays():
    random = np.random.default_rng(1)
    logits = [random.normal(size=(2, 3, 4)).astype(np.float32) for _ in range(6)]
    some = logits_of(smoothed(steps_of(logits[:4]), 0.5))
    more = logits_of(smoothed(steps_of(logits), 0.5))
    assert all(np.array_equal(a, b) for a, b in zip(some, more, strict=False))
    same = logits_of(smoothed(steps_of([logits[0]] * 9), 0.5))
    assert all(np.array_equal(mean, logits[0]) for mean in same)


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_smoothed_masks_are_those_of_the_averages(tmp_path, task):
    classes = Classes(("a", "b") if task == "binary" else ("a", "b", "c"), task=task)
    weights = np.eye(3)[: 1 if task == "binary" else 3] - 0.4
    model = write_tiny(tmp_path / "m.onnx", classes=classes, weights=weights)
    clip = write_clip(tmp_path / "a.mp4", pictures(10))
    for name, smoothing in (("none", 0.0), ("slight", 1e-50), ("strong", 0.8)):
        predicted(model, clip, tmp_path / name, smoothing=smoothing)
    none, slight, strong = (contents(tmp_path / n / "a") for n in ("none", "slight", "strong"))
    assert none == slight != strong and none.keys() == strong.keys()
    predictor, mean = atrous.load(model, engine="onnxruntime"), None
    for number, frame in enumerate(decoded(clip)[0]):
        alone = predictor(frame)
        now = alone.logits
        mean = now if mean is None else np.float32(0.8) * mean + np.float32(0.2) * now
        expected = predictor.after(alone, mean).mask
        place = tmp_path / f"strong/a/{number:06d}"
        if task == "multilabel":
            planes = [np.asarray(Image.open(place / f"{n}.png")) > 0 for n in classes.names]
            found = sum(plane.astype(np.uint8) << k for k, plane in enumerate(planes))
        else:
            found = np.asarray(Image.open(place.with_suffix(".png")))
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("suffix", "sound"), [("mp4", "aac"), ("mkv", "aac"), ("mkv", "ac3"), ("mkv", "libmp3lame")]
)
def test_sound_is_kept_packet_by_packet(tiny, tmp_path, suffix, sound):
    clip = write_clip(tmp_path / f"a.{suffix}", pictures(40), sound=sound)
    predicted(tiny, clip, tmp_path / "out", overlay=True)
    packets = sound_of(clip)
    assert len(packets) > 15 and sound_of(tmp_path / "out/overlay/a.mp4") == packets


def test_sound_of_a_transport_stream_stays_with_its_picture(tiny, tmp_path):
    clip = write_clip(tmp_path / "a.ts", pictures(40), container="mpegts", sound="aac")
    predicted(tiny, clip, tmp_path / "out", overlay=True)
    starts = []
    for path in (clip, tmp_path / "out/overlay/a.mp4"):
        with av.open(str(path)) as container:
            picture, sound = container.streams.video[0], container.streams.audio[0]
            starts.append(
                float(picture.start_time * picture.time_base - sound.start_time * sound.time_base)
            )
            assert len([p for p in container.demux(audio=0) if p.dts is not None]) > 15
    assert abs(starts[0] - starts[1]) < 0.001


def test_sound_that_mp4_cannot_hold_is_left_out_and_told(tiny, tmp_path):
    clip = write_clip(tmp_path / "a.avi", pictures(6), codec="mpeg4", sound="pcm_mulaw")
    lines: list[str] = []
    predicted(tiny, clip, tmp_path / "out", overlay=True, tell=lines.append)
    with av.open(str(tmp_path / "out/overlay/a.mp4")) as container:
        assert not container.streams.audio
    assert any("its sound (pcm_mulaw) is left out" in line for line in lines)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        (QUARTER, lambda p: np.rot90(p, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    ],
)
def test_what_a_phone_has_turned_is_upright(tiny, clip, tmp_path, matrix, turn):
    stored, _ = decoded(clip)
    turned(clip, matrix)
    predicted(tiny, clip, tmp_path / "out", overlay=True)
    predictor = atrous.load(tiny, engine="onnxruntime")
    masks = masks_in(tmp_path / "out/clip").values()
    for pixels, mask in zip(stored, masks, strict=True):
        assert np.array_equal(mask, predictor(np.ascontiguousarray(turn(pixels))).mask)
    shown, _ = decoded(tmp_path / "out/overlay/clip.mp4")
    assert shown[0].shape == turn(stored[0]).shape


def test_odd_sides_are_masked_as_they_are_and_shown_even(tiny, tmp_path):
    frames = pictures(5, (37, 51))
    clip = tmp_path / "odd.mkv"
    with av.open(str(clip), "w") as out:
        video = out.add_stream("ffv1", rate=25)
        video.height, video.width, video.pix_fmt = 37, 51, "bgr0"
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            out.mux(video.encode(frame.reformat(format="bgr0")))
        out.mux(video.encode(None))
    predicted(tiny, clip, tmp_path / "out", overlay=True)
    predictor = atrous.load(tiny, engine="onnxruntime")
    for pixels, mask in zip(frames, masks_in(tmp_path / "out/odd").values(), strict=True):
        assert np.array_equal(mask, predictor(pixels).mask)
    shown, _ = decoded(tmp_path / "out/overlay/odd.mp4")
    assert {frame.shape for frame in shown} == {(38, 52, 3)}


def left_out(model, clip, out):
    """The error of a clip that is left out; nothing is there but the note and the table."""
    masks, (error,) = atrous.predict(model, clip, out=out, overlay=True, **PLAIN)
    assert not masks and isinstance(error, DataError) and error.where == str(clip)
    assert {path.name for path in out.rglob("*")} == {"predict.json", "shares.csv"}
    return str(error)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
def test_a_video_cut_short_is_refused_or_right_as_far_as_it_goes(tiny, tmp_path, suffix, share):
    codec = "mpeg4" if suffix == "avi" else "libx264"
    container = "mpegts" if suffix == "ts" else ""
    clip = write_clip(tmp_path / f"a.{suffix}", pictures(40), codec=codec, container=container)
    frames, _ = decoded(clip)
    content = clip.read_bytes()
    clip.write_bytes(content[: int(len(content) * share)])
    if suffix == "ts":  # which says nowhere how long it is
        masks, failures = atrous.predict(tiny, clip, out=tmp_path / "out", **PLAIN)
        predictor = atrous.load(tiny, engine="onnxruntime")
        there = masks_in(tmp_path / "out/a")
        assert bool(masks) != bool(failures)
        for pixels, mask in zip(frames, there.values(), strict=False):
            assert np.array_equal(mask, predictor(pixels).mask)
    else:
        assert "is cut short" in left_out(tiny, clip, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("playlist.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "#EXTM3U"),
        ("concat.mkv", b"ffconcat version 1.0\nfile clip.mp4\n", "is no video"),
        ("dash.mp4", b"<?xml version='1.0'?><MPD></MPD>", "is no video"),
        ("empty.mov", b"", "is empty"),
        ("noise.mp4", b"\0\0\0\x18ftypisom" + bytes(range(256)) * 9, "cut short|decoded"),
        ("noise.webm", b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 9, "cut short|decoded|no moving"),
        ("noise.avi", b"RIFF\0\0\0\0AVI " + bytes(range(256)) * 9, "decoded|no moving"),
        ("noise.ts", (b"G" + bytes(187)) * 9, "ends where|decoded|no moving"),
    ],
)
def test_what_is_no_video_is_named_and_leaves_nothing(tiny, tmp_path, name, content, found):
    path = tmp_path / name
    path.write_bytes(content)
    assert re.search(found, left_out(tiny, path, tmp_path / "out"))


@pytest.mark.parametrize(
    "name",
    ["http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4", "rtsp://127.0.0.1:9/a", "file:clip.mp4"],
)
def test_what_only_names_a_video_elsewhere_is_never_opened(tiny, clip, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="on this machine"):
        atrous.predict(tiny, name, out=tmp_path / "out", **PLAIN)


@pytest.mark.skipif(sys.platform == "win32", reason="no file may have such a name there")
@pytest.mark.parametrize(
    "name", ["concat:x|y.mp4", "pipe:0.mp4", "a%03d.mp4", "subfile,,start,0.mp4"]
)
def test_a_file_whose_name_is_an_address_is_read_as_what_it_is(
    tiny, clip, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    predicted(tiny, clip, tmp_path / "one", overlay=True)
    clip.rename(tmp_path / name)
    predicted(tiny, name, tmp_path / "two", overlay=True)
    stem = name.removesuffix(".mp4")
    assert contents(tmp_path / "one/clip") == contents(tmp_path / "two" / stem)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_with_the_name_of_a_video_is_not_waited_for(tmp_path):
    from atrous.predict.video.containers import container_of, is_video

    os.mkfifo(tmp_path / "a.mp4")
    waiting = threading.Thread(target=container_of, args=[tmp_path / "a.mp4"], daemon=True)
    waiting.start()
    waiting.join(5)
    assert not waiting.is_alive()
    assert not is_video(tmp_path / "a.mp4")


def test_what_a_video_refers_to_is_not_opened(tiny, clip, tmp_path, monkeypatch):
    """Its picture is said to lie in another file, by a path from the root."""
    elsewhere = write_clip(tmp_path / "elsewhere.mp4", pictures(12, (32, 32)))
    content = clip.read_bytes()
    at = content.index(b"dref") - 4
    old = int.from_bytes(content[at : at + 4], "big")
    name = str(elsewhere).encode()
    alias = bytearray(150) + b"\0\x12" + len(name).to_bytes(2, "big") + name
    alias += b"\0" * (len(name) % 2) + b"\xff\xff\0\0"
    entry = (len(alias) + 12).to_bytes(4, "big") + b"alis" + bytes(4) + alias
    box = (16 + len(entry)).to_bytes(4, "big") + b"dref" + bytes(4) + b"\0\0\0\x01" + entry
    grown = content[:at] + box + content[at + old :]
    more = len(box) - old
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        where = grown.index(kind) - 4
        size = int.from_bytes(grown[where : where + 4], "big") + more
        grown = grown[:where] + size.to_bytes(4, "big") + grown[where + 4 :]
    clip.write_bytes(grown)
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    try:
        atrous.predict(tiny, clip, out=tmp_path / "out", **PLAIN)
    finally:
        there = [*opened]
    assert str(clip) in there and str(elsewhere) not in there
    frames = masks_in(tmp_path / "out/clip")
    assert all(mask.shape == SIZE for mask in frames.values())


def test_sound_alone_is_no_video(tiny, tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        track = out.add_stream("aac", rate=16000)
        track.layout = "mono"
        for i in range(9):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 16000, 1024 * i
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    assert "no moving pictures" in left_out(tiny, path, tmp_path / "out")


def test_the_picture_of_a_cover_is_no_video(tiny, clip, tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        track = out.add_stream("aac", rate=32000)
        track.layout = "mono"
        cover = out.add_stream("mjpeg", rate=25)
        cover.height, cover.width, cover.pix_fmt = *SIZE, "yuvj420p"
        cover.disposition = 0x400  # attached_pic
        frame = av.VideoFrame.from_ndarray(pictures(1)[0], format="rgb24")
        out.mux(cover.encode(frame.reformat(format="yuvj420p")))
        out.mux(cover.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 32000
        out.mux(track.encode(silence))
        out.mux(track.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video
    assert "no moving pictures" in left_out(tiny, path, tmp_path / "out")


def test_a_track_without_frames_is_told(tiny, clip, tmp_path):
    with av.open(str(clip)) as source, av.open(str(tmp_path / "none.mkv"), "w") as out:
        out.add_stream_from_template(source.streams.video[0])
        out.start_encoding()
    assert "ends where frames" in left_out(tiny, tmp_path / "none.mkv", tmp_path / "out")


def test_a_damaged_frame_is_told_with_its_time(tiny, clip, tmp_path):
    content = bytearray(clip.read_bytes())
    middle = content.index(b"mdat") + len(content) // 3
    content[middle : middle + 400] = bytes(400)
    clip.write_bytes(content)
    assert re.search("decoded|damaged", left_out(tiny, clip, tmp_path / "out"))


def test_the_others_of_a_folder_go_on_and_pictures_and_videos_mix(tiny, tmp_path):
    folder = tmp_path / "camera"
    (folder / "day").mkdir(parents=True)
    write_clip(folder / "day/a.mp4", pictures(4))
    write_clip(folder / "b.mkv", pictures(3))
    (folder / "c.mp4").write_bytes(b"#EXTM3U\n")
    (folder / "program.ts").write_text("let x = 1;\n")
    Image.fromarray(pictures(1)[0]).save(folder / "d.png")
    out = folder / "masks"
    masks, (error,) = atrous.predict(tiny, folder, out=out, **PLAIN)
    assert {*masks} == {out / "d.png", out / "b", out / "day/a"} and "c.mp4" in error.where
    with (out / "shares.csv").open(newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["picture", "b.mkv", "d.png", "day/a.mp4"]
    before = contents(out)
    again, _ = atrous.predict(tiny, folder, out=out, **PLAIN)
    assert {*again} == {*masks} and contents(out) == before


def test_the_row_of_a_video_is_the_mean_of_its_frames(tiny, clip, tmp_path):
    predicted(tiny, clip, tmp_path / "out")
    _, *rows = table_of(tmp_path / "out/clip")
    with (tmp_path / "out/shares.csv").open(newline="") as file:
        _, (name, pixels, *shares) = csv.reader(file)
    assert name == "clip.mp4" and int(pixels) == 12 * SIZE[0] * SIZE[1]
    means = np.mean([[float(share) for share in row[3:]] for row in rows], 0)
    assert np.allclose([float(share) for share in shares], means, atol=2e-6)


def test_confidence_and_probabilities_are_those_of_each_frame(tiny, clip, tmp_path):
    out = tmp_path / "out"
    predicted(tiny, clip, out, confidence=True, probabilities=True, every=4)
    names = ["000000", "000004", "000008"]
    assert [p.stem for p in sorted((out / "confidence/clip").iterdir())] == names
    predictor = atrous.load(tiny, engine="onnxruntime")
    frames, _ = decoded(clip)
    for name in names:
        expected = predictor(frames[int(name)]).probabilities()
        there = np.load(out / f"probabilities/clip/{name}.npy")
        assert np.allclose(there, expected, atol=1e-3)


def test_what_is_finished_is_not_done_again_and_what_is_missing_is(tiny, clip, tmp_path):
    out = tmp_path / "out"
    predicted(tiny, clip, out)
    times = {path: path.stat().st_mtime_ns for path in (out / "clip").iterdir()}
    predicted(tiny, clip, out)
    assert times == {path: path.stat().st_mtime_ns for path in (out / "clip").iterdir()}
    predicted(tiny, clip, out, overlay=True)
    assert (out / "overlay/clip.mp4").is_file()
    (out / "clip/000003.png").write_bytes(b"")
    before = contents(out)
    predicted(tiny, clip, out, overlay=True)
    after = contents(out)
    assert after.keys() == before.keys() and after["clip/000003.png"]
    assert not [*out.glob(".*")]
    with pytest.raises(RunError, match="every"):
        predicted(tiny, clip, out, every=2)


def test_the_folder_of_another_is_not_replaced(tiny, clip, tmp_path):
    out = tmp_path / "out"
    Image.fromarray(pictures(1)[0]).save(tmp_path / "d.png")
    predicted(tiny, tmp_path / "d.png", out)
    (out / "clip").mkdir()
    (out / "clip/mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is there already"):
        predicted(tiny, clip, out)
    assert (out / "clip/mine.txt").read_text() == "mine"


def test_names_that_collide_are_refused_before_any_work(tiny, tmp_path):
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    write_clip(folder / "a.mp4", pictures(2))
    Image.fromarray(pictures(1)[0]).save(folder / "a/b.png")
    with pytest.raises(RunError, match=r"a/b\.png"):
        predicted(tiny, folder, tmp_path / "out")
    (folder / "a/b.png").unlink()
    write_clip(folder / "a.mkv", pictures(2))
    with pytest.raises(RunError, match=r"a\.mkv.*a\.mp4|a\.mp4.*a\.mkv"):
        predicted(tiny, folder, tmp_path / "out")


@pytest.mark.parametrize(("key", "value"), [("every", 0), ("smoothing", 1.0), ("smoothing", -0.1)])
def test_options_out_of_range_are_refused(tiny, clip, tmp_path, key, value):
    with pytest.raises(RecipeError, match=f"{key}.*{value}"):
        atrous.predict(tiny, clip, out=tmp_path / "out", **{key: value})


def test_the_size_of_a_video_may_not_change(tiny, tmp_path):
    parts = []
    for number, size in enumerate([(48, 64), (32, 64)]):
        path = tmp_path / f"{number}.avi"
        with av.open(str(path), "w") as out:
            track = out.add_stream("mjpeg", rate=25)
            track.height, track.width, track.pix_fmt = *size, "yuvj420p"
            for pixels in pictures(6, size):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                out.mux(track.encode(frame.reformat(format="yuvj420p")))
            out.mux(track.encode(None))
        parts.append(av.open(str(path)))
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        track = out.add_stream_from_template(parts[0].streams.video[0])
        packets = [p for part in parts for p in part.demux(video=0) if p.dts is not None]
        for number, packet in enumerate(packets):
            packet.pts = packet.dts = number
            packet.stream = track
            out.mux(packet)
    for part in parts:
        part.close()
    told = left_out(tiny, tmp_path / "a.mkv", tmp_path / "out")
    assert "48 x 64" in told and "from frame 6 on 32 x 64" in told


class Watched:
    """Counts the frames that are alive, of those that the reader gives."""

    def __init__(self, monkeypatch):
        from atrous.predict.video import reading

        self.alive, self.most, self.lock = 0, 0, threading.Lock()
        pixels = reading._pixels

        def counted(decoded):
            made = pixels(decoded)
            made = made.copy()  # one that owns its memory, so that it ends with its last view
            with self.lock:
                self.alive += 1
                self.most = max(self.most, self.alive)
            weakref.finalize(made, self.end)
            return made

        monkeypatch.setattr(reading, "_pixels", counted)

    def end(self):
        with self.lock:
            self.alive -= 1


@pytest.mark.parametrize("every", [1, 4])
def test_the_frames_that_are_alive_do_not_grow_with_the_video(tiny, tmp_path, monkeypatch, every):
    most = []
    for count in (60, 240):
        clip = write_clip(tmp_path / f"{count}.mp4", pictures(count, (32, 32)))
        watched = Watched(monkeypatch)
        predicted(tiny, clip, tmp_path / f"out{count}", overlay=True, every=every)
        gc.collect()
        assert watched.alive <= 1
        most.append(watched.most)
        monkeypatch.undo()
    assert max(most) <= 14 * (1 + every)


def test_the_room_for_frames_bounds_those_between(tiny, clip, tmp_path, monkeypatch):
    from atrous.predict.video import walk

    monkeypatch.setattr(walk, "ROOM", 1)
    predicted(tiny, clip, tmp_path / "out", overlay=True, every=5)
    assert [*masks_in(tmp_path / "out/clip")] == ["000000.png", "000005.png", "000010.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
def test_killed_or_stopped_nothing_has_its_name_and_the_next_begins_again(tiny, tmp_path, way):
    clip, out = write_clip(tmp_path / "clip.mp4", pictures(60)), tmp_path / "out"
    words = ["predict", tiny, clip, "--out", out, "--overlay", "--engine", "onnxruntime"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, words)], stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and len([*out.rglob("*.png")]) < 5:
        time.sleep(0.002)
    os.kill(process.pid, way)
    process.communicate(timeout=60)
    assert process.returncode in (-9, 130)
    final = [p for p in out.rglob("*") if not any(n.startswith(".") for n in p.parts)]
    assert [path.name for path in final] == ["predict.json"]
    assert bool([*out.glob(".atrous*")]) == (way == signal.SIGKILL)
    predicted(tiny, clip, out, overlay=True)
    assert len(masks_in(out / "clip")) == 60 and not [*out.glob(".*")]


def test_without_pyav_a_video_is_left_out_with_what_to_install(tiny, clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert "atrous[video]" in left_out(tiny, clip, tmp_path / "out")


def test_where_there_is_no_h264_the_overlay_is_of_mpeg4(tiny, clip, tmp_path, monkeypatch):
    from atrous.predict.video import writing

    monkeypatch.setattr(writing, "ENCODERS", writing.ENCODERS[1:])
    predicted(tiny, clip, tmp_path / "out", overlay=True)
    shown, times = decoded(tmp_path / "out/overlay/clip.mp4")
    assert len(shown) == 12 and times == decoded(clip)[1]


def test_a_clock_that_is_too_fine_for_mpeg4_is_made_coarser(tiny, tmp_path, monkeypatch):
    """A transport stream counts in 90 000ths of a second; MPEG-4 has 65 535 at most."""
    from atrous.predict.video import writing

    monkeypatch.setattr(writing, "ENCODERS", writing.ENCODERS[1:])
    clip = write_clip(tmp_path / "a.ts", pictures(12), container="mpegts")
    predicted(tiny, clip, tmp_path / "out", overlay=True)
    shown, times = decoded(tmp_path / "out/overlay/a.mp4")
    assert len(shown) == 12 and np.allclose(np.diff([float(t) for t in times]), 0.04, atol=1e-4)


def test_the_command_says_frames_and_takes_every_and_smoothing(tiny, clip, tmp_path, cli):
    out = tmp_path / "out"
    words = ["predict", tiny, clip, "--out", out, "--every", 2, "--engine", "onnxruntime"]
    code, told, _ = cli(*words, "--set", "predict.smoothing=0.5")
    assert code == 0 and "1 masks" in told
    assert len(masks_in(out / "clip")) == 6
    assert '"smoothing": 0.5' in (out / "predict.json").read_text()
    code, _, err = cli("bench", tiny, "--set", "predict.every=2")
    assert code == 2 and "predict.every" in err


def test_steps_after_the_network_are_taken_on_each_frame(tiny, clip, tmp_path):
    steps = [{"step": "small_regions", "pixels": 200}]
    predicted(tiny, clip, tmp_path / "out", postprocess=steps)
    predictor = atrous.load(tiny, engine="onnxruntime", postprocess=steps)
    frames, _ = decoded(clip)
    masks = masks_in(tmp_path / "out/clip").values()
    bare = replace(predictor, postprocess=())
    assert any(not np.array_equal(bare(f).mask, m) for f, m in zip(frames, masks, strict=True))
    for frame, mask in zip(frames, masks, strict=True):
        assert np.array_equal(mask, predictor(frame).mask)


def test_what_is_wrong_with_a_frame_names_the_video_and_the_frame(clip, tmp_path):
    numbers = np.full((3, 3), np.nan)
    model = write_tiny(tmp_path / "nan.onnx", weights=numbers)
    with pytest.raises(WeightsError, match=r"clip\.mp4: at frame 0 gets logits that are no num"):
        atrous.predict(model, clip, out=tmp_path / "out", **PLAIN)
    assert {path.name for path in (tmp_path / "out").rglob("*")} <= {"predict.json", "shares.csv"}
