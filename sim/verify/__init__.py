"""Validation of the program: published numbers, computed again by formula and by playing scenarios."""

__all__ = ["figure", "page", "progress", "run"]
