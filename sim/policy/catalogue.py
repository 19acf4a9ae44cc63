"""The parts that a `kind` in a file can name: parts that ship, parts of installed packages, and parts of files of the user.

Each role has a `Family`: allocations, evidence, guardrails, adjustments. Parts that ship stand in its list. Installed packages
name theirs by entry points of the group `rollout_sim.parts`; these are loaded when a kind is asked for that does not ship, and
when all kinds are listed. Files are known within `using(files)`. All of them are validated, explained and described alike.
"""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache, reduce
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic.errors import PydanticSchemaGenerationError
from pydantic.json_schema import JsonSchemaValue

from sim.errors import InputError, Problem
from sim.policy.guarded import guard
from sim.policy.parts_file import PartsFile, file_of
from sim.units import AS_WRITTEN, as_written

GROUP = "rollout_sim.parts"
"""The group of entry points; each names a part, or a module of parts."""
SHIPPED = "rollout-sim"
FAMILY = "sim_family"
"""Where the metadata of a core schema says which family reads a place."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True)
class Kind:
    """A kind that a file can name: its name, its class, and in words where the class comes from."""

    name: str
    part: type[BaseModel]
    origin: str


@dataclass(frozen=True)
class Outside:
    """A part that a scenario uses and that does not ship. `digest` is of the text of its file or package."""

    family: str
    kind: str
    origin: str
    digest: str


class Family(Generic[P]):
    """The parts of one role by their kind; as metadata of a type, what pydantic reads and describes such parts by.

    `methods` are those of `base` that every part must define; `default` is the kind of what names none.
    """

    def __init__(
        self, name: str, base: type[P], methods: Sequence[str], shipped: Sequence[type[P]], default: str | None = None
    ) -> None:
        self.name = name
        self.base = base
        self.methods = tuple(methods)
        self.default = default
        self.shipped = tuple(Kind(kind_of(part) or "", part, SHIPPED) for part in shipped)
        # A schema is built once for each set of kinds that is asked for.
        self._reader = lru_cache(maxsize=16)(self._make_reader)

    def kinds(self, name: str | None = None) -> tuple[Kind, ...]:
        """All kinds, those that ship first. Leaves out installed packages where `name` is known without them."""
        scope = _scope.get()
        known = (*self.shipped, *self._own(scope.kinds))
        if not scope.installed or any(kind.name == name for kind in known):
            return known
        return (*self.shipped, *self._own(installed()), *self._own(scope.kinds))

    def reader(self, value: object = None) -> TypeAdapter[P]:
        """The adapter that validates `value` as a part of this role, or describes all parts of the role."""
        return self._reader(self.kinds(self._kind_in(value)))

    def faults(self, part: type[BaseModel]) -> Iterator[str]:
        """The reasons why a class cannot be a part of this role."""
        kind, name = kind_of(part), part.__name__
        if kind is None or (part.model_fields["kind"].default != kind and kind != self.default):
            yield f'{name} has no kind, a field such as kind: Literal["{name.lower()}"] = "{name.lower()}"'
        elif not _NAME.fullmatch(kind):
            yield f"the kind of {name} must be small letters, digits and _, a letter first, got {kind!r}"
        for method in self.methods:
            if getattr(part, method) is getattr(self.base, method):
                yield f"{name} must define {method}, as {self.base.__module__}.{self.base.__name__} says"
        if not part.model_config.get("frozen") or part.model_config.get("extra") != "forbid":
            yield f"{name} must stay frozen and refuse unknown keys, as its base does: leave its model_config alone"
        yield from _wrong_defaults(part)

    def _own(self, kinds: Iterable[Kind]) -> tuple[Kind, ...]:
        return tuple(kind for kind in kinds if issubclass(kind.part, self.base))

    def _kind_in(self, value: object) -> str | None:
        name = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
        return self.default if name is None else str(name)

    def _make_reader(self, kinds: tuple[Kind, ...]) -> TypeAdapter[P]:
        choices: list[Any] = [kind.part for kind in kinds]
        discriminator: Any = Field(discriminator="kind")
        if self.default is not None:
            choices = [Annotated.__class_getitem__((kind.part, Tag(kind.name))) for kind in kinds]  # type: ignore[attr-defined]
            discriminator = Discriminator(self._kind_in)
        union = reduce(operator.or_, choices)
        return TypeAdapter(Annotated.__class_getitem__((union, discriminator)))  # type: ignore[attr-defined]

    def _read(self, value: object, info: ValidationInfo) -> P:
        # A part is valid once it is made, and may come from a file that is not in use any more.
        if isinstance(value, self.base):
            return value
        return self.reader(value).validate_python(value, context=AS_WRITTEN if as_written(info) else None)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> dict[str, Any]:
        # The kinds are looked up when something is read: models that hold a part are made before all kinds are known.
        function = {"type": "with-info", "function": self._read}
        return {"type": "function-plain", "function": function, "metadata": {FAMILY: self}}

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self.reader().core_schema)


def _wrong_defaults(part: type[BaseModel]) -> Iterator[str]:
    """The reasons why the default of a field cannot stand in a file."""
    for name, field in part.model_fields.items():
        if field.is_required() or field.default_factory is not None:
            continue
        try:
            annotated: Any = field.annotation
            if field.metadata:
                annotated = Annotated.__class_getitem__((annotated, *field.metadata))  # type: ignore[attr-defined]
            held: TypeAdapter[Any] = TypeAdapter(annotated)
            held.validate_python(field.default)
            held.dump_python(field.default, mode="json", warnings="error")
        except ValidationError as error:
            rule = error.errors()[0]["msg"].replace("Input should", "it should")
            yield f"the default of {part.__name__}.{name} is none of its values, {field.default!r}: {rule}"
        except (ValueError, PydanticSchemaGenerationError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            yield f"the default of {part.__name__}.{name} cannot be written in a file, {field.default!r}: {reason}"


def hold(part: type[BaseModel]) -> None:
    """Hold a part that does not ship to its protocol at every call: see `sim.policy.guarded`."""
    family = family_of(part)
    if family is not None and all(kind.part is not part for kind in family.shipped):
        guard(part, family.name)


def kind_of(part: type[BaseModel]) -> str | None:
    """The kind of a part: the only text that its field `kind` allows; None if it allows several or none."""
    field = part.model_fields.get("kind")
    names = list(_literals(field.annotation)) if field else []
    return names[0] if len(names) == 1 else None


def _literals(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from (value for value in get_args(annotation) if isinstance(value, str))
    else:
        for part in get_args(annotation):
            yield from _literals(part)


def families() -> tuple[Family[Any], ...]:
    """The families: one for each role of a part."""
    from sim.policy.adjust import ADJUSTMENTS
    from sim.policy.allocation import ALLOCATIONS
    from sim.policy.evidence import EVIDENCE
    from sim.policy.guardrails import GUARDRAILS

    return ALLOCATIONS, EVIDENCE, GUARDRAILS, ADJUSTMENTS


@dataclass(frozen=True)
class _Scope:
    """The kinds known beside those that ship: the kinds of files, and whether installed packages count."""

    kinds: tuple[Kind, ...] = ()
    installed: bool = True


_scope: ContextVar[_Scope] = ContextVar("parts from outside", default=_Scope())  # noqa: B039 (it is frozen)


@contextmanager
def using(files: Iterable[str | Path] = (), *, installed: bool = True) -> Iterator[None]:
    """Within it, files may name the parts of these Python files too. Loading a file **runs its code**.

    With `installed` False, parts of installed packages are not known. Raises `InputError` with everything that is wrong: a file
    that cannot be read or run, or has no part; a part without what its role asks for; a kind that is there already.
    """
    scope, problems = _scope.get(), list[Problem]()
    kinds = list(scope.kinds)
    for path in files:
        try:
            kinds += [kind for kind in _of_file(PartsFile.read(Path(path))) if kind not in kinds]
        except InputError as error:
            problems += error.problems
    if kinds and not problems:
        problems += _clashes([*_installed()[0], *kinds] if installed else kinds)
    if problems:
        raise InputError(problems)
    token = _scope.set(_Scope(tuple(kinds), installed and scope.installed))
    try:
        yield
    finally:
        _scope.reset(token)


def installed() -> tuple[Kind, ...]:
    """The kinds of installed packages, in the order of the packages' names; loading them runs the packages' code.

    Raises `InputError` naming each entry point that cannot be loaded, is no part, or has a kind that is there already.
    """
    kinds, faults = _installed()
    problems = [*faults, *_clashes(kinds)]
    if problems:
        raise InputError(problems)
    return kinds


@cache
def _installed() -> tuple[tuple[Kind, ...], tuple[Problem, ...]]:
    kinds: list[Kind] = []
    problems: list[Problem] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.dist.name if point.dist else "", point.name)):
        origin = _origin(point)
        try:
            loaded = point.load()
        except (Exception, SystemExit) as error:
            problems.append(Problem(f"cannot be loaded: {type(error).__name__}: {error}", file=origin))
            continue
        parts = _parts_in(loaded) if isinstance(loaded, ModuleType) else [loaded]
        if not parts:
            problems.append(Problem(f"has no part: {_RULE}", file=origin))
        for part in parts:
            faults = _faults(part)
            problems += [Problem(fault, file=origin) for fault in faults]
            if not faults:
                hold(part)
                kinds.append(Kind(kind_of(part) or "", part, origin))
    return tuple(kinds), tuple(problems)


def _origin(point: EntryPoint) -> str:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
    return f"{point.value} of {package}"


_RULE = "a part is a class derived from Allocation, Evidence or Guardrail (sim.policy.base), or Adjust (sim.policy.adjust.base)"


def _of_file(file: PartsFile) -> Iterator[Kind]:
    parts = _parts_in(file.load())
    if not parts:
        raise InputError([Problem(f"has no part: {_RULE}", file=file.path)])
    problems = [
        Problem(fault, file=file.path, line=file.line_of(part.__name__), column=1) for part in parts for fault in _faults(part)
    ]
    if problems:
        raise InputError(problems)
    for part in parts:
        hold(part)
        yield Kind(kind_of(part) or "", part, file.path)


def _parts_in(module: ModuleType) -> list[type[BaseModel]]:
    """The parts that a module defines; a class without a kind that others derive from is what these share."""
    bases = tuple(family.base for family in families())
    own = [
        part
        for part in vars(module).values()
        if isinstance(part, type) and issubclass(part, bases) and part.__module__ == module.__name__
    ]
    return [part for part in dict.fromkeys(own) if kind_of(part) or not any(part in other.__mro__[1:] for other in own)]


def _faults(part: Any) -> list[str]:
    family = family_of(part) if isinstance(part, type) else None
    if family is None:
        return [f"{getattr(part, '__name__', repr(part))} is no part: {_RULE}"]
    return list(family.faults(part))


def _clashes(kinds: Iterable[Kind]) -> Iterator[Problem]:
    """A problem for each kind that another part has already, with the line of its class where a file defines it."""
    first = {(family.name, kind.name): kind for family in families() for kind in family.shipped}
    for kind in kinds:
        family = family_of(kind.part)
        assert family is not None
        other = first.setdefault((family.name, kind.name), kind)
        if other is not kind:
            file = file_of(kind.part)
            line = file.line_of(kind.part.__name__) if file else 0
            message = f"{kind.part.__name__} has the kind of {other.part.__name__} of {other.origin}, {kind.name!r}: rename one"
            yield Problem(message, file=kind.origin, line=line, column=min(line, 1))


def family_of(part: type) -> Family[Any] | None:
    """The family of a part, or None."""
    return next((family for family in families() if issubclass(part, family.base)), None)


def outside(parts: Iterable[type[BaseModel]]) -> tuple[Outside, ...]:
    """The parts that do not ship, in the order of families and kinds. Raises `InputError` for a part without a source."""
    entries = []
    for part in set(parts):
        family = family_of(part)
        if family is None or any(kind.part is part for kind in family.shipped):
            continue
        file = file_of(part)
        origin = file.path if file else next((kind.origin for kind in _installed()[0] if kind.part is part), part.__module__)
        entries.append(Outside(family.name, kind_of(part) or "", origin, file.digest if file else _package_digest(part)))
    order = [family.name for family in families()]
    return tuple(sorted(entries, key=lambda entry: (order.index(entry.family), entry.kind, entry.digest)))


def parts_in(value: Any) -> Iterator[type[BaseModel]]:
    """The classes of all parts in a model, or in a collection of models.

    >>> from sim.policy.forms import AB
    >>> test = AB(name="ab", evidence={"kind": "fixed_horizon", "sample": 1000, "adjust": {"kind": "cuped"}})
    >>> [part.__name__ for part in parts_in([test])]
    ['FixedHorizon', 'Cuped']
    """
    if isinstance(value, BaseModel):
        if family_of(type(value)):
            yield type(value)
        value = [getattr(value, name) for name in type(value).model_fields]
    if isinstance(value, Mapping):
        value = value.values()
    elif isinstance(value, str) or not isinstance(value, Iterable):
        return
    for item in value:
        yield from parts_in(item)


def _package_digest(part: type) -> str:
    """SHA-256 of all Python files of the outermost package of a class, or of its module if it is in no package."""
    import hashlib

    names = part.__module__.split(".")
    modules = [sys.modules.get(".".join(names[:length])) for length in range(1, len(names) + 1)]
    source = next((Path(module.__file__) for module in modules if module and module.__file__), None)
    if source is None or not source.is_file():
        raise InputError([Problem(f"{part.__module__}.{part.__name__} has no source file that tells its versions apart")])
    files = sorted(source.parent.rglob("*.py")) if source.name == "__init__.py" else [source]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(source.parent).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()
