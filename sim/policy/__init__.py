"""How to roll out: allocations, evidence, guardrails, and the stage machine that runs them. None knows what is true."""

__all__ = [
    "adjust", "base", "catalogue", "columns", "contrast", "estimates", "forms", "guardrails", "machine", "parts_file", "stages",
    "telling",
]  # fmt: skip
