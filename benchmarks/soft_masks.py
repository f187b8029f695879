"""Probabilities as a network of a coarse stride would give them, made of a mask: no training."""

import numpy as np
from PIL import Image as pil
from PIL import ImageFilter

SURE, UNSURE = 6.0, 1.5  # logits: of the right class, of smooth noise
BLUR, LUMPS = 6.0, 24  # pixels that borders are blurred by; lumps of noise across a picture


def soft_mask(mask: np.ndarray, num_classes: int, *, seed: int, blur: float = BLUR) -> np.ndarray:
    """Probabilities `K H W`, float32: right in the large, blurred at borders, wrong in lumps."""
    random = np.random.default_rng(seed)
    logits = np.stack([UNSURE * _smooth(random, mask.shape) for _ in range(num_classes)])
    for label in range(num_classes):
        region = pil.fromarray((mask == label).astype(np.uint8) * 255)
        there = np.asarray(region.filter(ImageFilter.GaussianBlur(blur)), np.float32) / 255
        logits[label] += SURE * there
    weights = np.exp(logits - logits.max(0))
    return weights / weights.sum(0)


def _smooth(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal noise in lumps."""
    height, width = shape
    noise = random.normal(size=(LUMPS * 3 // 4, LUMPS)).astype(np.float32)
    return np.asarray(pil.fromarray(noise).resize((width, height), pil.Resampling.BICUBIC))
