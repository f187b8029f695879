"""Videos: a file in, masks of its frames and an overlay out, in memory that does not grow.

What a file is its content says (`containers`). Frames are read one by one with their times
(`reading`), walk through the engine several at once and come out in order (`walk`), and the
overlay is encoded meanwhile (`writing`).
"""
