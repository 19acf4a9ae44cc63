"""Show a comparison: pages, charts, tables."""

__all__ = [
    "beside", "html", "listed", "markdown", "picture", "progress", "results", "sections", "several", "source", "tables",
    "terminal",
]  # fmt: skip
