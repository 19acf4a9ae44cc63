"""A comparison for the eyes: pages, charts, tables."""

__all__ = ["html", "markdown", "progress", "terminal"]
