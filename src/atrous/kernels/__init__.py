"""The compiled hot loops, on arrays only.

Each is tested against a plain NumPy reference, or by its laws. Those of full-size pictures in
prediction have a serial and a parallel form, which give the same numbers.
"""
