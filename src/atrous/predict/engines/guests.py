"""Pictures in the form that a graph takes, its logits in ours.

A fixed size, the order of axes and bands, and normalisation come from the manifest.
"""

import numpy as np
from jaxtyping import Float32, Shaped

from atrous.data.images import resized
from atrous.exported import Manifest
from atrous.predict.engines import Runtime
from atrous.types import Images

LEAST = 1e-7  # of a probability: the logits of 0 and 1 are finite


def answer(
    runtime: Runtime,
    manifest: Manifest,
    images: Images,
    pooled: Float32[np.ndarray, "1 C 1 1"] | None = None,
    *,
    part: bool = False,
) -> Shaped[np.ndarray, "..."]:
    """What a graph gives for pictures, as logits `B K h w`; one by one where their form changes.

    `pooled` stands for what image pooling would see; of a `part` of a picture nothing is kept.
    """
    if manifest.is_plain:
        return heard(runtime(np.ascontiguousarray(images), pooled, part=part), manifest)
    given = [runtime(shown(image[None], manifest), part=part) for image in images]
    return np.concatenate([heard(one, manifest) for one in given])


def shown(images: Images, manifest: Manifest) -> Shaped[np.ndarray, "..."]:
    """Pictures as the graph takes them; in float32 where they are normalised for it."""
    if manifest.size:
        images = np.stack([resized(image, manifest.size) for image in images])
    if manifest.band_order == "BGR":
        images = images[..., ::-1]
    if not manifest.normalises:
        mean, std = np.array([manifest.mean, manifest.std], np.float32)
        images = (images.astype(np.float32) - mean) / std
    if manifest.layout == "NCHW":
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return np.ascontiguousarray(images)


def heard(given: Shaped[np.ndarray, "..."], manifest: Manifest) -> Shaped[np.ndarray, "..."]:
    """What the graph gives as logits `B K h w`, if it is that at all.

    Classes on the last axis are moved; probabilities become the logits that they come from.
    Where the classes could be on either axis, a graph that takes bands last has them last; but
    not a plain one, for ours take bands last and give classes first.
    """
    k = manifest.classes.num_logits
    last = manifest.layout == "NHWC" and not manifest.is_plain
    if given.ndim == 4 and given.shape[3] == k and (last or given.shape[1] != k):
        given = given.transpose(0, 3, 1, 2)
    if not manifest.probabilities:
        return given
    probs = np.clip(given.astype(np.float32), LEAST, 1 - LEAST)
    if manifest.classes.task == "multiclass":  # a soft-max, whose logits have no zero
        return np.log(probs)
    return np.log(probs) - np.log1p(-probs)
