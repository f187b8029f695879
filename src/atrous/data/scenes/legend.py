"""What the eight classes of the embedded set are called, and how their masks are coloured."""

NAMES: tuple[str, ...] = (
    "sky", "building", "road", "pavement", "tree", "car", "person", "sign",
)  # fmt: skip
SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON, SIGN = range(len(NAMES))
VOID = 255

COLOURS: tuple[tuple[int, int, int], ...] = (
    (112, 174, 226),
    (94, 96, 112),
    (128, 64, 128),
    (228, 142, 208),
    (90, 152, 62),
    (40, 72, 170),
    (222, 44, 62),
    (244, 202, 46),
)
