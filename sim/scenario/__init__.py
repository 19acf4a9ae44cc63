"""The scenario file: its schema, its reading with line numbers, and the rules between its keys."""

__all__ = [
    "capacity",
    "check",
    "cycles",
    "delays",
    "doubts",
    "examples",
    "loading",
    "priors",
    "put",
    "reading",
    "schema",
    "starting",
    "sweep",
    "timeline",
    "traffic",
    "users",
    "value",
]
