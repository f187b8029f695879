import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.data.loading import batches, sample_index
from atrous.errors import ImageError
from atrous.recipe import make_recipe
from atrous.types import Sample

RECIPE = make_recipe(
    sets=["augment.crop=64", "train.batch=3", "train.accumulate=2", "train.steps=4"]
)


class Numbers:
    """Samples whose pixels are their number."""

    ignore_index = 255

    def __len__(self):
        return 5

    def __getitem__(self, index):
        image = np.full((70, 70, 3), index, np.uint8)
        return Sample(image, np.full((70, 70), index, np.uint8), f"{index}.png")

    def near(self, index, random):
        return self[index]


class Broken(Numbers):
    def __getitem__(self, index):
        raise ImageError(f"{index}.png", found="is cut off", allowed="whole", fix="Mend it.")


@given(st.integers(0, 2**62), st.integers(1, 40), st.integers(0, 10))
def test_every_epoch_sees_every_sample_once(seed, length, epoch):
    seen = [sample_index(seed, epoch * length + place, length) for place in range(length)]
    assert sorted(seen) == list(range(length))


def test_epochs_and_seeds_differ_in_order():
    orders = {
        tuple(sample_index(s, e * 50 + i, 50) for i in range(50)) for s in (0, 1) for e in (0, 1)
    }
    assert len(orders) == 4


def drawn(start=0, workers=0):
    return [
        (batch.names, batch.images.numpy().tobytes(), batch.masks.numpy().tobytes())
        for step in batches(Numbers(), RECIPE, start=start, workers=workers)
        for batch in step
    ]


def test_no_batch_is_short_and_every_step_has_all_its_parts():
    steps = list(batches(Numbers(), RECIPE, start=0))
    assert len(steps) == 4
    assert all(len(step) == 2 and len(batch.names) == 3 for step in steps for batch in step)


def test_a_stream_begun_later_goes_on_as_the_whole_one():
    assert drawn(start=2) == drawn()[4:]


def test_any_number_of_workers_draws_the_same():
    assert drawn(workers=2) == drawn()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_keeps_its_error_from_any_process(workers):
    with pytest.raises(ImageError, match=r"\d\.png: is cut off, but whole\. Mend it\."):
        next(batches(Broken(), RECIPE, start=0, workers=workers))
