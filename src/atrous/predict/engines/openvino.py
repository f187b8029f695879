"""OpenVINO: runs an exported file on the CPU, in the precision that is asked for."""

import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from atrous.errors import RecipeError
from atrous.exported import Exported
from atrous.predict.engines import only_input, unusable
from atrous.types import EngineName, Precision

# Its telemetry would send an event at import, unasked, and make a folder in the user's home;
# without that package it takes its own stub.
sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType]
import openvino  # noqa: E402

openvino.Type.u8.to_dtype()  # two threads in its first call would wait for each other for ever

REPEATS = 8  # a size that comes so often is worth a compilation of its own, about ten calls
MOST_SIZES = 4  # compiled at once
ROOM = 256 << 20  # bytes of weights for them, for each holds its own
PATIENCE = 64  # calls until one that had to make room is compiled again
Shape = tuple[int, ...]


class OpenVino:
    """A compiled model of OpenVINO: `lanes` calls at once share `threads`.

    It takes pictures of any size. Sizes that come again get a compilation of their own, if that
    gives the same answer to the bit, for no answer may depend on what came before. On
    EfficientNet-Lite0 that is a tenth faster in f32 and bf16, and half as fast again in int8.

    Raises:
        WeightsError: it refuses the graph.
        RecipeError: bf16 is asked for, and this CPU has none.
    """

    name: EngineName = "openvino"
    version = openvino.__version__.split("-")[0]

    def __init__(
        self,
        exported: Exported,
        path: Path,
        *,
        precision: Precision,
        threads: int,
        lanes: int = 1,
    ) -> None:
        self.path, self.core = path, shared_core()
        if precision == "bf16":
            self._need_bf16()
        self.config = {
            # It takes bf16 by itself where the CPU has it; of int8 this is the rest of the graph.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": lanes,
            "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
        }
        try:
            model = self.core.read_model(exported.content)
            only_input([one.any_name for one in model.inputs])
            self.any_size = self._compiled(model)
        except Exception as error:
            raise unusable(path, self.name, error) from None
        most = min(MOST_SIZES, ROOM // len(exported.content))
        dynamic = model.inputs[0].partial_shape.is_dynamic
        self.sizes = _Sizes(model, self._compiled, most) if dynamic and most else None
        self.model, self.lock = model, Lock()
        self.open: dict[tuple[str, ...], _Compiled] = {}  # with more inputs than pixels

    def __call__(
        self,
        pixels: Shaped[np.ndarray, "..."],
        /,
        pooled: Float32[np.ndarray, "1 C 1 1"] | None = None,
        *,
        part: bool = False,
    ) -> Shaped[np.ndarray, "..."]:
        if pooled is not None:
            return self._given("logits", pixels, {"pooled": pooled})
        sizes = None if part else self.sizes
        try:
            own = sizes.model_for(pixels.shape) if sizes else None
            given = (own or self.any_size)(pixels)
        except Exception as error:
            raise unusable(self.path, self.name, error, pixels) from None
        if sizes and not own:
            sizes.count(pixels, given)
        return given

    def pooling(
        self, pixels: Shaped[np.ndarray, "..."], counted: Float32[np.ndarray, "1 1 h w"], /
    ) -> Float32[np.ndarray, "1 C 1 1"]:
        return self._given("pooled_features", pixels, {"counted": counted})

    def _given(self, output: str, pixels: np.ndarray, others: dict[str, np.ndarray]) -> np.ndarray:
        """An output of the graph with more than pixels given."""
        try:
            with self.lock:
                if (key := (output, *others)) not in self.open:
                    self.open[key] = self._compiled(_opened(self.model, output, [*others]))
            return self.open[key](pixels, *others.values())
        except Exception as error:
            raise unusable(self.path, self.name, error, pixels) from None

    def _compiled(self, model: Any) -> "_Compiled":
        return _Compiled(self.core.compile_model(model, "CPU", self.config))

    def _need_bf16(self) -> None:
        has = self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if "BF16" not in has:
            raise RecipeError(
                "precision",
                found="is bf16",
                allowed=f"this CPU computes in {', '.join(has)}",
                fix="Leave the precision at auto, or export with --int8 DATA.",
            )


def _opened(model: Any, output: str, names: list[str]) -> Any:
    """The model with one output, and inputs in the place of constants of these names.

    An input with a default has become a constant when a graph is read.
    """
    opened = model.clone()
    constants = {op.get_friendly_name(): op for op in opened.get_ops()}
    for name in names:
        constant = constants[name]
        shape = [-1, 1, -1, -1] if name == "counted" else constant.get_output_shape(0)
        given = openvino.opset13.parameter(shape, np.float32, name)
        for reader in constant.output(0).get_target_inputs():
            reader.replace_source_output(given.output(0))
        opened.add_parameters([given])
    for result in opened.get_results():
        if output not in result.input_value(0).names:
            opened.remove_result(result)
    return opened


class _Compiled:
    """A model compiled for this CPU. A call takes a request of its own, idle or new."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self.idle: deque[Any] = deque()

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        given = request.infer([*inputs], share_inputs=True)[0]  # a copy: the request goes on
        self.idle.append(request)
        return given


class _Sizes:
    """Models compiled for the sizes that come again; it counts which those are."""

    def __init__(self, model: Any, compiled: Callable[[Any], _Compiled], most: int) -> None:
        self.model, self.compiled, self.most, self.lock = model, compiled, most, Lock()
        self.seen: Counter[Shape] = Counter()
        self.kept: OrderedDict[Shape, _Compiled] = OrderedDict()

    def model_for(self, shape: Shape) -> _Compiled | None:
        """The model for pictures of this shape, if it has one."""
        with self.lock:
            if shape in self.kept:
                self.kept.move_to_end(shape)
            return self.kept.get(shape)

    def count(self, pixels: np.ndarray, given: np.ndarray) -> None:
        """Count a call without a model of its own; the eighth makes one, which must answer alike.

        Other threads go on without it until it is there; all do if it cannot be made.
        """
        shape = pixels.shape
        with self.lock:
            self.seen[shape] += 1
            if self.seen[shape] != REPEATS:
                return
        try:
            model = self.model.clone()
            model.reshape(list(shape))
            own = self.compiled(model)
            same = np.array_equal(own(pixels), given, equal_nan=True)
        except Exception:  # of kinds of its own; what takes any size still answers
            return
        if same:
            self._keep(shape, own)

    def _keep(self, shape: Shape, own: _Compiled) -> None:
        """The one not used for the longest makes room."""
        with self.lock:
            self.kept[shape] = own
            while len(self.kept) > self.most:
                oldest, _ = self.kept.popitem(last=False)
                self.seen[oldest] = REPEATS - PATIENCE


@cache
def shared_core() -> openvino.Core:
    """One for the process, for ever: each gives this thread a stack for signals, and takes it away.

    Of several that end in another order than they began, a stack that is gone would be left: the
    next signal, as from a child that ends, would be the end of the process.
    """
    return openvino.Core()
