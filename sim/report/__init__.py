"""Show a comparison: pages, charts, tables."""

__all__ = ["html", "markdown", "progress", "terminal"]
