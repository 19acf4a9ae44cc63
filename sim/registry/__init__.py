"""The model versions that a scenario names, and their behaviour."""

__all__ = ["behaviour", "data", "demo", "measure", "memory", "publish", "register", "replay", "scoring", "store", "versions"]
