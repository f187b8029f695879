"""`dense_crf` in plain NumPy, with the kernels themselves: every pixel by every pixel."""

import numpy as np
from jaxtyping import Float64

from atrous.predict.crf.checks import Guide, Normalization, Probabilities, Weight
from atrous.predict.crf.inference import LEAST


def dense_crf_reference(
    image: Guide,
    probs: Probabilities,
    *,
    gaussian_sxy: float = 3.0,
    gaussian_weight: Weight = 3.0,
    bilateral_sxy: float = 67.0,
    bilateral_srgb: float = 3.0,
    bilateral_weight: Weight = 4.0,
    iterations: int = 10,
    normalization: Normalization = "symmetric",
) -> Float64[np.ndarray, "K H W"]:
    """What `dense_crf` approximates; for pictures of a few thousand pixels."""
    labels, height, width = probs.shape
    y, x = np.mgrid[:height, :width].reshape(2, -1, 1).astype(np.float64)
    place = np.concatenate([x, y], axis=1)
    colour = image.reshape(height * width, -1).astype(np.float64) / bilateral_srgb
    features = place / gaussian_sxy, np.concatenate([place / bilateral_sxy, colour], axis=1)
    kernels = [normalised(gaussian(each), normalization) for each in features]
    costs = [cost(weight, labels) for weight in (gaussian_weight, bilateral_weight)]
    logits = np.log(np.maximum(probs.reshape(labels, -1).astype(np.float64), LEAST))
    q = soft_max(logits)
    for _ in range(iterations):
        q = soft_max(logits - sum(c @ q @ k.T for c, k in zip(costs, kernels, strict=True)))
    return q.reshape(probs.shape)


def gaussian(features: Float64[np.ndarray, "N D"]) -> Float64[np.ndarray, "N N"]:
    """The kernel of each pair of pixels, a pixel with itself among them."""
    squares = (features**2).sum(1)
    distances = squares[:, None] + squares - 2 * features @ features.T
    return np.exp(-0.5 * np.maximum(distances, 0))


def normalised(
    kernel: Float64[np.ndarray, "N N"], how: Normalization
) -> Float64[np.ndarray, "N N"]:
    """Divided by its sums."""
    whole = kernel.sum(1)
    match how:
        case "symmetric":
            return kernel / np.sqrt(np.outer(whole, whole))
        case "before":
            return kernel / whole
        case "after":
            return kernel / whole[:, None]
        case "none":
            return kernel


def cost(weight: Weight, labels: int) -> Float64[np.ndarray, "K K"]:
    """The cost of each pair of labels."""
    values = np.asarray(weight, np.float64)
    return values if values.ndim == 2 else -np.diag(np.broadcast_to(values, labels))


def soft_max(logits: Float64[np.ndarray, "K N"]) -> Float64[np.ndarray, "K N"]:
    """The probabilities of the logits."""
    weights = np.exp(logits - logits.max(0))
    return weights / weights.sum(0)
