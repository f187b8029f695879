"""A Gaussian filter on a permutohedral lattice: splat, blur, slice.

Values are `N L` or `N`: L labels side by side, the lanes of vector instructions, or one alone.
Each point sums its own pixels, in their order, and each chain is blurred in place: no two threads
write the same number, so their number changes no result. In 5 dimensions most chains are
short, and a point without a neighbour along an axis costs nothing.

The inner loops are plain and run over all lanes of two or three rows at once: LLVM makes vector
code of them, and pays for its test that rows do not overlap once in three rows.
"""

import numpy as np
from jaxtyping import Float32

from atrous.kernels.compiled import compiled, in_strips
from atrous.kernels.lattice import GROUP, Chains, Kernel, Lattice

_ALONE = 1 << 16  # numbers; fewer take less time than a second thread costs
_HALF, _ZERO = np.float32(0.5), np.float32(0)


def spread(
    kernel: Kernel,
    rows: Float32[np.ndarray, "N *L"],
    values: Float32[np.ndarray, "M *L"],
    *,
    threads: int,
) -> None:
    """Fill the `values` of a kernel's points with those of the pixels, blurred along each axis."""
    splat, blur = (_splat_rows, _blur_rows) if rows.ndim == 2 else (_splat, _blur)

    def lay(first: int, end: int) -> None:
        splat(kernel.starts, kernel.pixels, kernel.shares, rows, first, end, values)

    in_strips(lay, len(values), threads=threads)
    alone = values.size < _ALONE
    for chains in kernel.chains:

        def mix(first: int, end: int, chains: Chains = chains) -> None:
            blur(chains.points, chains.starts, first, end, values)

        in_strips(mix, len(chains.starts) - 1, threads=1 if alone else threads)


def filtered(
    lattice: Lattice, kernel: Kernel, rows: Float32[np.ndarray, " N"], *, threads: int = 0
) -> Float32[np.ndarray, " N"]:
    """The sum of all pixels' values, each times the kernel: about exp(-distance ** 2 / 2).

    The scale is the lattice's own: a factor that is the same everywhere, near 1.
    """
    values = np.empty(lattice.size, np.float32)
    spread(kernel, rows, values[kernel.first : kernel.end], threads=threads)
    out = np.empty(len(rows), np.float32)

    def read(first: int, end: int) -> None:
        columns = kernel.columns.start, kernel.columns.stop
        _slice(lattice.corners, lattice.weights, *columns, values, first, end, out)

    in_strips(read, len(rows), threads=threads)
    return out


def scale(
    lattice: Lattice,
    kernel: Kernel,
    *,
    before: Float32[np.ndarray, " N"],
    after: Float32[np.ndarray, " N"],
    threads: int = 0,
) -> None:
    """Multiply what each pixel gives to a kernel and what it reads of it, from now on."""

    def give(first: int, end: int) -> None:
        _give(kernel.shares, kernel.pixels, before, first, end)

    def read(first: int, end: int) -> None:
        lattice.weights[first:end, kernel.columns] *= after[first:end, None]

    in_strips(give, len(kernel.shares), threads=threads)
    in_strips(read, len(after), threads=threads)


def _splat_lanes(starts, pixels, shares, rows, first, end, values):
    """The sum of the pixels that lie on each point from `first` to `end`."""
    lanes = values.shape[1]
    for point in range(first, end):
        e = starts[point]
        a, b, c = pixels[e], pixels[e + 1], pixels[e + 2]
        on_a, on_b, on_c = shares[e], shares[e + 1], shares[e + 2]
        for k in range(lanes):
            values[point, k] = on_a * rows[a, k] + on_b * rows[b, k] + on_c * rows[c, k]
        for e in range(starts[point] + GROUP, starts[point + 1], GROUP):
            a, b, c = pixels[e], pixels[e + 1], pixels[e + 2]
            on_a, on_b, on_c = shares[e], shares[e + 1], shares[e + 2]
            for k in range(lanes):
                values[point, k] += on_a * rows[a, k] + on_b * rows[b, k] + on_c * rows[c, k]


def _splat_one(starts, pixels, shares, rows, first, end, values):
    """`_splat_lanes` of a single label."""
    for point in range(first, end):
        total = _ZERO
        for e in range(starts[point], starts[point + 1], GROUP):
            a, b, c = pixels[e], pixels[e + 1], pixels[e + 2]
            total += shares[e] * rows[a] + shares[e + 1] * rows[b] + shares[e + 2] * rows[c]
        values[point] = total


def _blur_lanes(points, starts, first, end, values):
    """Add to each point half of both its neighbours' old values, in chains `first` to `end`."""
    lanes = values.shape[1]
    old = np.empty(lanes, np.float32)
    for chain in range(first, end):
        begin, last = starts[chain], starts[chain + 1] - 1
        a, b = points[begin], points[begin + 1]
        if last == begin + 1:  # most are pairs
            for k in range(lanes):
                value, other = values[a, k], values[b, k]
                values[a, k] = value + _HALF * other
                values[b, k] = other + _HALF * value
            continue
        for k in range(lanes):
            old[k] = values[a, k]
            values[a, k] += _HALF * values[b, k]
        for i in range(begin + 1, last):
            a, b = points[i], points[i + 1]
            for k in range(lanes):
                value = values[a, k]
                values[a, k] = value + _HALF * (old[k] + values[b, k])
                old[k] = value
        for k in range(lanes):
            values[b, k] += _HALF * old[k]


def _blur_one(points, starts, first, end, values):
    """`_blur_lanes` of a single label."""
    for chain in range(first, end):
        old, value = _ZERO, values[points[starts[chain]]]
        for i in range(starts[chain], starts[chain + 1] - 1):
            after = values[points[i + 1]]
            values[points[i]] = value + _HALF * (old + after)
            old, value = value, after
        values[points[starts[chain + 1] - 1]] = value + _HALF * old


def _scale_shares(shares, pixels, before, first, end):
    for e in range(first, end):
        shares[e] *= before[pixels[e]]


def _slice_one(corners, weights, column, stop, values, first, end, out):
    """What lies at each pixel from `first` to `end`, of a single label."""
    for pixel in range(first, end):
        total = _ZERO
        for r in range(column, stop):
            total += weights[pixel, r] * values[corners[pixel, r]]
        out[pixel] = total


_splat_rows = compiled(_splat_lanes)
_splat = compiled(_splat_one)
_blur_rows = compiled(_blur_lanes)
_blur = compiled(_blur_one)
_slice = compiled(_slice_one)
_give = compiled(_scale_shares)
