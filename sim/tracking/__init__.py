"""A run for the record: MLflow runs, and what is logged to them."""

__all__ = ["attach", "child", "limits", "lookup", "promote", "tallies", "track"]
