"""Confusion counts -> scores, each with its definition. NumPy only; no models, files, printing."""
