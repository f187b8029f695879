"""Grid logits -> mask, patch by patch: the pixels between four neighbouring cells at once.

A bilinear value lies between those of its four cells. So a class that wins at all four wins the
whole patch, and nothing is interpolated there; elsewhere only its rivals are: the classes whose
largest of four logits reaches the best of the smallest. Gap g of an axis lies between cells g - 1
and g; in the first and the last gap, beyond the grid, both sides are the cell at the edge.

The numbers are float32, rounded as in the reference: what is said of sums of products holds for
rounded ones too where nothing is closer than SLACK. Loops over classes have cells inside, side by
side in memory, for the sake of vector instructions; sums with ZERO keep LLVM from masked
stores, which take AMD's processors ten times longer.
"""

import numpy as np

from atrous.kernels.compiled import compiled

LARGEST = np.float32(2.0**126)  # four of them add up without overflow, and so do differences
_SLACK = np.float32(2.0**-20)  # 8 roundings of float32; an interpolation has 4 on each side
_TINY = np.float32(2.0**-100)  # below it SLACK may underflow
_LANES = 16  # patches are interpolated in multiples of two vectors
_MOST = 128  # patches at once: what they need stays in the nearest cache
_UNSURE = np.int32(-1)
_ZERO, _ONE, _LOWEST = np.float32(0), np.float32(1), np.float32(-np.inf)


def _copy_row(logits, cell, values):
    """All classes at a row of cells, the edges doubled; False if one is NaN or over LARGEST."""
    classes, width = values.shape[0], values.shape[1] - 2
    odd = False
    for k in range(classes):
        for x in range(width):
            value = logits[k, cell, x]
            odd |= not abs(value) <= LARGEST
            values[k, x + 1] = value
        values[k, 0], values[k, width + 1] = values[k, 1], values[k, width]
    return not odd


def _winners(values, best, lower, answers):
    """The class with the largest logit at each cell, or UNSURE.

    A class that comes after the winner never wins between cells where it is not above it. One
    that comes before it would win a tie, so it must be lower by more than is lost in rounding.
    """
    size = best.size
    for x in range(size):
        best[x], lower[x], answers[x] = _LOWEST, _LOWEST, 0
    for k in range(values.shape[0]):
        label = np.int32(k)
        for x in range(size):
            value, old, under, winner = values[k, x], best[x] + _ZERO, lower[x] + _ZERO, answers[x]
            more = value > old
            lower[x] = old if more else under
            best[x] = value if more else old
            answers[x] = label if more else winner
    for x in range(size):
        if not best[x] - lower[x] > _SLACK * abs(best[x]) + _TINY:
            answers[x] = _UNSURE


def _signs(values, least, answers):
    """Bit k for a logit k above 0 at each cell, or UNSURE: one that may underflow to 0."""
    size = least.size
    for x in range(size):
        least[x], answers[x] = _ONE, 0
    for k in range(values.shape[0]):
        bit = np.int32(1) << np.int32(k)
        for x in range(size):
            value, old = values[k, x], least[x] + _ZERO
            above = value > _ZERO
            least[x] = value if above & (value < old) else old
            answers[x] |= bit if above else np.int32(0)
    for x in range(size):
        if least[x] < _TINY:
            answers[x] = _UNSURE


def _fill_decided(above, below, columns, begin, end, mask, mixed):
    """Fill the patches whose four cells agree; the others are `mixed`, unless they are empty."""
    for gap in range(columns.size - 1):
        answer, other = above[gap], below[gap]
        same = (answer == other) & (answer == above[gap + 1]) & (other == below[gap + 1])
        same &= answer != _UNSURE
        if same:
            for x in range(columns[gap], columns[gap + 1]):
                mask[begin, x] = answer
        mixed[gap] = not same and columns[gap] < columns[gap + 1]
    for y in range(begin + 1, end):
        for x in range(mask.shape[1]):
            mask[y, x] = mask[begin, x]


def _gather(above, below, places, size, corners):
    """The four cells of each patch, of every class."""
    for k in range(above.shape[0]):
        for i in range(size):
            x = places[i]
            corners[k, 0, i] = above[k, x]
            corners[k, 1, i] = above[k, x + 1]
            corners[k, 2, i] = below[k, x]
            corners[k, 3, i] = below[k, x + 1]


def _find_rivals(corners, size, several, bound, rivals):
    """The classes that may win in a patch (`several`: be above 0), ascending; their number."""
    classes = corners.shape[0]
    for i in range(size):
        bound[i] = _ZERO if several else _LOWEST
    if not several:
        for k in range(classes):
            for i in range(size):
                a, b, c, d = corners[k, 0, i], corners[k, 1, i], corners[k, 2, i], corners[k, 3, i]
                a = b if b < a else a
                c = d if d < c else c
                a = c if c < a else a
                old = bound[i] + _ZERO
                bound[i] = a if a > old else old
        for i in range(size):
            bound[i] -= _SLACK * abs(bound[i]) + _TINY
    count = 0
    for k in range(classes):
        reaches = False
        for i in range(size):
            a, b, c, d = corners[k, 0, i], corners[k, 1, i], corners[k, 2, i], corners[k, 3, i]
            a = b if b > a else a
            c = d if d > c else c
            a = c if c > a else a
            reaches |= a > bound[i]
        if reaches:
            rivals[count] = k
            count += 1
    return count


def _interpolate(corners, size, rivals, down, across, several, sides, best, answers):
    """The answers of one row of pixels: `phase, patch`, phases as in the table `across`."""
    phases = across.shape[0]
    for p in range(phases):
        for i in range(size):
            best[p, i], answers[p, i] = _LOWEST, 0
    for k in rivals:
        label, bit = np.int32(k), np.int32(1) << np.int32(k)
        for i in range(size):
            sides[0, i] = corners[k, 0, i] * (_ONE - down) + corners[k, 2, i] * down
            sides[1, i] = corners[k, 1, i] * (_ONE - down) + corners[k, 3, i] * down
        if several:
            for p in range(phases):
                for i in range(size):
                    value = sides[0, i] * (_ONE - across[p, i]) + sides[1, i] * across[p, i]
                    answers[p, i] |= bit if value > _ZERO else np.int32(0)
        else:
            for p in range(phases):
                for i in range(size):
                    value = sides[0, i] * (_ONE - across[p, i]) + sides[1, i] * across[p, i]
                    old, winner = best[p, i] + _ZERO, answers[p, i]
                    more = value > old
                    best[p, i] = value if more else old
                    answers[p, i] = label if more else winner


def _scatter(answers, places, count, columns, line):
    """Write them to their pixels; those that a held edge adds beyond the table equal the last."""
    last = answers.shape[0] - 1
    for i in range(count):
        begin, end = columns[places[i]], columns[places[i] + 1]
        for x in range(begin, end):
            line[x] = answers[min(x - begin, last), i]


def _fill_patches(logits, rows, down, columns, across, first, last, several, mask):
    """Decide the pixels of row gaps `first` to `last`; False if a logit is NaN or over LARGEST.

    `rows` and `columns` are the first pixel of each gap and the end. `down` is the weight of the
    lower cell at each row of pixels, `across` that of the right one: `phase, gap`, of the
    pixels of a gap in turn.
    """
    classes, height, width = logits.shape
    gaps, phases = width + 1, across.shape[0]
    values = np.empty((2, classes, width + 2), np.float32)  # of an even row of cells, an odd one
    answers = np.empty((2, width + 2), np.int32)
    spare = np.empty((2, width + 2), np.float32)
    mixed = np.empty(gaps, np.bool_)
    places, rivals = np.empty(_MOST, np.int64), np.empty(classes, np.int64)
    corners = np.empty((classes, 4, _MOST), np.float32)
    sides, weights = np.empty((2, _MOST), np.float32), np.empty((phases, _MOST), np.float32)
    best, between = np.empty((phases, _MOST), np.float32), np.empty((phases, _MOST), np.int32)
    fine = True
    for gap in range(first, last + 1):
        for cell in range(gap if gap > first else gap - 1, gap + 1):
            if 0 <= cell < height:
                slot = cell & 1
                fine &= _copy(logits, cell, values[slot])
                if several:
                    _note_signs(values[slot], spare[0], answers[slot])
                else:
                    _note_winners(values[slot], spare[0], spare[1], answers[slot])
        begin, end = rows[gap], rows[gap + 1]
        if begin == end:
            continue
        above, below = max(gap - 1, 0) & 1, min(gap, height - 1) & 1
        _fill(answers[above], answers[below], columns, begin, end, mask, mixed)
        at = 0
        while at < gaps:
            count = 0
            while at < gaps and count < _MOST:
                places[count] = at
                count += mixed[at]
                at += 1
            if count == 0:
                break
            size = (count + _LANES - 1) // _LANES * _LANES
            for i in range(count, size):
                places[i] = places[count - 1]
            for p in range(phases):
                for i in range(size):
                    weights[p, i] = across[p, places[i]]
            _collect(values[above], values[below], places, size, corners)
            reached = rivals[: _rivals(corners, size, several, sides[0], rivals)]
            for y in range(begin, end):
                _blend(corners, size, reached, down[y], weights, several, sides, best, between)
                _write(between, places, count, columns, mask[y])
    return fine


_copy = compiled(_copy_row)
_note_winners = compiled(_winners)
_note_signs = compiled(_signs)
_fill = compiled(_fill_decided)
_collect = compiled(_gather)
_rivals = compiled(_find_rivals)
_blend = compiled(_interpolate)
_write = compiled(_scatter)
fill_patches = compiled(_fill_patches)
