"""Hashes of 64 bits that differ in few: found by the 16-bit parts in which they differ little."""

import numpy as np
from jaxtyping import Float32, Int8, Int16, Int32, Int64, UInt64

from atrous.kernels.compiled import compiled, in_strips

RADIUS = 7  # bits; of 4 parts, at least one then differs in 1 bit or none
_PARTS = 4
_LOOKED_AT = 256  # pairs a picture that are compared by more than their hash


def earlier_twins(
    hashes: UInt64[np.ndarray, "N V"],
    vectors: Int8[np.ndarray, "N M"] | Int16[np.ndarray, "N M"],
    *,
    places: Int64[np.ndarray, "V M"],
    signs: Int16[np.ndarray, "V M"],
    groups: Int64[np.ndarray, " N"],
    floor: float,
    threads: int = 0,
) -> tuple[Int64[np.ndarray, "N 2"], Int8[np.ndarray, "N 2"], Float32[np.ndarray, "N 2"]]:
    """Of each item the best earlier one, its variant and the likeness: own group, other groups.

    Item j in its variant v has the hash `hashes[j, v]` and the vector `signs[v] *
    vectors[j, places[v]]`. An earlier item comes into question where a hash of it differs from
    `hashes[i, 0]` in at most 7 bits and the product of the vectors is at least `floor`; the
    largest product is the best, of equal ones the first variant of the first item. -1 where
    there is none. Only the first 256 that come into question by their hash are compared.
    """
    count = len(hashes)
    order, starts = _buckets(hashes)
    partner = np.full((count, 2), -1, np.int64)
    variant, likeness = np.zeros((count, 2), np.int8), np.full((count, 2), floor, np.float32)

    def strip(first: int, end: int) -> None:
        _find(
            *(hashes, order, starts, vectors, places, signs, groups),
            *(first, end, partner, variant, likeness),
        )

    in_strips(strip, count, threads=threads)
    return partner, variant, likeness


def earlier_twins_reference(
    hashes: UInt64[np.ndarray, "N V"],
    vectors: Int8[np.ndarray, "N M"] | Int16[np.ndarray, "N M"],
    *,
    places: Int64[np.ndarray, "V M"],
    signs: Int16[np.ndarray, "V M"],
    groups: Int64[np.ndarray, " N"],
    floor: float,
) -> tuple[Int64[np.ndarray, "N 2"], Int8[np.ndarray, "N 2"], Float32[np.ndarray, "N 2"]]:
    """`earlier_twins` in plain NumPy, every pair looked at."""
    count, variants = hashes.shape
    partner = np.full((count, 2), -1, np.int64)
    variant, likeness = np.zeros((count, 2), np.int8), np.full((count, 2), floor, np.float32)
    for i in range(count):
        for j in range(i):
            other = int(groups[i] != groups[j])
            for v in range(variants):
                if int(hashes[i, 0] ^ hashes[j, v]).bit_count() <= RADIUS:
                    turned = signs[v].astype(np.int64) * vectors[j, places[v]]
                    product = np.float32(vectors[i].astype(np.int64) @ turned)
                    if product > likeness[i, other] or (
                        partner[i, other] < 0 and product == likeness[i, other]
                    ):
                        partner[i, other], variant[i, other] = j, v
                        likeness[i, other] = product
    return partner, variant, likeness


def _buckets(
    hashes: UInt64[np.ndarray, "N V"],
) -> tuple[Int32[np.ndarray, "4 NV"], Int32[np.ndarray, "4 65537"]]:
    """For each part the entries (item x variants + variant) by its value, and where each begins."""
    flat = hashes.ravel()
    order = np.empty((_PARTS, flat.size), np.int32)
    starts = np.zeros((_PARTS, (1 << 16) + 1), np.int32)
    for part in range(_PARTS):
        keys = (flat >> np.uint64(16 * part)).astype(np.uint16)
        order[part] = np.argsort(keys, kind="stable")
        starts[part, 1:] = np.cumsum(np.bincount(keys, minlength=1 << 16))
    return order, starts


def _count_bits(x):
    x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


def _multiply(here, there, places, signs):
    total = np.int64(0)
    for k in range(here.size):
        total += np.int64(here[k]) * np.int64(signs[k] * there[places[k]])
    return np.float32(total)


def _find_earlier(
    hashes, order, starts, vectors, places, signs, groups, first, end, partner, variant, likeness
):
    flat, variants = hashes.ravel(), hashes.shape[1]
    for i in range(first, end):
        left = _LOOKED_AT
        for part in range(_PARTS):
            key = (hashes[i, 0] >> np.uint64(16 * part)) & np.uint64(0xFFFF)
            for flip in range(17):  # no bit, then each bit
                bucket = np.int64(key ^ (np.uint64(1) << np.uint64(flip) >> np.uint64(1)))
                for slot in range(starts[part, bucket], starts[part, bucket + 1]):
                    entry = order[part, slot]
                    j = entry // variants
                    if j >= i or left == 0:
                        break
                    if _bits(hashes[i, 0] ^ flat[entry]) > RADIUS:
                        continue
                    left -= 1
                    v, other = entry % variants, np.int64(groups[i] != groups[j])
                    product = _product(vectors[i], vectors[j], places[v], signs[v])
                    known = partner[i, other] * variants + variant[i, other]
                    if product > likeness[i, other] or (
                        product == likeness[i, other] and (known < 0 or entry < known)
                    ):
                        partner[i, other], variant[i, other] = j, v
                        likeness[i, other] = product


_bits = compiled(_count_bits)
_product = compiled(_multiply)
_find = compiled(_find_earlier)
