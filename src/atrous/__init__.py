"""Semantic segmentation from FCN to DeepLab v3+: train, measure, trust, explain, serve.

    import atrous
    atrous.train("street", out="runs/street")
    predictor = atrous.load("runs/street")
    predictor("photo.jpg").mask

Names are imported when they are first used, so `import atrous` stays quick and needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrous.bench import bench as bench
    from atrous.classes import Classes as Classes
    from atrous.data.dataset import open_dataset as open_dataset
    from atrous.doctor import doctor as doctor
    from atrous.errors import AtrousError as AtrousError
    from atrous.evaluate import evaluate as evaluate
    from atrous.export import export as export
    from atrous.models.build import build as build
    from atrous.models.published import import_weights as import_weights
    from atrous.predict import predict as predict
    from atrous.predict.predictor import Predictor as Predictor
    from atrous.predict.predictor import load as load
    from atrous.report import report as report
    from atrous.train import train as train
    from atrous.tune import tune as tune
    from atrous.verify import verify as verify

__version__ = "0.1.0"

_HOMES = {  # where a name lives; the others are modules that are called like functions
    "AtrousError": "atrous.errors",
    "Classes": "atrous.classes",
    "Predictor": "atrous.predict.predictor",
    "build": "atrous.models.build",
    "import_weights": "atrous.models.published",
    "load": "atrous.predict.predictor",
    "open_dataset": "atrous.data.dataset",
}
__all__ = [
    "AtrousError",
    "Classes",
    "Predictor",
    "bench",
    "build",
    "doctor",
    "evaluate",
    "export",
    "import_weights",
    "load",
    "open_dataset",
    "predict",
    "report",
    "train",
    "tune",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"atrous.{name}")
    raise AttributeError(f"module 'atrous' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
