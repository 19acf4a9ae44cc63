"""How to roll out: allocations, evidence, guardrails, and the stage machine that runs them. None knows what is true."""

__all__ = ["allocation", "base", "columns", "estimates", "forms", "guardrails", "machine"]
