"""The child process that decodes TIFF and WebP: their libraries may crash, hang or eat memory.

It answers requests, a line of JSON each, until its input ends. An answer is a line of JSON and
the bytes of an array.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as pil

from atrous.data.images import pages, pictures, tiff, webp
from atrous.data.images.limits import Limits
from atrous.data.images.pages import Page
from atrous.data.images.refusals import any_error_is_ours, cut_short
from atrous.errors import ImageError

Answer = tuple[dict[str, Any], bytes | memoryview]  # facts for JSON, and pixels


def main() -> None:
    """Answer requests until there are no more."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they often reach a whole group of
        signal.signal(number, signal.SIG_IGN)  # processes: the parent answers them
    _leave_no_core()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what decoders print must not get among the answers
    for line in sys.stdin.buffer:
        facts, content = answer(json.loads(line))
        try:
            facts["bytes"] = memoryview(content).nbytes
            answers.write(json.dumps(facts).encode() + b"\n")
            answers.write(content)
            answers.flush()
        except BrokenPipeError:  # nobody waits for it any more
            os._exit(0)


def answer(request: dict[str, Any]) -> Answer:
    """What was asked for, or the parts of an `ImageError`."""
    path, module = Path(request["path"]), tiff if request["kind"] == "TIFF" else webp
    limits = Limits(request["pixels"], request["memory"])
    limits.start()
    try:
        with any_error_is_ours(path), module.opened(path, limits) as page:
            return _found(page, request["wanted"], path)
    except ImageError as error:
        by_decoder = error.__cause__ is not None
        if by_decoder and error.code == "F201" and module.is_cut(path):
            error = cut_short(path, "its header tells of more")
        return {"error": {k: vars(error)[k] for k in ("found", "allowed", "fix", "code")}}, b""


def _found(page: Page, wanted: str, path: Path) -> Answer:
    match wanted:
        case "header":
            facts = pages.header(page)._asdict()
            return {**facts, "nodata": pages.nodata(page), "turn": pages.orientation(page)}, b""
        case "picture":
            return _picture(pages.picture(page, path))
        case "stored":
            array = pages.stored(page, path)
        case _:
            array = pages.image(page, path)
    return {"shape": array.shape, "dtype": str(array.dtype)}, np.ascontiguousarray(array).data


def _picture(picture: pil.Image) -> Answer:
    raw, exif = pictures.raw_mode(picture), picture.info.get("exif", b"")
    content = picture.tobytes()
    palette = picture.getpalette("RGB") if picture.mode in ("P", "PA") else None
    facts = {
        "mode": picture.mode,
        "size": picture.size,
        "palette": palette,
        "exif": exif.hex() if isinstance(exif, bytes) else "",
        "raw": raw,
    }
    return facts, content


def _leave_no_core() -> None:
    """A crash writes no core file."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
