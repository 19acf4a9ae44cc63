"""Benchmarks: the speed of the engines on this machine, next to other simulators."""

__all__ = ["run"]
