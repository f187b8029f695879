"""The order of samples as a function of (seed, step), and batches of them for torch."""

import signal
from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from atrous.data.dataset import DataSet
from atrous.data.transforms import Purpose, augment, keyed
from atrous.data.windows import moved
from atrous.errors import AtrousError
from atrous.recipe import Recipe
from atrous.types import Sample

CACHE_BYTES = 1 << 30  # decoded samples kept in memory, all processes together


class Reader(Protocol):
    """Something that has samples by number, and the value that means "ignore" in their masks."""

    ignore_index: int

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample: ...

    def near(self, index: int, random: np.random.Generator, /) -> Sample:
        """The sample, or one nearby: of a window of a raster, that moved in its block."""
        ...


class Samples:
    """The samples of a split, decoded; the first `room` bytes of them are decoded only once."""

    def __init__(self, dataset: DataSet, split: str, *, room: int = 0) -> None:
        self.dataset, self.pairs = dataset, dataset.split(split)
        self.ignore_index = dataset.classes.ignore_index
        self.kept: dict[int, Sample] = {}
        self.room = room

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        if index in self.kept:
            return self.kept[index]
        sample = self.dataset.read(self.pairs[index])
        size = sample.image.nbytes + sample.mask.nbytes
        if size <= self.room:
            self.kept[index] = sample
            self.room -= size
        return sample

    def near(self, index: int, random: np.random.Generator) -> Sample:
        pair = self.pairs[index]
        if pair.window is None:
            return self[index]
        return self.dataset.read(pair._replace(window=moved(pair.window, random)))


class Batch(NamedTuple):
    """Pictures `B H W C` and masks `B H W` in the data's own types, with names for messages."""

    images: torch.Tensor
    masks: torch.Tensor
    names: tuple[str, ...]


def sample_index(seed: int, position: int, length: int) -> int:
    """Which sample stands at `position` of an endless stream of permutations.

    Example:
        >>> sorted(sample_index(0, position, 4) for position in range(8, 12))
        [0, 1, 2, 3]
    """
    epoch, place = divmod(position, length)
    return int(_permutation(seed, epoch, length)[place])


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return keyed(seed, Purpose.ORDER, epoch).permutation(length)


def draw(samples: Reader, recipe: Recipe, step: int, slot: int) -> Sample:
    """The augmented sample at (step, slot); nothing else decides it."""
    per_step = recipe.train.batch * recipe.train.accumulate
    index = sample_index(recipe.seed, step * per_step + slot, len(samples))
    random = keyed(recipe.seed, Purpose.AUGMENT, step, slot)
    sample = samples.near(index, keyed(recipe.seed, Purpose.WINDOW, step, slot))
    return augment(sample, recipe.augment, random, ignore_index=samples.ignore_index)


def batches(
    samples: Reader, recipe: Recipe, *, start: int, workers: int = 0
) -> Generator[list[Batch]]:
    """For each step from `start` to the last: the batches that make its update.

    Raises:
        DataError: a file could not be read; raised here, also from a worker.
    """
    options = recipe.train
    places = (
        [(step, part * options.batch + i) for i in range(options.batch)]
        for step in range(start, options.steps)
        for part in range(options.accumulate)
    )
    loader = DataLoader(
        _Draws(samples, recipe),
        batch_sampler=places,
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=_leave_signals,
    )
    step: list[Batch] = []
    for batch in loader:
        if isinstance(batch, AtrousError):
            raise batch
        step.append(batch)
        if len(step) == options.accumulate:
            yield step
            step = []


def first_batch(samples: Reader, recipe: Recipe, *, step: int) -> Batch:
    """The first batch of a step, drawn in this process."""
    drawn = [draw(samples, recipe, step, slot) for slot in range(recipe.train.batch)]
    batch = _collate(drawn)
    assert isinstance(batch, Batch)
    return batch


class _Draws(Dataset):
    def __init__(self, samples: Reader, recipe: Recipe) -> None:
        self.samples, self.recipe = samples, recipe

    def __getitem__(self, place: tuple[int, int]) -> Sample | AtrousError:
        try:
            return draw(self.samples, self.recipe, *place)
        except AtrousError as error:  # torch would lose its parts on the way out of a worker
            return error


def _leave_signals(worker: int) -> None:
    """Signals often reach a whole group of processes: the one that trains answers them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _collate(items: Sequence[Sample | AtrousError]) -> Batch | AtrousError:
    samples: list[Sample] = []
    for item in items:
        if isinstance(item, AtrousError):
            return item
        samples.append(item)
    return Batch(
        torch.from_numpy(np.stack([sample.image for sample in samples])),
        torch.from_numpy(np.stack([sample.mask for sample in samples])),
        tuple(sample.name for sample in samples),
    )
