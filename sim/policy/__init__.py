"""How to roll out: allocations, evidence, guardrails, and the stage machine that runs them. None knows what is true."""

__all__ = [
    "adjust", "allocation", "base", "catalogue", "columns", "contrast", "estimates", "evidence", "forms", "guardrails", "hours",
    "kernels", "machine", "offline", "parts_file", "pending", "people", "setting", "stages", "stretch",
    "telling",
]  # fmt: skip
