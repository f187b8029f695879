"""Flags that several commands have."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Sets = Annotated[
    tuple[str, ...],
    Parameter(name="--set", help="An option as section.key=value; repeatable.", negative=()),
]
Config = Annotated[Path | None, Parameter(help="A recipe to start from (TOML).")]
Json = Annotated[bool, Parameter(name="--json", help="Answer as JSON on stdout.", negative=())]
PictureSize = Annotated[
    str | None, Parameter(help="Of the picture that costs are told of: HEIGHT,WIDTH.")
]
Manifest = Annotated[
    Path | None, Parameter(help="Of a file of another program: its side file (JSON, TOML).")
]
Engine = Annotated[
    str | None, Parameter(help="torch, onnxruntime or openvino; else the fastest there is.")
]
Precision = Annotated[str | None, Parameter(help="f32, bf16 or int8; else that of the file.")]
Threads = Annotated[int | None, Parameter(help="On the CPU; else one for each core.")]
Flag = Parameter(negative=())
