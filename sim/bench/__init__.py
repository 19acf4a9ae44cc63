"""How fast the engines are here, beside other simulators."""

__all__ = ["run"]
