"""Models as they are built, with few maps."""

from typing import Any

import pytest
import torch

from atrous.models import vgg
from atrous.models.build import Segmenter, build
from atrous.recipe import MODEL_TABLES

FEW = {"fc_channels": 4, "aspp_channels": 4, "decoder_channels": 4, "pretrained": False}


def few_maps(name: str, *, num_classes: int, **options: Any) -> Segmenter:
    """With random weights and statistics: zeros would hide what is read."""
    few = {key: value for key, value in FEW.items() if key in MODEL_TABLES[name].model_fields}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg, "BLOCKS", tuple((4, convolutions) for _, convolutions in vgg.BLOCKS))
        model = build(name, num_classes=num_classes, **{**few, **options}).eval()
    random = torch.Generator().manual_seed(0)
    for key, tensor in model.state_dict().items():
        if key.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=random))
        elif tensor.is_floating_point() and not tensor.any():
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=random))
    return model
