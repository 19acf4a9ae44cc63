"""How to roll out: allocations, evidence, guardrails, and the stage machine that runs them. It knows nothing of what is true."""

__all__ = ["allocation", "base", "columns", "estimates", "forms", "guardrails", "machine"]
