"""The command line: commands are plain functions; heavy imports happen inside each.

Answers go to stdout, progress and notes to stderr. Exit codes: 0 done; 1 the answer is no, or
done with failures listed; 2 the user must change something; 3 our fault; 128 + n stopped by
signal n.
"""

import errno
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from atrous import __version__
from atrous.cli import exporting, predicting, tuning
from atrous.cli.flags import Config, Flag, Json, Manifest, PictureSize, Sets
from atrous.cli.speaking import as_json, say, say_approximations, speak_utf8, tracked
from atrous.errors import AtrousError, RunError

app = App(
    name="atrous",
    help="Semantic segmentation from FCN to DeepLab v3+: a folder of images and masks in, "
    "a measured model out.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `main` says what became of it
)
recipe_app = App(name="recipe", help="Options of a run.")
app.command(recipe_app)
app.command(predicting.predict)
app.command(predicting.merge)
app.command(predicting.evaluate)
app.command(exporting.export)
app.command(exporting.verify)
app.command(exporting.bench)
app.command(tuning.tune)


def main() -> None:
    """Run the command line and exit with its code."""
    speak_utf8()
    say_approximations()
    try:
        code = app(sys.argv[1:])
    except AtrousError as error:
        say(f"atrous: {error}")
        code = 2
    except KeyboardInterrupt:
        say("Stopped.")
        code = 130
    except BrokenPipeError:  # `atrous … | head`
        sys.stdout = None
        code = 0
    except Exception as error:
        if told := outside_cause(error):
            say(f"atrous: {told}")
            sys.exit(2)
        traceback.print_exc()
        say("atrous: this is a fault of atrous, not yours; please report it with the lines above.")
        code = 3
    sys.exit(code or 0)


@app.command
def demo(
    *, out: Annotated[Path, Parameter(help="Folder for data, run and masks.")] = Path("demo")
) -> int:
    """Train on the embedded street scenes, evaluate, predict and write the report, in minutes."""
    from atrous.cli.demo import run_demo

    return run_demo(out)


@app.command
def doctor(
    data: Annotated[Path, Parameter(help="Folder of images and masks.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Also write a page with pictures there.")] = None,
    fix: Annotated[Path | None, Parameter(help="Also write a corrected copy there.")] = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Say what is in a data set, what is wrong with it, where, and how to fix it.

    Exit code 0: no errors; 1: errors were found, and training would refuse it; 2: it is no data
    set that can be understood.
    """
    from atrous.cli.doctor import run_doctor

    return run_doctor(data, out=out, fix=fix, sets=set, json=json)


@app.command(name="export-data")
def export_data(
    data: Annotated[Path, Parameter(help="Folder of images and masks.")],
    /,
    *,
    to: Annotated[str, Parameter(help="voc, coco, labelme, cityscapes, folder or yolo.")],
    out: Annotated[Path, Parameter(help="The folder to make.")],
    split: Annotated[str | None, Parameter(help="This part of the data alone.")] = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Write a data set in another layout; the masks stay the same, pixel by pixel."""
    from atrous.cli.exports import run_export

    return run_export(data, to=to, out=out, split=split, sets=set, json=json)


@app.command
def train(
    data: Annotated[Path, Parameter(help="Folder of images and masks.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The run folder to make.")],
    model: Annotated[str | None, Parameter(help="See `atrous models`.")] = None,
    encoder: Annotated[str | None, Parameter(help="A timm model that gives features.")] = None,
    steps: Annotated[int | None, Parameter(help="Updates of the weights.")] = None,
    resume: Annotated[bool, Flag, Parameter(help="Go on with the run in --out.")] = False,
    workers: Annotated[int, Parameter(help="Processes that read pictures.")] = 0,
    config: Config = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Train a model on a folder of images and masks."""
    from atrous.cli.training import answer, show
    from atrous.train import train_events

    flags = {"model.name": model, "model.encoder": encoder, "train.steps": steps}
    events = train_events(
        data,
        out=out,
        config=config,
        flags=flags,
        sets=set,
        resume=resume,
        workers=workers,
        track=tracked("looking at", "pairs"),
    )
    words = ["atrous", "train", str(data), "--out", str(out), "--resume"]
    words += ["--workers", str(workers)] if workers else []
    last = show(events, go_on=shlex.join(words))
    return answer(last, out, json=json)


@app.command
def report(
    run: Annotated[Path, Parameter(help="A run folder, or that of `evaluate --out`.")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="The HTML file to write; else report.html in the folder.")
    ] = None,
) -> int:
    """Write one self-contained HTML page on a run."""
    from atrous.report import report as reported

    print(reported(run, out=out))
    return 0


@app.command
def info(
    run_or_file: Annotated[Path, Parameter(help="A run folder, weights or exported file.")],
    /,
    *,
    size: PictureSize = None,
    manifest: Manifest = None,
    json: Json = False,
) -> int:
    """Say what a run or a file holds, and what its network sees."""
    from atrous.cli.networks import network_of, size_of
    from atrous.cli.tables import info_table
    from atrous.exported import is_exported
    from atrous.recipe import from_tables
    from atrous.recipe.postprocessing import plain_steps
    from atrous.runs import read_model, steps_of, weights_file

    if is_exported(run_or_file):
        return exporting.describe(run_or_file, manifest, json=json)
    path = weights_file(run_or_file)
    weights = read_model(path)
    steps = steps_of(path, from_tables(weights.about["recipe"], where=str(path)))
    facts = {"file": str(path), "digest": weights.digest, **weights.about}
    facts["postprocess"] = plain_steps(steps)
    network = network_of(facts, size_of(size) if size else None)
    print(as_json(facts | {"network": network}) if json else info_table(facts, network))
    return 0


@app.command(name="import-weights")
def import_weights(
    file: Annotated[Path, Parameter(help="A state dict: .pth, .pt or .safetensors.")],
    /,
    *,
    origin: Annotated[
        str, Parameter(name="--from", help="torchvision, smp, pytorch-fcn or deeplab-pytorch.")
    ],
    out: Annotated[Path, Parameter(help="The run folder to make.")],
    data: Annotated[
        Path | None, Parameter(help="Its data set, whose classes the weights then know.")
    ] = None,
    json: Json = False,
) -> int:
    """Make a run of the weights of another project; it gives the same logits."""
    from atrous.cli.tables import imported_table
    from atrous.models.published import import_weights as imported

    facts = imported(file, origin=origin, out=out, data=data).to_dict()
    for note in facts["notes"]:
        say(note)
    print(as_json(facts) if json else imported_table(facts))
    say(f"Go on with: atrous predict {shlex.quote(str(out))} IMAGES --out MASKS")
    return 0


@app.command
def models(
    name: Annotated[str | None, Parameter(help="One of them, in detail.")] = None,
    /,
    *,
    encoder: Annotated[str | None, Parameter(help="On this encoder.")] = None,
    size: PictureSize = None,
    config: Config = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """List the models that can be trained, or say what one of them sees."""
    from atrous.cli.networks import NUM_CLASSES, SIZE, network_rows, networks, size_of
    from atrous.cli.tables import aligned, models_table
    from atrous.recipe import make_recipe

    picture = size_of(size) if size else None
    if name or encoder or config or set:
        flags = {"model.name": name, "model.encoder": encoder}
        recipe = make_recipe(config=config, flags=flags, sets=set)
        rows = network_rows(recipe, NUM_CLASSES, picture)
        print(as_json(rows) if json else aligned(rows))
        return 0
    listed = networks(picture or SIZE)
    print(as_json([n._asdict() for n in listed]) if json else models_table(listed, picture or SIZE))
    return 0


@recipe_app.command
def show(
    run: Annotated[Path | None, Parameter(help="A run folder: its recipe.")] = None,
    /,
    *,
    config: Config = None,
    set: Sets = (),
    json: Json = False,
) -> int:
    """Print every option with its value and its sentence, as TOML."""
    from atrous.recipe import make_recipe, to_toml
    from atrous.runs import RunFolder

    if run and not RunFolder(run).is_run:
        raise RunError(
            run,
            found="holds no recipe.toml",
            allowed="a run folder holds one",
            fix="Leave it out to see the defaults.",
        )
    recipe = make_recipe(config=RunFolder(run).recipe if run else config, sets=set)
    print(as_json(recipe.model_dump()) if json else to_toml(recipe), end="")
    return 0


def outside_cause(error: Exception) -> str | None:
    """What to say of a missing package or a disk that refuses; None if the fault is ours."""
    match error:
        case ModuleNotFoundError(name="torch" | "timm" | "torchvision"):
            return (
                f"{error.name}: is not installed, but training and PyTorch models need it. "
                "`pip install 'atrous[train]'` brings it."
            )
        case OSError(errno=errno.ENOSPC | errno.EACCES | errno.EPERM | errno.EROFS):
            return (
                f"{error.filename or 'the disk'}: refuses ({error.strerror}), but files must be "
                "read and written there. Make room or get permission, or choose another folder."
            )
    return None
