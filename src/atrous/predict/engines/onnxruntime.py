"""ONNX Runtime: runs an exported file on the CPU."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from jaxtyping import Float32, Shaped

from atrous.exported import Exported
from atrous.predict.engines import only_input, unusable
from atrous.types import EngineName

FATAL = 4  # its own log stays silent: what goes wrong is raised, and told as an error of ours


class OnnxRuntime:
    """A session of ONNX Runtime: `lanes` calls at once share `threads`.

    Each call computes in its own thread too; the workers beside them are those of all.

    Raises:
        WeightsError: it refuses the graph.
    """

    name: EngineName = "onnxruntime"
    version = onnxruntime.__version__

    def __init__(self, exported: Exported, path: Path, *, threads: int, lanes: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads - lanes + 1  # workers, and the one that calls
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # a plan for each size; many hold twice the memory
        options.log_severity_level = FATAL
        if lanes > 1:
            # Idle threads that wait busily make one call a quarter faster, and rob the others.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.path = path
        try:
            self.session = onnxruntime.InferenceSession(
                exported.content, options, providers=["CPUExecutionProvider"]
            )
            self.input = only_input([one.name for one in self.session.get_inputs()])
        except Exception as error:  # of kinds of its own
            raise unusable(path, self.name, error) from None
        self.output = self.session.get_outputs()[0].name

    def __call__(
        self,
        pixels: Shaped[np.ndarray, "..."],
        /,
        pooled: Float32[np.ndarray, "1 C 1 1"] | None = None,
        *,
        part: bool = False,
    ) -> Shaped[np.ndarray, "..."]:
        given = {} if pooled is None else {"pooled": pooled}
        return self._run(self.output, {self.input: pixels, **given})

    def pooling(
        self, pixels: Shaped[np.ndarray, "..."], counted: Float32[np.ndarray, "1 1 h w"], /
    ) -> Float32[np.ndarray, "1 C 1 1"]:
        return self._run("pooled_features", {self.input: pixels, "counted": counted})

    def _run(self, output: str, inputs: dict[str, Any]) -> Any:
        try:
            return np.asarray(self.session.run([output], inputs)[0])
        except Exception as error:
            raise unusable(self.path, self.name, error, inputs[self.input]) from None
