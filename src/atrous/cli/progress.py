"""How far a command is with many pictures: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.text import Text

SLOW = 0.5  # of what is not as many as pictures, a second
PLAIN_SECONDS = 20.0  # between two lines where there is no terminal


class Progress:
    """Shows pictures (or others) done, their rate and the time left; lines go above the bar."""

    def __init__(self, verb: str, console: Console | None = None, *, unit: str = "images") -> None:
        self.verb, self.unit, self.console = verb, unit, console or Console(stderr=True)
        self.bar = Bar(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            Rate(),
            TimeLeft(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.spoke, self.said = 0.0, 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def line(self, text: str) -> None:
        """A line above the bar; from any thread."""
        self.bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def track(self, items: Sequence[Any]) -> Iterator[Any]:
        """The items; each counts as done when the next is asked for."""
        return self._follow(items, [1.0] * len(items), self.verb, self.unit)

    def watch(self, regions: Sequence[Any]) -> Iterator[Any]:
        """The regions of a raster, which count by their millions of pixels."""
        return self._follow(regions, [r.pixels / 1e6 for r in regions], "megapixels", "Mpx")

    def follow(self, frames: Sequence[Any]) -> Iterator[Any]:
        """The frames of a video."""
        return self._follow(frames, [1.0] * len(frames), "frames", "frames")

    def _follow(
        self, items: Sequence[Any], worth: Sequence[float], what: str, unit: str
    ) -> Iterator[Any]:
        total, done = sum(worth), 0.0
        task = self.bar.add_task(what, total=round(total), unit=unit)
        self.bar.start()
        self.spoke, self.said = time.monotonic(), 0.0
        for item, more in zip(items, worth, strict=True):
            yield item
            done += more
            self.bar.update(task, completed=round(done))
            if not self.console.is_terminal and time.monotonic() - self.spoke > PLAIN_SECONDS:
                self._speak(what, done, total, unit)
        self.bar.stop()

    def _speak(self, what: str, done: float, total: float, unit: str) -> None:
        """A plain line; the rate is that since the last one, for what is finished goes fast."""
        now = time.monotonic()
        rate = (done - self.said) / (now - self.spoke)
        self.spoke, self.said = now, done
        left = duration((total - done) / rate)
        self.line(f"{what} {done:.0f}/{total:.0f}  {paced(rate, unit)}  {left} left")


class Rate(ProgressColumn):
    """How fast it goes, of late."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(paced(speed, task.fields["unit"]) if speed else "")


def paced(rate: float, unit: str) -> str:
    """A rate as a person says it.

    Example:
        >>> paced(2.5, "images"), paced(0.125, "trials")
        ('2.5 images/s', '8.0 s a trial')
    """
    slow = rate < SLOW and unit not in ("images", "Mpx", "frames")
    return f"{1 / rate:.1f} s a {unit.removesuffix('s')}" if slow else f"{rate:.1f} {unit}/s"


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    Example:
        >>> duration(95), duration(7300)
        ('1 min 35 s', '2 h 1 min')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
