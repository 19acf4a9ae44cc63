"""The reference engine: every request is an event in a SimPy environment. It is written to be read."""

from sim.engine.reference.engine import SimpyEngine

__all__ = ["SimpyEngine"]
