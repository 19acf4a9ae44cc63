"""How a scenario plays out: telemetry for a routing, and a ledger of what is true."""

__all__ = ["base", "calls", "catalogue", "compiled", "events", "lag", "ledger"]
