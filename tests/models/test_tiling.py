"""The memory that a picture takes: what is alive at once, counted by hand."""

import torch
from torch import nn

from atrous.models.build import build
from atrous.models.tiling import BESIDES, tiling_of


def test_room_is_that_of_maps_which_are_alive_at_once():
    # float32: 64 maps at full size, and their maxima at half of it; pixels in bytes and floats
    expected = 4 * 64 + 4 * 64 / 4 + 3 + 4 * 3
    assert tiling_of(build("fcn_basic", num_classes=2)).room == round(BESIDES * expected)


def test_maps_that_wait_for_a_later_layer_take_room_and_views_take_none():
    model = build("fcn_basic", num_classes=2)
    before = tiling_of(model).room

    class Waits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = model.encoder

        def forward(self, pictures: torch.Tensor) -> object:
            copies = pictures * 1
            views = [pictures[:, :1] for _ in range(9)]
            found = self.layers(pictures)
            return found if copies.shape and views else None

    model.add_module("encoder", Waits())
    assert tiling_of(model).room == round(BESIDES * (before / BESIDES + 4 * 3))
