"""What was asked: the schema of a file, read with its line numbers, and the rules between its keys."""

__all__ = ["capacity", "check", "examples", "loading", "reading", "schema", "sweep", "timeline", "traffic", "users"]
