"""Which policy to take, of those that nobody has written down: proposals, a race on the same worlds, finals on fresh ones."""

__all__ = ["fresh", "recommending", "telling"]
