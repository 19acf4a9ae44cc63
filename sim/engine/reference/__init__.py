"""The reference engine: every request an event in a SimPy environment, written to be read."""

from sim.engine.reference.engine import SimpyEngine

__all__ = ["SimpyEngine"]
