"""A Python file that defines parts of a policy, as a user names it on the command line."""

from __future__ import annotations

import ast
import hashlib
import sys
import traceback
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

from sim.errors import InputError, Problem

_PREFIX = "sim_parts_"


@dataclass(frozen=True)
class PartsFile:
    """The text of a file and the path that it was read from. Its module is made from this text alone, in every process."""

    path: str
    text: bytes

    @classmethod
    def read(cls, path: Path) -> PartsFile:
        """Raises `InputError` for a file that is not there or cannot be read."""
        try:
            return cls(str(path), path.read_bytes())
        except OSError as error:
            raise InputError([Problem(f"cannot be read: {error.strerror}", file=str(path))]) from None

    @cached_property
    def digest(self) -> str:
        """Of the text."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def module_name(self) -> str:
        """Of its module: the same for the same path and text, so that classes in pickles are found by other processes."""
        return _PREFIX + hashlib.sha256(self.path.encode() + b"\0" + self.text).hexdigest()[:16]

    def load(self) -> ModuleType:
        """The module, which is run if it has not been. Raises `InputError` with the line at which that fails.

        The file's folder is not searched for imports: `digest` must say all that the file adds to this program.
        """
        name = self.module_name
        if name in sys.modules:
            return sys.modules[name]
        module = ModuleType(name)
        module.__file__ = self.path
        vars(module)[_ORIGIN] = self
        # Pydantic looks here for what annotations name.
        sys.modules[name] = module
        try:
            exec(compile(self.text, self.path, "exec", dont_inherit=True), vars(module))
        except Exception as error:
            del sys.modules[name]
            raise InputError([self._failed(error)]) from error
        return module

    def line_of(self, name: str) -> int:
        """The line at which a class is defined, 0 if it is not at the top of the file."""
        tree = ast.parse(self.text)
        return next((node.lineno for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), 0)

    def _failed(self, error: Exception) -> Problem:
        if isinstance(error, SyntaxError) and error.filename == self.path:
            return Problem(f"is not Python: {error.msg}", file=self.path, line=error.lineno or 0, column=error.offset or 0)
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.path]
        said = str(error).strip().splitlines() or [""]
        text = f"cannot be run: {type(error).__name__}: {said[0]}".removesuffix(": ")
        if isinstance(error, ModuleNotFoundError):
            text += "; a file stands alone: parts in several files make a package (docs/extending.md)"
        return Problem(text, file=self.path, line=(lines or [0])[-1] or 0, column=1)


_ORIGIN = "__parts_file__"


def file_of(part: type) -> PartsFile | None:
    """The file that a class was defined in, if that was loaded as parts."""
    return vars(sys.modules.get(part.__module__, object)).get(_ORIGIN)
