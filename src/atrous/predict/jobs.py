"""What may be made of a picture, a raster or a video, and under which names."""

import posixpath
from itertools import compress
from pathlib import Path
from typing import NamedTuple

FRAMES = "frames.csv"  # beside the masks of a video: the number and the time of each


class Wanted(NamedTuple):
    """What is written of a picture beside its mask."""

    overlay: bool = False
    probabilities: bool = False
    confidence: bool = False


MASKS = Wanted()  # nothing else


class Job(NamedTuple):
    """A picture and the files that may be made of it in `out`; of a multilabel mask its planes.

    `name` is the picture's path below what was given, with `/`. What is made of a raster are
    GeoTIFFs, and `polygons` in a file of that suffix; of a video there is a folder of masks, and
    in it a table of `FRAMES`.
    """

    image: Path
    name: str
    out: Path
    plane_names: tuple[str, ...] = ()
    is_raster: bool = False
    address: str = ""
    """Of a raster on another machine."""
    polygons: str = ""
    is_video: bool = False

    @property
    def is_walked(self) -> bool:
        """Whether it is worked at part by part, and no other job meanwhile."""
        return self.is_raster or self.is_video

    @property
    def stem(self) -> str:
        """The name of what is made of it, without suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def mask(self) -> Path:
        """The mask, which may be a folder: of planes, or of a video's frames."""
        if self.is_raster:
            return self.out / f"{self.stem}.tif"
        if self.is_video:
            return self.out / self.stem
        return self.out / (self.stem if self.plane_names else f"{self.stem}.png")

    @property
    def planes(self) -> tuple[Path, ...]:
        return tuple(self.mask / f"{name}.png" for name in self.plane_names)

    @property
    def overlay(self) -> Path:
        return self.out / f"overlay/{self.stem}.{'mp4' if self.is_video else 'jpg'}"

    @property
    def probabilities(self) -> Path:
        return self.out / f"probabilities/{self.stem}.npy"

    @property
    def confidence(self) -> Path:
        return self.out / f"confidence/{self.stem}.{'tif' if self.is_raster else 'png'}"

    @property
    def folders(self) -> list[str]:
        """Folders below `out` that hold nothing else."""
        if self.is_video:
            return [self.stem, f"confidence/{self.stem}", f"probabilities/{self.stem}"]
        return [self.stem] if self.plane_names else []

    def frame(self, index: int) -> "Job":
        """A frame of a video, as a picture."""
        return Job(self.image, f"{self.stem}/{index:06d}.png", self.out, self.plane_names)

    def targets(self, wanted: Wanted) -> list[str]:
        """The files that make it finished, below `out`; of a video those of its first frame."""
        stem = self.stem
        if self.is_raster:
            shapes = [f"{stem}.{self.polygons}"] if self.polygons else []
            sure = [f"confidence/{stem}.tif"] if wanted.confidence else []
            return [f"{stem}.tif", *sure, *shapes]
        if self.is_video:
            first = self.frame(0).targets(wanted._replace(overlay=False))
            return [f"{stem}/{FRAMES}", *first, *[f"overlay/{stem}.mp4"] * wanted.overlay]
        planes = [f"{stem}/{name}.png" for name in self.plane_names]
        beside = (f"overlay/{stem}.jpg", f"probabilities/{stem}.npy", f"confidence/{stem}.png")
        return [*(planes or [f"{stem}.png"]), *compress(beside, wanted)]

    def files(self, wanted: Wanted) -> list[Path]:
        """The files that make it finished."""
        return [self.out / target for target in self.targets(wanted)]
