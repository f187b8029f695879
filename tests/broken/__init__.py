"""Data sets with one planted defect each, near-misses that look like one, and clean ones.

Everything here is a function of a generator: the same seed gives the same files. `kinds` lists
what there is; `table` counts how much of it the doctor finds.
"""
