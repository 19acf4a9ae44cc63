"""Show a comparison: pages, charts, tables."""

__all__ = ["html", "markdown", "progress", "several", "source", "terminal"]
