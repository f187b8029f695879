"""Models whose every layer counts, and run folders without a training."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from atrous.classes import Classes
from atrous.models.build import Segmenter, build_model
from atrous.recipe import Recipe, make_recipe, to_toml
from atrous.runs import RunFolder, model_facts
from atrous.types import Statistics
from atrous.weights import write_weights

BASIC = {"name": "fcn_basic"}


@torch.no_grad()
def awake(model: Segmenter) -> Segmenter:
    """Random scores, which may begin at zero, and batch norms that have seen a picture.

    They shift and scale, and keep signals alive: new ones do nothing at all.
    """
    random = torch.Generator().manual_seed(0)
    for module in model.head.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, generator=random)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(0.5, 1.5, generator=random)
        norm.bias.normal_(std=0.2, generator=random)
        norm.momentum = 1.0
    if norms:
        noise = torch.rand(2, 96, 96, model.bands, generator=random) * model.largest
        model.train()(noise.to(getattr(torch, model.dtype)))
    return model.eval()


def recipe_of(options: dict[str, Any], **more: Any) -> Recipe:
    return make_recipe(flags={**{f"model.{k}": v for k, v in options.items()}, **more})


def made(options: dict[str, Any], *, num_classes: int = 3, **pixels: Any) -> Segmenter:
    """A model by the keys of its recipe, for pictures of other bands, types or statistics."""
    return awake(build_model(recipe_of(options).model, num_classes=num_classes, **pixels))


def made_run(
    path: Path,
    classes: Classes,
    options: dict[str, Any] = BASIC,
    *,
    data: Path | None = None,
    statistics: Statistics | None = None,
    dtype: Any = "uint8",
) -> Path:
    """The folder of a run that ended at step 7."""
    run, recipe = RunFolder(path), recipe_of(options)
    path.mkdir()
    bands = len(statistics.mean) if statistics else 3
    pixels = {"bands": bands, "dtype": dtype, "statistics": statistics}
    model = made(options, num_classes=classes.num_logits, **pixels)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    about = model_facts(recipe, classes, dtype=dtype, parameters=parameters, averaged=True)
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    write_weights(run.weights("last"), tensors, {**about, "weights": "last", "step": 7})
    run.recipe.write_text(to_toml(recipe))
    if data:
        run.dataset.write_text(json.dumps({"root": str(data)}))
    return path
