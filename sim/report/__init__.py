"""Show a comparison: pages, charts, tables."""

__all__ = [
    "bar", "beside", "between", "figures", "html", "listed", "many", "markdown", "numbers", "parts", "picture", "progress",
    "results", "sections", "several", "source", "svg", "tables", "terminal",
]  # fmt: skip
