"""`atrous export`, `verify` and `bench`: one file, the proof that it answers, and how fast."""

import shlex
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from atrous.cli.flags import Json, Manifest, Sets, Threads
from atrous.cli.speaking import as_json, say, tracked
from atrous.errors import RecipeError

Engine = Annotated[str | None, Parameter(help="torch, onnxruntime or openvino; else all.")]
Precision = Annotated[str | None, Parameter(help="f32, bf16 or int8; else all that can be.")]
SETTABLE = ("weights", "output_stride")  # of predict.…, by all commands here


def export(
    run: Annotated[Path, Parameter(help="A run folder or a weights file.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The .onnx file to write.")],
    int8: Annotated[
        Path | None, Parameter(help="Also quantise, with pictures of this data set.")
    ] = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Write a run as one .onnx file that answers the same, without torch, and verify it.

    With --int8 the file is faster and nearly as good; what that costs is measured.
    """
    from atrous.cli.exported import manifest_table
    from atrous.export import export as exported

    options = _options("export", set)
    track = tracked("exporting:", "steps")
    result = exported(run, out=out, int8=int8, track=track, tell=say, **options)
    for note in result.notes:
        say(note)
    if json:
        print(as_json(result.to_dict()))
    else:
        print(manifest_table(str(out), result.manifest, size=result.size, digest=result.digest))
    file = shlex.quote(str(out))
    say(f"Go on with: atrous predict {file} IMAGES --out MASKS")
    say(f"        or: atrous verify {file} {shlex.quote(str(run))} DATA")
    return 0


def verify(
    model: Annotated[Path, Parameter(help="An exported .onnx file.")],
    run: Annotated[Path, Parameter(help="The run that it was made from.")],
    data: Annotated[Path, Parameter(help="Folder of images and masks.")],
    /,
    *,
    budget: Annotated[
        float | None,
        Parameter(help="Largest fall of mIoU allowed; else 0.001 in f32, 0.005 in bf16 and int8."),
    ] = None,
    split: Annotated[str, Parameter(help="Which part of the data.")] = "val",
    limit: Annotated[int | None, Parameter(help="So many pictures, evenly chosen.")] = None,
    engine: Engine = None,
    precision: Precision = None,
    threads: Threads = None,
    manifest: Manifest = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Replay pictures through a run and its exported file, in each runtime found here.

    Exit code 0: it answers as the run, within the budgets; 1: it does not; 2: it cannot be tried.
    """
    from atrous.cli.exported import verification_table
    from atrous.verify import verify as verified

    flags = {"engine": engine, "precision": precision, "threads": threads, "manifest": manifest}
    options = _options("verify", set, flags)
    verification = verified(
        model,
        run,
        data,
        budget=budget,
        split=split,
        limit=limit,
        track=tracked("verifying", "pictures"),
        **options,
    )
    for note in verification.notes:
        say(note)
    print(as_json(verification.to_dict()) if json else verification_table(verification))
    return 0 if verification.passed else 1


def bench(
    run_or_file: Annotated[Path, Parameter(help="A run folder, weights or exported file.")],
    /,
    *,
    size: Annotated[
        str | None, Parameter(help="Of the pictures: HEIGHT,WIDTH; else the training crop.")
    ] = None,
    engine: Engine = None,
    precision: Precision = None,
    threads: Annotated[int | None, Parameter(help="On the CPU; else one, and all.")] = None,
    manifest: Manifest = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Measure latency, throughput and memory by engine, precision and threads.

    From decoded pixels to mask; each configuration in a process of its own, in turns.
    """
    from atrous.bench import bench as benched
    from atrous.cli.exported import benchmark_table
    from atrous.cli.networks import size_of

    flags = {"engine": engine, "precision": precision, "threads": threads, "manifest": manifest}
    options = _options("bench", set, flags)
    benchmark = benched(
        run_or_file,
        size=size_of(size) if size else None,
        track=tracked("measuring in", "steps"),
        **options,
    )
    print(as_json(benchmark.to_dict()) if json else benchmark_table(benchmark))
    return 1 if any(row.failure for row in benchmark.rows) else 0


def describe(file: Path, manifest: Path | None, *, json: bool) -> int:
    """`atrous info` of an exported file: its manifest."""
    from atrous.cli.exported import manifest_table
    from atrous.exported import facts, read_exported

    content, told, digest = exported = read_exported(file, manifest)
    if json:
        print(as_json({"file": str(file), **facts(exported)}))
    else:
        print(manifest_table(str(file), told, size=len(content), digest=digest))
    return 0


def _options(
    command: str, sets: tuple[str, ...], flags: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What is asked of how a model answers; a command refuses what it does not follow.

    It follows its flags and `SETTABLE`.

    Raises:
        RecipeError: an option without effect.
    """
    from atrous.cli.options import answering
    from atrous.recipe import Predict

    flags = flags or {}
    asked = dict(answering(sets, **flags))
    for name in asked:
        if name not in (*SETTABLE, *flags):
            followed = [f"predict.{key}" for key in SETTABLE] + [f"--{flag}" for flag in flags]
            raise RecipeError(
                f"--set predict.{name}" if name in Predict.model_fields else f"--set {name}",
                found=f"has no effect on {command}",
                allowed=f"it follows {', '.join(followed)}",
                fix="Leave it out.",
            )
    return asked
