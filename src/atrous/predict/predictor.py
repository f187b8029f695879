"""Image -> mask at the image's own size, through any engine."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any, NamedTuple, Unpack

import numpy as np
from jaxtyping import Float32, UInt8

from atrous.classes import Classes
from atrous.data.images import as_image, fit_image
from atrous.data.masks import blend, colourise
from atrous.errors import AtrousError, ImageError, WeightsError
from atrous.kernels.certainty import (
    confidence_at_pixels,
    entropy_at_pixels,
    probabilities_at_pixels,
)
from atrous.kernels.resize import argmax_at_pixels, threshold_at_pixels
from atrous.predict.augmentation import AS_IT_IS, Augmentation, scaled
from atrous.predict.engines import Answering, Engine, Means, open_engine
from atrous.predict.postprocess import (
    State,
    certainty,
    check_steps,
    entropy,
    needs_probabilities,
    run_steps,
)
from atrous.predict.shares import class_shares
from atrous.predict.tiles import Cut, Known, Read, Region, Scene, cut_for, everywhere, scene_of
from atrous.predict.tiles.cuts import WHOLE, check_tiles, lanes_of
from atrous.recipe import Step, Steps, make_steps
from atrous.recipe.postprocessing import named_steps
from atrous.types import GridLogits, Image, Mask, Placement, Size


@dataclass(frozen=True)
class Prediction:
    """The mask of one image, `H W` as `Classes` says, with its label space and grid logits.

    Everything else is made when it is asked for. `rows` are those of the picture that are
    wanted: so full-size maps can be made strip by strip. After steps of post-processing they
    are of what these made of mask and probabilities; the logits stay those of the network.
    """

    mask: Mask
    classes: Classes
    image: Image
    logits: GridLogits
    grid: Placement
    threads: int = 0  # of what is made when it is asked for; 0 = one for each core
    changed: bool = False  # by steps of post-processing
    refined: Float32[np.ndarray, "K H W"] | None = None  # probabilities, where a step changed them
    cut: Cut = WHOLE  # how the network was shown the picture

    def coloured(self) -> UInt8[np.ndarray, "H W 3"]:
        """The mask in the classes' colours; the mean where several are there."""
        return colourise(self.mask, self.classes)

    def overlay(self, opacity: float = 0.55) -> UInt8[np.ndarray, "H W 3"]:
        """The image under the coloured mask."""
        return blend(self.image, self.mask, self.classes, opacity)

    def probabilities(self, rows: slice | None = None) -> Float32[np.ndarray, "K H W"]:
        """The probability of each class at each pixel; of multilabel each by itself."""
        if self.refined is not None:
            return self.refined[:, rows or slice(None)]
        return probabilities_at_pixels(self.logits, **self._where(rows))

    def confidence(self, rows: slice | None = None) -> Float32[np.ndarray, "H W"]:
        """The probability of what was decided at each pixel, of multilabel in its least sure class.

        It says how sure the model is, not how often it is right.
        """
        if self.changed:
            state = State(self.mask[rows or slice(None)], self.probabilities(rows))
            return certainty(state, self.classes)
        return confidence_at_pixels(self.logits, **self._where(rows))

    def entropy(self, rows: slice | None = None) -> Float32[np.ndarray, "H W"]:
        """How uncertain each pixel is, in nats: 0 where it is sure, ln K where all classes tie.

        Of multilabel the sum over its classes, of which each is a decision.
        """
        if self.refined is not None:
            return entropy(self.probabilities(rows), self.classes)
        return entropy_at_pixels(self.logits, **self._where(rows))

    def shares(self) -> dict[str, float]:
        """The share of the picture's pixels that each class has; those of multilabel overlap."""
        shares = class_shares(self.mask, self.classes)
        return dict(zip(self.classes.names, shares.tolist(), strict=True))

    def _where(self, rows: slice | None) -> dict[str, Any]:
        size, task = self.mask.shape, self.classes.task
        where = {"grid": self.grid, "size": size, "task": task, "rows": rows}
        return where | {"threads": self.threads}


class Block(NamedTuple):
    """The prediction for a part of a scene: the `inner` of a part that is somewhat larger."""

    seen: Mask
    logits: GridLogits
    place: dict[str, Any]  # where these lie, and of which task
    inner: Region

    @property
    def mask(self) -> Mask:
        """`H W` of the part."""
        return self.seen[self.inner]

    def confidence(self) -> Float32[np.ndarray, "H W"]:
        """The probability of what was decided at each pixel, as that of a whole picture."""
        rows, columns = self.inner
        return confidence_at_pixels(self.logits, rows=rows, **self.place)[:, columns]


@dataclass(frozen=True)
class Predictor:
    """`predictor(image).mask`: images of any size as arrays, paths or PIL images.

    Threads may share one: as many calls are in the engine at once as it gains from, and as memory
    holds, the others wait; decoding goes on beside. `description` says which weights these are,
    `note` which engine was chosen. `postprocess` are the steps that are taken after the network;
    a dense CRF of a picture that is too large for memory warns of an `Approximation`.
    """

    engine: Engine
    classes: Classes
    digest: str = ""
    description: str = ""
    note: str = ""
    postprocess: Steps = ()
    augmentation: Augmentation = AS_IT_IS
    tile: str = "auto"
    memory: int = 0  # MiB that the network may hold, for pictures in tiles; 0 = half of all
    _lanes: Semaphore = field(init=False, repr=False, compare=False)
    _entry: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_steps(self.postprocess, self.classes, dtype=self.engine.dtype)
        check_tiles(self.tile, self.memory)
        object.__setattr__(self, "_lanes", Semaphore(max(1, self.engine.lanes)))

    @property
    def threads(self) -> int:
        """What a call has of the engine's threads, for the mask and maps of its picture too."""
        return max(1, self.engine.threads // max(1, self.engine.lanes))

    def __call__(self, image: Any) -> Prediction:
        """The prediction for an image: ndarray `H W` or `H W C`, path, or PIL.

        Arrays are of uint8, uint16 or float32.

        Raises:
            ImageError: it cannot be decoded, is no picture, or none for this model.
            WeightsError: the model gives no numbers (NaN).
        """
        return deque(self.stages(image), maxlen=1).pop()

    def stages(self, image: Any) -> Iterator[Prediction]:
        """The prediction of the network alone, then what each step makes of it, one by one.

        Raises:
            ImageError, WeightsError: as a call.
        """
        prediction, fitted = self._network(image)
        yield prediction
        yield from self._stepped(prediction, fitted)

    def after(self, prediction: Prediction, logits: GridLogits | None = None) -> Prediction:
        """What all steps make of the network's prediction, decided anew by `logits` if given."""
        if logits is not None:
            mask = self.decided(logits, prediction.grid, prediction.image.shape[:2])
            prediction = replace(prediction, logits=logits, mask=mask)
        bands, dtype = self.engine.bands, self.engine.dtype
        fitted = fit_image(prediction.image, bands=bands, dtype=dtype)
        return deque((prediction, *self._stepped(prediction, fitted)), maxlen=1).pop()

    def _stepped(self, prediction: Prediction, fitted: Image) -> Iterator[Prediction]:
        """What each step makes of a prediction, one after the other."""
        if not self.postprocess:
            return
        probs = prediction.probabilities() if needs_probabilities(self.postprocess) else None
        state = State(prediction.mask, probs)
        options: dict[str, Any] = {"classes": self.classes, "threads": self.threads}
        for mask, now in run_steps(self.postprocess, state, image=fitted, **options):
            refined = None if now is probs else now
            yield replace(prediction, mask=mask, changed=True, refined=refined)

    def _network(self, image: Any) -> tuple[Prediction, Image]:
        """The prediction without any step, and the picture as the network saw it."""
        where = image if isinstance(image, str | Path) else "the picture"
        pixels = as_image(image)
        try:
            fitted = fit_image(pixels, bands=self.engine.bands, dtype=self.engine.dtype)
        except ImageError as error:
            raise _at(where, error) from None
        logits, grid, cut = self._logits(fitted)
        try:
            mask = self.decided(logits, grid, fitted.shape[:2])
        except ValueError:
            if not np.isnan(logits).any():
                raise
            raise self._no_numbers(where, fitted) from None
        made = Prediction(mask, self.classes, pixels, logits, grid, self.threads, cut=cut)
        return made, fitted

    def _logits(self, image: Image) -> tuple[GridLogits, Placement, Cut]:
        """The logits, where they lie, and how the picture was cut for them."""
        size, answer, grid = image.shape[:2], self._answer, self.engine.grid
        largest = scaled(size, max(self.augmentation.scales))
        cut = cut_for(self.engine, largest, tile=self.tile, memory=self.memory)
        if cut.mode != "whole":  # then all views are in tiles of the same kind
            answer = partial(self._in_tiles, mode=cut.mode)
            grid = self._scene(size, image.__getitem__, cut).grid
        return self.augmentation.logits(answer, image, grid=grid), grid, cut

    def _answer(self, image: Image) -> GridLogits:
        with self._lanes_for(image.shape[:2]):
            return self.engine(image[None])[0]

    @contextmanager
    def _lanes_for(self, size: Size) -> Iterator[None]:
        """The lanes, one or several, in whose memory a picture is shown whole."""
        count = lanes_of(self.engine, size, self.memory)
        with self._entry:  # one at a time, or two could each wait for what the other has
            for _ in range(count):
                self._lanes.acquire()
        try:
            yield
        finally:
            self._lanes.release(count)

    def _in_tiles(self, image: Image, *, mode: str) -> GridLogits:
        cut = cut_for(self.engine, image.shape[:2], tile=mode, memory=self.memory)
        return self._scene(image.shape[:2], image.__getitem__, cut).with_means().cells()

    def _scene(self, size: Size, read: Read, cut: Cut, **options: Any) -> Scene:
        options |= {"num_logits": self.classes.num_logits, "turn": self._lanes}
        return scene_of(self.engine, size, read, cut, **options)

    def scene(self, size: Size, read: Read, known: Known = everywhere, means: Means = ()) -> Scene:
        """A picture that need not fit into memory, of which `read` gives parts, in tiles.

        They are in the engine's own bands and dtype. Means over the whole of it that are not given
        are found now. Other views (`flip`, `scales`) are of each tile.
        """
        options: dict[str, Any] = {
            "known": known,
            "means": means,
            "augmentation": self.augmentation,
        }
        return self._scene(size, read, self.cut(size), **options).with_means()

    def cut(self, size: Size) -> Cut:
        """How a scene of this size is cut: always into tiles, if only one."""
        how: dict[str, Any] = {"memory": self.memory, "scales": self.augmentation.scales}
        asked = "auto" if self.tile == "off" else self.tile
        found = cut_for(self.engine, size, tile=asked, **how)
        if found.mode == "whole":
            tile = "blend" if self.engine.tiling.inexact else "exact"
            found = cut_for(self.engine, size, tile=tile, **how)
        if found.mode == "exact" and self.augmentation.views > 1:
            views = (
                f"; views by {self.augmentation} are of tiles, and differ from those of the whole"
            )
            found = found._replace(why=found.why + views)
        return found

    def block(self, scene: Scene, region: Region, where: object = "the picture") -> Block:
        """The prediction for a part of a scene, which begins at multiples of `Scene.unit`.

        It is that of the whole; steps after the network are not taken. Messages are of `where`.

        Raises:
            ImageError, WeightsError: as a call.
        """
        seen, inner = scene.grown(region)
        size = seen[0].stop - seen[0].start, seen[1].stop - seen[1].start
        logits = scene.cells(seen)
        try:
            mask = self.decided(logits, scene.grid, size)
        except ValueError:
            if not np.isnan(logits).any():
                raise
            raise self._no_numbers(where, scene.read(seen)) from None
        place: dict[str, Any] = {"grid": scene.grid, "size": size, "threads": self.threads}
        return Block(mask, logits, place | {"task": self.classes.task}, inner)

    def decided(self, logits: GridLogits, grid: Placement, size: Size) -> Mask:
        """The mask of a picture of this size.

        Raises:
            ValueError: a logit is NaN.
        """
        decide = argmax_at_pixels if self.classes.task == "multiclass" else threshold_at_pixels
        dtype, threads = self.classes.dtype, self.threads
        return decide(logits, grid=grid, size=size, dtype=dtype, threads=threads)

    def _no_numbers(self, where: object, image: Image) -> AtrousError:
        if not np.isfinite(image).all():
            count = int(np.count_nonzero(~np.isfinite(image).all(2)))
            return ImageError(
                where,
                found=f"has {count} pixels that are no numbers (NaN or infinite)",
                allowed="a network spreads them over the picture, and no class is the largest",
                fix="Give them a value, such as the mean of their band.",
            )
        return WeightsError(
            where,
            found=f"gets logits that are no numbers (NaN) from {self.description or 'the model'}",
            allowed="its pixels are numbers, so the weights are damaged, or were trained on pixels "
            "of another scale",
            fix="Try other weights, and pictures such as the model was trained on.",
        )


class Loading(Answering, total=False):
    """What may be said of how a model answers, and of how pictures are shown to it."""

    flip: bool
    """Average the logits of the picture and its mirror image."""
    scales: Iterable[float]
    """Average the logits of the picture at these scales, 1 among them."""
    tile: str
    """How large pictures are cut: `auto`, `exact`, `blend`, `off`."""
    memory: int
    """MiB that the network may hold at once; 0 = half of the machine's."""
    postprocess: Iterable[Step | Mapping[str, Any]] | None
    """Steps after the network, as options or as their tables; None = what the run or file says."""


def load(
    run_or_file: str | Path,
    *,
    flip: bool = False,
    scales: Iterable[float] = (1.0,),
    tile: str = "auto",
    memory: int = 0,
    postprocess: Iterable[Step | Mapping[str, Any]] | None = None,
    **options: Unpack[Answering],
) -> Predictor:
    """The predictor of a run folder, a weights file or an exported file.

    `flip` and `scales` show each picture more than once and average the logits. Pictures for
    which the network would hold more than `memory` MiB are cut into tiles: `exact` ones give
    what the whole would, `blend` are cheaper where that takes wide halos, and all that some
    models have; `auto` chooses, `off` never cuts (docs/tiles.md). `postprocess`
    are steps after the network in place of those of the run or file; () = none. `engine` is
    torch for a run, onnxruntime or openvino for an exported file, `precision` f32, bf16 or int8;
    where they are not given they are chosen, and `Predictor.note` says so. `threads` are those of
    the CPU, in the engine and after it, 0 = one for each core; `lanes` calls at once share them.
    Of a run, `weights` are `last` or `best`, `output_stride` other than 0 gives them another
    stride (8 is finer than 16, and slower), and `device` is torch's. `manifest` is the side file
    of a graph of another program.

    Raises:
        RunError, WeightsError: nothing usable is there.
        RecipeError: an option that this file or this machine cannot follow.

    Example:
        predictor = atrous.load("street.onnx")
        mask = predictor("photo.jpg").mask  # uint8 H W
    """
    augmentation = Augmentation(flip, tuple(scales))
    opened = open_engine(Path(run_or_file), **options)
    if postprocess is not None:
        opened = opened._replace(postprocess=make_steps(postprocess, where="load"))
    if opened.postprocess:
        note = f"{opened.note} Then: {named_steps(opened.postprocess)}."
        opened = opened._replace(note=note)
    return Predictor(*opened, augmentation=augmentation, tile=tile, memory=memory)


def _at(where: object, error: ImageError) -> ImageError:
    """The error of a picture that did not know its name."""
    return ImageError(
        where, found=error.found, allowed=error.allowed, fix=error.fix, code=error.code
    )
