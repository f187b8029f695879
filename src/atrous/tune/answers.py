"""What a model says of pictures, made once and kept in a folder: trials need the model no more."""

import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from atrous.data.dataset import DataSet
from atrous.data.images import fit_image
from atrous.data.layouts import Pair
from atrous.errors import AtrousError, RecipeError
from atrous.files import make_folder, refusals_told, whole_file
from atrous.metrics.scores import scored
from atrous.predict.flow import in_flight, threads_for
from atrous.predict.postprocess import State, needs_probabilities, run_steps
from atrous.predict.predictor import Prediction, Predictor
from atrous.recipe import Steps
from atrous.types import Image, Mask, Sample, Track


class Untaken(RecipeError):
    """A picture cannot take the steps: it is too large for them, or their numbers do not fit it."""


class Counted(NamedTuple):
    """`Scores.overlap` of one picture, and what all steps took, in milliseconds."""

    overlap: Int64[np.ndarray, "K 2"]
    milliseconds: float


@dataclass(frozen=True)
class Answers:
    """The answers of a model for the pictures of a split, in a folder, before any step.

    They are on the disk, where a search that is killed finds them again, and which the system
    keeps in memory as far as there is some.
    """

    folder: Path
    predictor: Predictor
    dataset: DataSet
    split: str
    threads: int  # of the steps; 0 = one for each core

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the split; their places are the names of the pictures here."""
        return self.dataset.split(self.split)

    def make(self, places: Iterable[int], track: Track) -> None:
        """Ask the model for what is not there yet; what others were asked for is removed."""
        for other in {*self.folder.parent.glob("answers-*")} - {self.folder}:
            shutil.rmtree(other, ignore_errors=True)
        make_folder(self.folder)
        missing = [i for i in sorted(places) if not self._file(i).is_file()]
        bare = replace(self.predictor, postprocess=())
        answer = partial(self._answer, predictor=bare)
        with closing(in_flight(answer, missing, threads=threads_for(bare.engine))) as answered:
            for _ in zip(track(missing), answered, strict=True):
                pass

    def remove(self) -> None:
        """Delete them: they can be made again."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def counted(self, i: int, steps: Steps) -> Counted:
        """What a picture counts once steps have been taken.

        Raises:
            Untaken: the picture cannot take the steps.
        """
        sample = self._sample(i)
        prediction = self._read(i, sample)
        engine = self.predictor.engine
        image = fit_image(sample.image, bands=engine.bands, dtype=engine.dtype)
        begun = perf_counter()
        mask = self._taken(steps, prediction, image, self.pairs[i].name)
        spent = 1000 * (perf_counter() - begun)
        scores = scored(mask, sample.mask, self.dataset.classes, threads=self.threads)
        return Counted(scores.overlap, spent)

    def _taken(self, steps: Steps, prediction: Prediction, image: Image, name: str) -> Mask:
        """The mask after the steps."""
        try:
            probabilities = prediction.probabilities() if needs_probabilities(steps) else None
            begin = State(prediction.mask, probabilities)
            classes, threads = self.dataset.classes, self.threads
            made = run_steps(steps, begin, image=image, classes=classes, threads=threads)
            *_, (mask, _) = (begin, *made)
        except AtrousError as error:
            where = f"{name}, {error.where}"
            raise Untaken(where, found=error.found, allowed=error.allowed, fix=error.fix) from error
        except MemoryError as error:
            raise Untaken(
                name,
                found="needs more memory for the steps than there is",
                allowed="they are taken on a whole picture",
                fix="Take smaller pictures, or a machine with more memory.",
            ) from error
        return mask

    def _answer(self, i: int, *, predictor: Predictor) -> None:
        prediction = predictor(self._sample(i).image)
        with refusals_told(self._file(i)), whole_file(self._file(i)) as file:
            np.savez(file, logits=prediction.logits, mask=prediction.mask)

    def _read(self, i: int, sample: Sample) -> Prediction:
        with np.load(self._file(i)) as kept:
            logits, mask = kept["logits"], kept["mask"]
        classes, grid = self.dataset.classes, self.predictor.engine.grid
        return Prediction(mask, classes, sample.image, logits, grid, self.threads)

    def _sample(self, i: int) -> Sample:
        return self.dataset.read(self.pairs[i])

    def _file(self, i: int) -> Path:
        return self.folder / f"{i:06}.npz"
