"""Peers of `benchmarks/inference.py`: the same weights in their own code, from pixels to a mask.

A contender is a function from a decoded picture, uint8 `H W 3`, to its mask, uint8 `H W`. Each is
made in a process of its own. Peers resize and decide in the way of their documentation, once
outside and once inside their graph.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import atrous
from atrous.export.facts import manifest_of, source_of
from atrous.export.graph import graph_of
from atrous.export.quantise import quantised
from atrous.exported import write_exported
from atrous.models.published import smp as their_names
from atrous.models.published.matching import EPS
from atrous.predict.engines.torch import TorchEngine

RATES = (6, 12, 18)  # of the pyramid: at smp's own 12, 24, 36 the outer two see little but zeros
LITE = "tu-efficientnet_lite0"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # both peers' own
Contender = Callable[[np.ndarray], np.ndarray]


def smp_network(num_classes: int) -> nn.Module:
    """segmentation-models-pytorch's DeepLabV3+ on EfficientNet-Lite0, its weights random."""
    import segmentation_models_pytorch as smp

    return smp.DeepLabV3Plus(
        LITE, encoder_weights=None, decoder_atrous_rates=RATES, classes=num_classes
    )


def torchvision_network(num_classes: int) -> nn.Module:
    """DeepLabV3 of torchvision on ResNet-50, its weights random."""
    from torchvision.models.segmentation import deeplabv3_resnet50

    return deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=num_classes)


NETWORKS = {"smp": smp_network, "torchvision": torchvision_network}


def write_theirs(origin: str, network: nn.Module, folder: Path) -> Path:
    """Save a peer's network as its users do: a state dict, for smp with what lies beside it."""
    torch.save(network.state_dict(), folder / "theirs.pt")
    if origin == "smp":
        config = {"_model_class": "DeepLabV3Plus", "encoder_name": LITE}
        config |= {"encoder_output_stride": 16, "decoder_atrous_rates": RATES}
        (folder / their_names.CONFIG).write_text(json.dumps(config))
    return folder / "theirs.pt"


@torch.no_grad()
def smp_from_run(run: Path, folder: Path) -> nn.Module:
    """Their network with the weights of a run of ours that was trained by smp's rules.

    Where ours has a bias after image pooling and theirs a batch norm, the norm is set to add it.
    """
    engine = atrous.load(run).engine
    assert isinstance(engine, TorchEngine)
    ours = engine.model.state_dict()
    network = smp_network(len(ours["head.classify.bias"]))
    theirs = network.state_dict()
    piece = their_names.recognise(theirs, folder / "theirs.pt").piece
    for name, tensor in ours.items():
        names = piece(name).names
        if name in theirs or len(names) == 1:
            if names[0] in theirs:
                theirs[names[0]].copy_(tensor)
        elif name.endswith("weight"):
            convolution, gain, variance = names
            theirs[convolution].copy_(tensor)
            theirs[gain].fill_(1)
            theirs[variance].fill_(1 - EPS)
        else:
            _, _, bias, mean = names
            theirs[bias].copy_(tensor)
            theirs[mean].zero_()
    network.load_state_dict(theirs)
    return network


def restored(origin: str, folder: Path, num_classes: int) -> nn.Module:
    """A peer's network with the weights in `folder`, ready to predict."""
    network = NETWORKS[origin](num_classes).eval()
    tensors = torch.load(folder / "theirs.pt", weights_only=True)
    network.load_state_dict(tensors)
    return network


class Whole(nn.Module):
    """A peer's network with everything in one graph: pixels uint8 `1 H W 3` to mask `1 H W`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(STD)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        pictures = pixels.permute(0, 3, 1, 2).float() - self.get_buffer("mean")
        logits: Any = self.network(pictures / self.get_buffer("std"))
        logits = logits["out"] if isinstance(logits, dict) else logits
        return logits.argmax(1).to(torch.uint8)


def write_graph(network: nn.Module, size: tuple[int, int], path: Path) -> None:
    """A peer's network as ONNX of one size, with resizing and arg-max inside."""
    example = torch.zeros(1, *size, 3, dtype=torch.uint8)
    program = torch.onnx.export(Whole(network).eval(), (example,), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(path))


def write_whole_numbers(run: Path, pictures: list[np.ndarray], path: Path) -> None:
    """A run in int8 in all layers, without the gate: of random weights there is no mIoU to keep."""
    source = source_of(run)
    manifest = replace(manifest_of(source), precision="int8")
    write_exported(path, quantised(graph_of(source.segmenter), pictures), manifest)


def contenders(origin: str, folder: Path, num_classes: int) -> dict[str, Callable[[], Contender]]:
    """How each contender is made, by its name; the first is what ratios are of.

    Ours stand with every engine and precision of the exported files in `folder`. (A CPU without
    bf16 leaves that one out.)
    """
    network = partial(restored, origin, folder, num_classes)
    made: dict[str, Callable[[], Contender]] = {
        "eager": lambda: in_torch(Whole(network())),
        "eager, channels last": lambda: in_torch(
            Whole(network().to(memory_format=torch.channels_last))
        ),
        "torch.compile, frozen": lambda: compiled(Whole(network())),
        "onnxruntime, all in the graph": lambda: in_onnxruntime(folder / "theirs.onnx"),
        "openvino f32, all in the graph": lambda: in_openvino(folder / "theirs.onnx"),
    }
    for precision in ("f32", "int8"):
        path = folder / f"ours-{precision}.onnx"
        for engine in ("onnxruntime", "openvino") if path.is_file() else ():
            made[f"atrous {engine} {precision}"] = partial(ours, path, engine)
    made["atrous openvino bf16"] = partial(ours, folder / "ours-f32.onnx", "openvino", "bf16")
    made["openvino bf16, all in the graph"] = lambda: in_openvino(folder / "theirs.onnx", "bf16")
    return made


def in_torch(network: nn.Module) -> Contender:
    """Eager PyTorch."""
    network.eval()

    def run(picture: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(picture[None]))[0].numpy()

    return run


def compiled(network: nn.Module) -> Contender:
    """torch.compile with frozen weights."""
    import torch._inductor.config as inductor

    inductor.freezing = True
    compiled_network: Any = torch.compile(network.eval())

    def run(picture: np.ndarray) -> np.ndarray:
        with torch.no_grad():  # freezing does nothing in inference mode
            return compiled_network(torch.from_numpy(picture[None]))[0].numpy()

    return run


def in_onnxruntime(path: Path) -> Contender:
    """ONNX Runtime at its defaults, with torch's number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session: Any = onnxruntime.InferenceSession(str(path), options)
    name = session.get_inputs()[0].name
    return lambda picture: session.run(None, {name: picture[None]})[0][0]


def in_openvino(path: Path, precision: str = "f32") -> Contender:
    """OpenVINO for one picture at a time; f32 is asked for, where it would take bf16."""
    import openvino

    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    model = openvino.Core().compile_model(str(path), "CPU", config)
    return lambda picture: model([picture[None]])[0][0].copy()


def ours(path: Path, engine: str, precision: str = "auto") -> Contender:
    """The exported file of `path` through one of our engines."""
    threads = torch.get_num_threads()
    predictor = atrous.load(path, engine=engine, precision=precision, threads=threads)
    return lambda picture: predictor(picture).mask
