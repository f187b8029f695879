"""One scene from its two numbers: plan the street, paint from far to near, develop."""

from collections.abc import Callable

import numpy as np

from atrous.data.scenes import lens, noise
from atrous.data.scenes.canvas import Canvas
from atrous.data.scenes.cars import paint_car
from atrous.data.scenes.facades import paint_building, paint_hedge
from atrous.data.scenes.ground import paint_ground
from atrous.data.scenes.layout import street
from atrous.data.scenes.people import paint_person
from atrous.data.scenes.signs import paint_sign
from atrous.data.scenes.sky import paint_backdrop, paint_sky
from atrous.data.scenes.street import Street
from atrous.data.scenes.trees import paint_tree

SIZE = (240, 320)  # height, width
_BEHIND = 8.0  # metres that a garden's trees are put back, so that its hedge is painted after them


def _things(canvas: Canvas, plan: Street) -> list[tuple[float, Callable[[], None]]]:
    """Everything that stands, with its distance (a row of houses counts from its far end)."""
    kerb = plan.half + plan.walk
    return [
        *((b.z2, lambda b=b: paint_building(canvas, plan, b)) for b in plan.buildings),
        *((h.z2, lambda h=h: paint_hedge(canvas, plan, h)) for h in plan.hedges),
        *(
            (t.z + _BEHIND * (abs(t.s) > kerb), lambda t=t: paint_tree(canvas, plan, t))
            for t in plan.trees
        ),
        *((c.z, lambda c=c: paint_car(canvas, plan, c)) for c in plan.cars),
        *((p.z, lambda p=p: paint_person(canvas, plan, p)) for p in plan.people),
        *((s.z, lambda s=s: paint_sign(canvas, plan, s)) for s in plan.signs),
    ]


def scene(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture (uint8, 240 x 320 x 3) and mask (uint8, 240 x 320: class indices, 255 = void).

    A pure function of its two numbers, each from 0 to 2**64 - 1: scenes can be made in any order.
    """
    plan = street(noise.generator(seed, index), SIZE)
    canvas = Canvas(plan.camera, plan.light)
    paint_sky(canvas, plan)
    paint_backdrop(canvas, plan)
    paint_ground(canvas, plan)
    for _, paint in sorted(_things(canvas, plan), key=lambda thing: -thing[0]):
        paint()
    if plan.bonnet:
        lens.paint_bonnet(canvas, plan)
    image = lens.develop(
        lens.reduce_image(canvas.image), noise.generator(seed, index, 1), plan.light.hour
    )
    return image, lens.void_borders(lens.reduce_mask(canvas.mask), plan.grain)
