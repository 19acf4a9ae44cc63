"""Engines: they play a routing, report telemetry, and keep a ledger of the true outcome."""

__all__ = [
    "aggregate", "base", "calls", "catalogue", "common", "compiled", "events", "lag", "ledger", "names", "reference", "routes",
]  # fmt: skip
