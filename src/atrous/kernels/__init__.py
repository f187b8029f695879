"""The compiled hot loops, on arrays only.

Each has a serial form, a parallel form (the same numbers) and a plain NumPy reference.
"""
