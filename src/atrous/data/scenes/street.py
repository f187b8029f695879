"""A street as plain values: what stands in it, before anything is painted.

Things stand at (s, z): `s` metres to the right of the road's centre line, `z` metres ahead.
"""

from dataclasses import dataclass

import numpy as np

from atrous.data.scenes.camera import Camera
from atrous.data.scenes.light import Colour, Light

FAR = 85.0  # metres; beyond it there is only the backdrop


@dataclass(frozen=True)
class Building:
    """A block along the street from z1 to z2, its front at `s`; heights and depth in metres."""

    s: float
    z1: float
    z2: float
    height: float
    depth: float
    roof: str  # flat, mansard, eaves (ridge along the street) or gable (ridge across it)
    wall: str  # plaster, brick, concrete, glass or boards
    colour: Colour
    trim: Colour
    roof_colour: Colour
    pitch: float  # metres between windows
    storey: float
    window: tuple[float, float]  # share of pitch and storey
    shop: bool
    end: bool  # whether the near end wall can be seen
    grain: int


@dataclass(frozen=True)
class Hedge:
    s: float
    z1: float
    z2: float
    height: float
    colour: Colour
    fence: bool
    grain: int


@dataclass(frozen=True)
class Tree:
    s: float
    z: float
    shape: str  # round, tall, cone or bush
    height: float
    radius: float
    colour: Colour
    grain: int


@dataclass(frozen=True)
class Car:
    s: float
    z: float
    heading: float  # radians; 0 drives away from the camera
    body: str  # hatch, saloon, estate or van
    colour: Colour
    parked: bool
    grain: int


@dataclass(frozen=True)
class Person:
    s: float
    z: float
    height: float
    pose: str  # front or side
    swing: float  # of the legs, -1 to 1
    skin: Colour
    top: Colour
    bottom: Colour
    hair: Colour
    coat: bool
    bag: bool


@dataclass(frozen=True)
class Sign:
    s: float
    z: float
    face: str  # limit, warning, parking, stop, arrow, lights, lamp, board or back
    height: float


@dataclass(frozen=True)
class Street:
    """One scene before it is painted."""

    kind: str
    camera: Camera
    light: Light
    half: float  # half the width of the road
    walk: float  # width of each pavement
    line: tuple[float, float, float]  # x of the centre line = line[0] + line[1] z + line[2] z^2
    markings: str  # dashed, solid, double or none
    crossing: float  # z of a zebra crossing, or 0
    green: bool  # grass, not stone, beyond the pavement
    bonnet: bool
    buildings: tuple[Building, ...]
    hedges: tuple[Hedge, ...]
    trees: tuple[Tree, ...]
    cars: tuple[Car, ...]
    people: tuple[Person, ...]
    signs: tuple[Sign, ...]
    grain: int

    def x(self, s: float, z: float) -> float:
        """Where (s, z) is to the right of the camera, in metres."""
        return s + self.line[0] + z * (self.line[1] + z * self.line[2])

    def ground(self, s: float, z: float) -> np.ndarray:
        """(s, z) on the ground as a point of the world."""
        return np.array([self.x(s, z), 0.0, z])
