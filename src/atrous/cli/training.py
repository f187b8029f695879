"""Training as a person sees it: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from json import loads
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from atrous.cli.progress import PLAIN_SECONDS, duration
from atrous.cli.speaking import as_json
from atrous.runs import RunFolder
from atrous.train.events import Event, Finished, Note, Started, Stepped, Stopped, Validated


def show(
    events: Iterator[Event], *, go_on: str, console: Console | None = None
) -> Finished | Stopped:
    """Show a training as it happens; returns how it ended. `go_on` is the command to resume."""
    with Display(console or Console(stderr=True)) as display:
        for event in events:
            match event:
                case Note(text):
                    display.line(text)
                case Started():
                    display.start(event)
                case Stepped():
                    display.step(event)
                case Validated():
                    display.validated(event)
                case Stopped():
                    text = f"Stopped at step {event.step}; the checkpoint is written. Go on with:"
                    display.line(f"{text}\n  {go_on}")
                    return event
                case Finished():
                    return event
    raise AssertionError("a training ends in Finished or Stopped")


def answer(last: Finished | Stopped, out: Path, *, json: bool) -> int:
    """What a training leaves on stdout; returns the exit code."""
    if isinstance(last, Stopped):
        return 128 + last.signal
    scores = loads(RunFolder(out).scores.read_text(encoding="utf-8"))
    if json:
        print(as_json({"out": str(out), "scores": scores}))
    else:
        print(f"val mIoU {scores['mIoU']:.4f}  {out}")
    return 0


class Display:
    """Shows events: a bar with loss, rate, speed, time left and val mIoU, or plain lines."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=None)
        self.miou, self.spoke, self.loss = "", time.monotonic(), 0.0
        self.first, self.steps, self.began = 0, 0, time.monotonic()

    def __enter__(self) -> "Display":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.bar.stop()

    def line(self, text: str) -> None:
        """A line above the bar."""
        self.bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def start(self, event: Started) -> None:
        """Say how long it will take."""
        self.bar.update(self.task, total=event.steps, completed=event.step)
        self.first, self.steps, self.began = event.step, event.steps, time.monotonic()
        left = event.steps - event.step
        self.line(f"Time: {left} steps, about {duration(event.seconds)} on this machine.")

    def step(self, event: Stepped) -> None:
        """Move the bar; speak up now and then where there is none."""
        loss = event.update.loss
        self.loss = 0.9 * self.loss + 0.1 * loss if event.step > 1 and self.loss else loss
        text = (
            f"loss {self.loss:.3f}  lr {event.lr:.1e}  {event.images_per_s:.1f} images/s{self.miou}"
        )
        self.bar.update(self.task, completed=event.step, description=text)
        if not event.update.made:
            self.line(f"step {event.step}: left out (no finite gradient, or no labelled pixel)")
        if not self.console.is_terminal and time.monotonic() - self.spoke > PLAIN_SECONDS:
            self.spoke = time.monotonic()
            left = (
                (time.monotonic() - self.began)
                / (event.step - self.first)
                * (self.steps - event.step)
            )
            self.line(f"step {event.step}/{self.steps}  {text}  {duration(left)} left")

    def validated(self, event: Validated) -> None:
        """A line for each validation."""
        scores = event.evaluation.scores
        self.miou = f"  val mIoU {scores.miou:.3f}"
        self.line(
            f"step {event.step}  loss {self.loss:.3f}  val mIoU {scores.miou:.4f}"
            f"  pixel accuracy {scores.pixel_accuracy:.4f}{'  best so far' if event.best else ''}"
        )
