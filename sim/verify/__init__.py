"""Whether the program is right: published numbers, worked out again by formula and by playing."""

__all__ = ["page", "progress", "run"]
