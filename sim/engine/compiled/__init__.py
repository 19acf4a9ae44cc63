"""The compiled engine: every request is an event in a Numba kernel."""

from sim.engine.compiled.engine import CompiledEngine, warm_up

__all__ = ["CompiledEngine", "warm_up"]
