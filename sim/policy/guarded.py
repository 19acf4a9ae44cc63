"""Parts from outside are held to their protocol at every call: what they raise and what they answer is said with their place.

The parts that ship have been tested and are not touched. The cost is a few comparisons of whole arrays a tick.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from functools import partial, wraps
from numbers import Real
from typing import Any

import numpy as np
from pydantic import BaseModel

from sim.errors import PartError, Problem
from sim.policy.base import Finding
from sim.policy.columns import Column
from sim.policy.offline import Evaluation
from sim.policy.parts_file import file_of
from sim.policy.stretch import Quiet

_SLACK = 1e-6
_MARK = "__held_to_its_protocol__"

Check = Callable[[Any, tuple[Any, ...]], str | None]
"""(answer, arguments) to the rule that the answer breaks; None where it breaks none."""


def guard(part: type[BaseModel], family: str) -> None:
    """Hold all methods of a part of a family to their protocol, in place; twice is as once.

    A method that raises, or answers what its protocol does not allow, raises `PartError`.
    """
    for name, check in (_OF_FAMILY.get(family) or {}).items():
        raw = inspect.getattr_static(part, name, None)
        if raw is not None and not getattr(raw, _MARK, False):
            setattr(part, name, _held(part, name, raw, check))


def _held(part: type[BaseModel], name: str, raw: Any, check: Check) -> Callable[..., Any]:
    def held(self: Any, *arguments: Any, **named: Any) -> Any:
        shapes = _memory(arguments)
        try:
            answer = (raw.__get__(self, type(self)) if hasattr(raw, "__get__") else raw)(*arguments, **named)
        except (KeyboardInterrupt, GeneratorExit, PartError):
            raise
        except BaseException as error:
            raise _raised(part, name, raw, error) from error
        if inspect.iscoroutine(answer):
            answer.close()
        rule = check(answer, arguments)
        if rule is not None:
            raise PartError([_problem(part, name, raw, f"must answer {rule}; got {_described(answer)}")])
        if shapes != _memory(arguments):
            rule = "must leave the arrays of view.memory in their shapes"
            raise PartError([_problem(part, name, raw, f"{rule}, {shapes}; got {_memory(arguments)}")])
        return answer

    method = wraps(raw)(held) if callable(raw) else held
    setattr(method, _MARK, True)
    return method


def _memory(arguments: tuple[Any, ...]) -> dict[str, tuple[int, ...]] | None:
    memory = getattr(arguments[0], "memory", None) if arguments else None
    return {key: np.shape(array) for key, array in memory.items()} if isinstance(memory, Mapping) else None


def _raised(part: type[BaseModel], name: str, raw: Any, error: BaseException) -> PartError:
    file = file_of(part)
    # What called the part is of no use to its author.
    frames = traceback.extract_tb(error.__traceback__)[1:]
    lines = [frame.lineno for frame in frames if file is not None and frame.filename == file.path]
    first = (str(error).strip().splitlines() or [""])[0]
    problem = _problem(part, name, raw, f"raised {type(error).__name__}: {first}".removesuffix(": "), (lines or [None])[-1])
    text = "".join(["Traceback (most recent call last):\n", *traceback.format_list(frames)])
    return PartError([problem], text + "".join(traceback.format_exception_only(error)))


def _problem(part: type[BaseModel], name: str, raw: Any, message: str, line: int | None = None) -> Problem:
    file = file_of(part)
    path = f"{part.__name__}.{name}"
    if file is None:
        return Problem(message, path=path, file=part.__module__)
    code = getattr(getattr(raw, "__func__", raw), "__code__", None)
    line = line or (code.co_firstlineno if code is not None and code.co_filename == file.path else file.line_of(part.__name__))
    return Problem(message, path=path, file=file.path, line=line, column=min(line, 1))


def _described(answer: Any) -> str:
    if isinstance(answer, np.ndarray):
        return f"{answer.dtype} {answer.shape}, {np.array2string(answer.ravel(), threshold=4, edgeitems=2, precision=4)}"
    return repr(answer)[:60] if isinstance(answer, str | int | float | None) else f"{type(answer).__name__} {str(answer)[:60]}"


def _real(answer: Any, shape: tuple[int, ...] | None = None) -> bool:
    """Whether an answer is an array of real numbers, of a shape if one is given."""
    return isinstance(answer, np.ndarray) and answer.dtype.kind in "biuf" and shape in (None, answer.shape)


def _boolean(answer: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(answer, np.ndarray) and answer.dtype == np.bool_ and answer.shape == shape


def _number(answer: Any) -> bool:
    return isinstance(answer, Real) and not isinstance(answer, bool) and bool(np.isfinite(float(answer)))


def _shares(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    arms_in = arguments[0].arms_in
    rule = f"shares of live traffic {arms_in.shape}, from 0 to 1, each row of which sums to 1"
    if not _real(answer, arms_in.shape) or not np.isfinite(answer).all() or (answer < -_SLACK).any():
        return rule
    total = answer.sum(axis=1)
    # Of removed arms the policy takes care.
    wrong = (total > 1 + _SLACK) | ((total < 1 - _SLACK) & arms_in.all(axis=1))
    return rule if wrong.any() else None


def _copied(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    shape = arguments[0].arms_in.shape
    held = _real(answer, shape) and bool(((answer >= 0) & (answer <= 1)).all())
    return None if held else f"shares {shape} of live requests to copy, from 0 to 1"


_FINDINGS = ", ".join(f"{finding.value} {finding.name}" for finding in Finding)


def _findings(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    shape = arguments[0].arms_in.shape
    held = isinstance(answer, np.ndarray) and answer.dtype.kind in "iu" and answer.shape == shape
    held = held and bool(((answer >= 0) & (answer < len(Finding))).all())
    return None if held else f"findings {shape} ({_FINDINGS})"


def _estimates(count: int, answer: Any, arguments: tuple[Any, ...]) -> str | None:
    shape = np.shape(arguments[1])
    held = answer is None or (isinstance(answer, tuple) and len(answer) == count and all(_real(each, shape) for each in answer))
    return None if held else f"{count} arrays of numbers {shape}, or None"


def _text(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    return None if isinstance(answer, str) and answer.strip() else 'a text: the words after "It ..."'


def _columns(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    held = isinstance(answer, tuple | list) and all(isinstance(each, Column) for each in answer)
    return None if held else "a tuple of columns (sim.policy.columns)"


def _arrays(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    held = isinstance(answer, dict) and all(isinstance(key, str) and _real(array) for key, array in answer.items())
    return None if held else "a dict of arrays of numbers by name"


def _pairs(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    held = isinstance(answer, tuple | list) and all(
        isinstance(each, tuple | list) and len(each) == 2 and all(isinstance(text, str) for text in each) for each in answer
    )
    return None if held else "a list of pairs of texts, such as (key, message)"


def _two_numbers(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    held = isinstance(answer, tuple | list) and len(answer) == 2 and all(_number(each) for each in answer)
    return None if held else "two numbers"


def _bounds(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    return None if answer is None or _two_numbers(answer, arguments) is None else "two numbers, or None"


def _number_or_none(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    return None if answer is None or _number(answer) else "a number, or None"


def _share(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    return None if _number(answer) and 0 <= answer <= 1 else "a share from 0 to 1"


def _weights(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    shape = (len(arguments[0].arms),)
    return None if answer is None or _real(answer, shape) else f"shares {shape}, or None"


def _look(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    held = answer is None or (
        isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], str) and _number(answer[1])
    )
    return None if held else "a key and a time in seconds, or None"


def _like(method: str, answer: Any, arguments: tuple[Any, ...]) -> str | None:
    return None if isinstance(answer, BaseModel) and hasattr(answer, method) else "a part of its own role"


def _stands(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    rows = arguments[0].arms_in.shape[:1]
    return None if _boolean(answer, rows) else f"whether its schedule stood still, true or false {rows}"


def _of_arms(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    shape = arguments[0].arms_in.shape
    return None if _boolean(answer, shape) else f"whether the last look was good, true or false {shape}"


def _rang(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    shape = arguments[0].arms_in.shape
    return None if _boolean(answer, shape) else f"whether it raises an alarm, true or false {shape}"


def _enough(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    shape = arguments[0].arms_in.shape
    return None if _real(answer, shape) else f"whether arms have enough, {shape}"


def _known(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    shape = arguments[0].arms_in.shape
    return None if _real(answer, shape) else f"numbers of outcomes, {shape}"


def _gain(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    return None if _number(answer) and answer > 0 else "a number above 0"


def _gains(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    rows, arms = int(np.sum(arguments[1])), arguments[0].arms_in.shape[1]
    return None if _real(answer, (rows, arms - 1)) else f"a ratio of variances {(rows, arms - 1)}"


def _adjusted(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    from sim.policy.adjust.base import Pair

    return None if isinstance(answer, Pair) else "a Pair (sim.policy.adjust.base)"


def _difference(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    from sim.stats.within_ticks import Difference

    held = isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Difference)
    return None if held and _gains(answer[1], arguments) is None else "a Difference (sim.stats.within_ticks), and its gain"


def _asked(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    return None if answer is None or isinstance(answer, Evaluation) else "an Evaluation (sim.policy.offline), or None"


def _ranked(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    shape = arguments[0].arms_in.shape
    return None if answer is None or _real(answer, shape) else f"numbers {shape}, or None"


def _quiet(answer: Any, arguments: tuple[Any, ...]) -> str | None:
    rows, arms = arguments[0].arms_in.shape
    held = isinstance(answer, Quiet) and _real(answer.information, (rows, arms - 1))
    held = held and (answer.ticks is None or _number(answer.ticks))
    return None if answer is None or held else f"a Quiet (sim.policy.stretch) of information {(rows, arms - 1)}, or None"


_PROBLEMS: dict[str, Check] = {"declared_problems": _pairs, "registered_problems": _pairs}
_PART: dict[str, Check] = {
    "needs": _columns, "contrasts": _columns, "memory": _arrays, "bounds": _bounds, "told": _text, **_PROBLEMS,
}  # fmt: skip
_OF_FAMILY: dict[str, dict[str, Check]] = {
    "allocation": {
        "live": _shares, "mirror": _copied, "length_s": _number_or_none, "constant_weights": _weights, "most_mirrored": _share,
        "least_share": _number_or_none, "hold": _stands, **_PART,
    },
    "evidence": {
        "judge": _findings, "completed": partial(_like, "judge"), "length_s": _number_or_none,
        "estimate": partial(_estimates, 2), "unbiased": partial(_estimates, 3), "evaluation": _asked, "ranking": _ranked,
        "quiet": _quiet, **_PART,
    },
    "guardrail": {
        "judge": _findings, "completed": partial(_like, "judge"), "reads": _pairs, "first_look": _look,
        "last_look_good": _of_arms, "rings": _rang, **_PART,
    },
    "adjust": {
        "estimates": _adjusted, "gain": _gains, "within_ticks": _difference, "ready": _enough, "nominal": _two_numbers,
        "promised_gain": _gain, "independent": _known, "kurtosis": _gain, "needs": _columns, **_PROBLEMS,
    },
}  # fmt: skip
