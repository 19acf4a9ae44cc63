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
from sim.files import unreadable

_PREFIX = "sim_parts_"


@dataclass(frozen=True)
class PartsFile:
    """The text of a file and the path that it was read from. Every process makes the module from this text alone."""

    path: str
    text: bytes

    @classmethod
    def read(cls, path: Path) -> PartsFile:
        """Reads a file. Raises `InputError` for one that does not exist or cannot be read."""
        if reason := unreadable(path):
            raise InputError([Problem(reason if "cannot be read" in reason else f"cannot be read: {reason}", file=str(path))])
        try:
            return cls(str(path), path.read_bytes())
        except OSError as error:
            raise InputError([Problem(f"cannot be read: {error.strerror}", file=str(path))]) from None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text, as hexadecimal digits."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def module_name(self) -> str:
        """The name of the module: the same for the same path and text, so that other processes can unpickle its classes."""
        return _PREFIX + hashlib.sha256(self.path.encode() + b"\0" + self.text).hexdigest()[:16]

    def load(self) -> ModuleType:
        """The module. Runs its code on the first call. Raises `InputError` with the line at which the code fails.

        The file's folder is not searched for imports, so that `digest` covers all code that the file adds to this program.
        """
        name = self.module_name
        if name in sys.modules:
            return sys.modules[name]
        module = ModuleType(name)
        module.__file__ = self.path
        vars(module)[_ORIGIN] = self
        # Pydantic resolves the names in annotations through `sys.modules`.
        sys.modules[name] = module
        try:
            exec(compile(self.text, self.path, "exec", dont_inherit=True), vars(module))
        except (Exception, SystemExit) as error:
            # A file that ends the program would end it as if all were done.
            del sys.modules[name]
            raise InputError([self._failed(error)]) from error
        return module

    def line_of(self, name: str) -> int:
        """The line at which a class is defined, or 0 if it is not defined at the top level of the file."""
        tree = ast.parse(self.text)
        return next((node.lineno for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), 0)

    def _failed(self, error: BaseException) -> Problem:
        if isinstance(error, SyntaxError) and error.filename == self.path:
            return Problem(f"is not Python: {error.msg}", file=self.path, line=error.lineno or 0, column=error.offset or 0)
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.path]
        message = str(error).strip().splitlines() or [""]
        text = f"cannot be run: {type(error).__name__}: {message[0]}".removesuffix(": ")
        if isinstance(error, ModuleNotFoundError):
            text += "; a file stands alone: parts in several files make a package (docs/extending.md)"
        return Problem(text, file=self.path, line=(lines or [0])[-1] or 0, column=1)


_ORIGIN = "__parts_file__"


def file_of(part: type) -> PartsFile | None:
    """The parts file that defines a class, or None if it was not loaded from one."""
    return vars(sys.modules.get(part.__module__, object)).get(_ORIGIN)
