"""The compiled hot loops, on arrays only.

Each is tested against a plain NumPy reference, or by its laws. Those of full-size pictures take
`threads`, 0 = one for each core; any number of them gives the same answer.
"""
