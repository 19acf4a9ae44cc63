"""Engines: they play a routing, report telemetry, and keep a ledger of the true outcome."""

__all__ = ["base", "calls", "catalogue", "compiled", "events", "lag", "ledger"]
