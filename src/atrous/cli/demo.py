"""`atrous demo`: every step of the tool on the embedded set, one after the other."""

import shlex
from pathlib import Path

from atrous.cli import say, tracked
from atrous.cli.tables import scores_table
from atrous.cli.training import answer, show
from atrous.data.scenes import write_scenes
from atrous.evaluate import evaluate
from atrous.predict import predict
from atrous.report import report
from atrous.train import train_events
from atrous.train.events import Stopped

# The scenes are 320 x 240: a smaller crop and fewer steps than for photographs of streets.
DEMO = ("augment.crop=224", "train.steps=200", "train.validate_every=50")


def run_demo(out: Path) -> int:
    """Data, training, evaluation, prediction, report; goes on where it was interrupted."""
    say("1/5  street scenes, made by this program")
    data = write_scenes(out / "data", track=tracked("drawing", "scenes"))
    say(f"2/5  training: atrous train {data} --out {out / 'run'}")
    events = train_events(data, out=out / "run", sets=DEMO, resume=True)
    last = show(events, go_on=shlex.join(["atrous", "demo", "--out", str(out)]))
    if isinstance(last, Stopped):
        return answer(last, out, json=False)
    say(f"3/5  evaluating: atrous evaluate {out / 'run'} {data}")
    evaluation = evaluate(out / "run", data, track=tracked("evaluating", "pictures"))
    print(scores_table(evaluation))
    say(f"4/5  predicting: atrous predict {out / 'run'} {data / 'val/images'} --overlay")
    images = [data / "val" / "images"]
    masks, _ = predict(out / "run", images, out=out / "masks", overlay=True)
    say(f"     {len(masks)} masks and overlays in {out / 'masks'}")
    say(f"5/5  report: atrous report {out / 'run'}")
    print(f"val mIoU {evaluation.scores.miou:.4f}")
    print(f"report   {report(out / 'run').resolve()}")
    return 0
