"""How alike two small pictures are where they overlap, the one laid over the other moved."""

import numpy as np
from jaxtyping import Float32, Int64

from atrous.kernels.compiled import compiled, in_strips


def overlaps(
    details: Float32[np.ndarray, "N S S"],
    pairs: Int64[np.ndarray, "M 2"],
    moves: Int64[np.ndarray, "D 2"],
    *,
    threads: int = 0,
) -> Float32[np.ndarray, "M D"]:
    """The correlation of the overlap of each pair for each move (rows, columns) of the second.

    Moved by (1, 0), row 0 of the second lies on row 1 of the first. Correlation is about 0, not
    about the mean: `details` have none. An overlap without contrast has the correlation 0.
    """
    scores = np.empty((len(pairs), len(moves)), np.float32)

    def strip(first: int, end: int) -> None:
        _score(details, pairs[first:end], moves, scores[first:end])

    in_strips(strip, len(pairs), threads=threads)
    return scores


def overlaps_reference(
    details: Float32[np.ndarray, "N S S"],
    pairs: Int64[np.ndarray, "M 2"],
    moves: Int64[np.ndarray, "D 2"],
) -> Float32[np.ndarray, "M D"]:
    """`overlaps` in plain NumPy."""
    side = details.shape[1]
    scores = np.zeros((len(pairs), len(moves)), np.float32)
    for m, (a, b) in enumerate(pairs):
        for d, (down, right) in enumerate(moves):
            one = details[a][
                max(down, 0) : side + min(down, 0), max(right, 0) : side + min(right, 0)
            ]
            two = details[b][max(-down, 0) :, max(-right, 0) :][: one.shape[0], : one.shape[1]]
            length = np.sqrt(np.square(one).sum() * np.square(two).sum())
            scores[m, d] = (one * two).sum() / length if length > 0 else 0
    return scores


def best_columns(
    scores: Float32[np.ndarray, "A B"], *, count: int, floor: float
) -> Int64[np.ndarray, "A C"]:
    """The columns of the `count` largest scores of each row that reach `floor`, unordered; or -1.

    Example:
        >>> best_columns(np.float32([[0.1, 0.9, 0.5]]), count=2, floor=0.7)
        array([[ 1, -1]])
    """
    columns = np.full((len(scores), count), -1)
    _select(scores, np.float32(floor), columns)
    return columns


def _score_moves(details, pairs, moves, scores):
    side = details.shape[1]
    for m in range(pairs.shape[0]):
        one, two = details[pairs[m, 0]], details[pairs[m, 1]]
        for d in range(moves.shape[0]):
            down, right = moves[d]
            first, end = max(right, 0), side + min(right, 0)
            product, here, there = np.float32(0), np.float32(0), np.float32(0)
            for y in range(max(down, 0), side + min(down, 0)):
                a, b = one[y, first:end], two[y - down, first - right : end - right]
                for x in range(end - first):
                    product += a[x] * b[x]
                    here += a[x] * a[x]
                    there += b[x] * b[x]
            length = np.sqrt(here * there)
            scores[m, d] = product / length if length > 0 else 0


def _select_columns(scores, floor, columns):
    count = columns.shape[1]
    for row in range(scores.shape[0]):
        least, worst = floor, 0  # what a score must reach, and whose place it then takes
        for column in range(scores.shape[1]):
            if scores[row, column] < least:
                continue
            columns[row, worst] = column
            least = np.float32(np.inf)
            for k in range(count):
                known = columns[row, k]
                if known < 0:
                    least, worst = floor, k
                    break
                if scores[row, known] < least:
                    least, worst = scores[row, known], k


_score = compiled(_score_moves)
_select = compiled(_select_columns)
