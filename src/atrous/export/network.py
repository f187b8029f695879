"""The network as it is exported: for prediction alone, with batch norms inside convolutions."""

import copy
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from atrous.models.build import Segmenter
from atrous.models.deeplab import Aspp, DeepLabV3Head, DeepLabV3PlusHead, mean_of
from atrous.models.tracing import Observer, call, tensors_in
from atrous.models.vgg import Pool
from atrous.types import Size


class Network(nn.Module):
    """Normalised, padded pictures `B C H W` -> grid logits."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, pictures: Tensor) -> Tensor:
        return self.segmenter.logits(pictures)


class PooledNetwork(nn.Module):
    """One with image pooling also gives the mean `B C 1 1` of what that sees.

    Where `pooled` `1 C 1 1` is no NaN, pooling takes that in its place. The mean is weighted by
    `counted` `B 1 h w`: 1 for cells that count, 0 for those of a tile's halo, say.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, pictures: Tensor, pooled: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        features = self.segmenter.encoder(pictures)
        mean = mean_of(features[-1] * counted) / mean_of(counted)
        given = mean.where(pooled.isnan(), pooled)
        head = self.segmenter.head
        assert isinstance(head, DeepLabV3Head | DeepLabV3PlusHead)
        return head(features, given), mean


class Pyramid(nn.Module):
    """What `Aspp` does, with the vector of image pooling added behind the 1x1 that joins branches.

    Laid over the map and joined with it, the vector would be multiplied at each cell anew.
    """

    def __init__(self, aspp: Aspp) -> None:
        super().__init__()
        *branches, self.pooling = aspp.branches
        joins, *rest = aspp.project
        assert isinstance(joins, nn.Conv2d)
        self.branches, self.rest = nn.ModuleList(branches), nn.Sequential(*rest)
        own, pooled = joins.weight.split(joins.in_channels // len(aspp.branches) * len(branches), 1)
        self.project = _pointwise(own, joins.bias)
        self.project_pooled = _pointwise(pooled, None)

    def forward(self, features: Tensor, pooled: Tensor) -> Tensor:
        joined = torch.cat([branch(features) for branch in self.branches], 1)
        vector = self.pooling.get_submodule("project")(pooled)
        return self.rest(self.project(joined) + self.project_pooled(vector))


def _pointwise(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None)
    convolution.weight = nn.Parameter(weight.clone())
    convolution.bias = None if bias is None else nn.Parameter(bias.clone())
    return convolution


class Clip(nn.Module):
    """What ReLU6 does, in the one operator that graphs have for it."""

    def forward(self, features: Tensor) -> Tensor:
        return features.clamp(0.0, 6.0)


def pooled_channels(segmenter: Segmenter) -> int:
    """Channels of the mean over the picture that image pooling sees; 0 without image pooling."""
    head = segmenter.head
    pools = isinstance(head, DeepLabV3Head | DeepLabV3PlusHead) and head.aspp.pools
    return segmenter.encoder.channels[-1] if pools else 0


def exportable(segmenter: Segmenter, size: Size) -> Network | PooledNetwork:
    """A network that answers as the model does, on the CPU, without what only training needs.

    `size` is that of a picture that it can see, for looking at its calls.
    """
    fusing = _Readers(segmenter).fusible(size)
    model = copy.deepcopy(segmenter).to(device="cpu").eval()
    model.aux_head = None
    for convolution, norm in fusing.items():
        _fuse(model, convolution, norm)
    module: Any
    for name, module in [*model.named_modules()]:
        if hasattr(module, "inplace"):
            module.inplace = False  # the exporter would take it apart for that
        if isinstance(module, nn.ReLU6):
            model.set_submodule(name, Clip())
        elif isinstance(module, nn.Dropout | nn.Dropout2d):
            model.set_submodule(name, nn.Identity())
        elif isinstance(module, Pool) and (module.kernel, module.rate) == (3, 1):
            model.set_submodule(name, _padding_pool(module))
    model.requires_grad_(False)
    if not pooled_channels(model):
        return Network(model)
    assert isinstance(model.head, DeepLabV3Head | DeepLabV3PlusHead)
    model.set_submodule("head.aspp", Pyramid(model.head.aspp))
    return PooledNetwork(model)


def _padding_pool(pool: Pool) -> nn.MaxPool2d:
    """The same 3x3 pool in one operator: around maps that are never negative, zeros change nothing.

    (Training would notice: gradients of maps that are zero go to the zeros around them.)
    """
    return nn.MaxPool2d(3, pool.stride, padding=1)


def _fuse(model: nn.Module, convolution: str, norm: str) -> None:
    """Give a convolution the scale and shift of the batch norm behind it, which then goes."""
    conv, norm_ = model.get_submodule(convolution), model.get_submodule(norm)
    assert isinstance(conv, nn.Conv2d) and isinstance(norm_, nn.BatchNorm2d)
    assert norm_.running_mean is not None and norm_.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm_.running_mean,
        norm_.running_var,
        norm_.eps,
        norm_.weight,
        norm_.bias,
    )
    after = norm_.get_submodule("act") if isinstance(norm_, BatchNormAct2d) else nn.Identity()
    model.set_submodule(norm, after)


class _Readers(Observer):
    """Sees who reads what convolutions give, in a run without values."""

    def fusible(self, size: Size) -> dict[str, str]:
        """Convolutions that nothing but one batch norm reads, which reads nothing else."""
        self.given: dict[str, list[int]] = defaultdict(list)  # by convolution
        self.readers: dict[int, list[str]] = defaultdict(list)  # by tensor
        self.calls: dict[str, int] = defaultdict(int)  # by batch norm
        self.held: list[Tensor] = []  # so that ids stay theirs
        self.run(self.images(size))
        found = {}
        for convolution, tensors in self.given.items():
            readers = {tuple(self.readers[tensor]) for tensor in tensors}
            names = readers.pop()
            if not readers and len(names) == 1 and self.calls[names[0]] == len(tensors):
                found[convolution] = names[0]
        return found

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = call(func, args, kwargs or {})
        name, results = func.__name__, list(tensors_in(out))
        if not results:  # it asked for a shape, say
            return out
        if name == "conv2d":
            self.given[self.module].append(id(out))
        plain = name == "batch_norm" and type(self.running[-1][1]) in (
            nn.BatchNorm2d,
            BatchNormAct2d,
        )
        self.calls[self.module] += plain
        for tensor in tensors_in((args, kwargs)):
            self.readers[id(tensor)].append(self.module if plain else "")
        self.held += results
        return out
