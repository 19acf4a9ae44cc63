"""Which model versions a scenario names, and how they behave."""

__all__ = ["behaviour", "data", "demo", "measure", "memory", "publish", "register", "replay", "scoring", "store", "versions"]
