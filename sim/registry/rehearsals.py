"""The rehearsals that a version was in, as kept on its tags: one tag each, so that several at once lose nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREFIX = "sim.rehearsed."
"""Before the first ten characters of a scenario's digest, as in the name of its run folder."""
MOST = 20
"""Rehearsals that a version keeps: the newest. Older ones are found by the tags of their MLflow runs."""
_POLICIES, _NAME, _POINTS = 12, 60, 30


@dataclass(frozen=True)
class Shares:
    """What a policy did with a version: the shares of its trials that ship it, and keep the champion, with 95% intervals."""

    ships: tuple[float | None, float | None, float | None]
    keeps: tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal, as one of its versions keeps it.

    `digest` is the scenario's, `at` when it ended (ISO 8601), `run` its MLflow run. `arm` is what the version was in it,
    `champion` the version that it stood against, as NAME/VERSION. `took` is the policy that it recommends; None where none is
    fit. A rehearsal of several points has `points`, the value of each and the policy that it takes there, and no `policies`.
    """

    digest: str
    name: str
    at: str
    run: str
    arm: str
    champion: str
    took: str | None
    status: str = "finished"
    policies: Mapping[str, Shares] = field(default_factory=dict)
    left_out: int = 0
    points: tuple[tuple[str, str | None], ...] = ()

    @property
    def key(self) -> str:
        """The tag's key."""
        return PREFIX + re.sub(r"[^\w.-]", "_", self.digest)[:10]

    def to_tag(self) -> str:
        """The tag's value: JSON of at most some 4,000 characters, with the policy taken and the first of the others.

        >>> shares = Shares((0.9, 0.8, 1.0), (0.1, 0.0, 0.2))
        >>> many = {f"p{at}": shares for at in range(99)}
        >>> kept = Rehearsed("ab", "checkout", "2026-01-01T00:00:00+00:00", "f", "b", "m/1", "p98", policies=many).to_tag()
        >>> Rehearsed.from_tag(kept).left_out, "p98" in Rehearsed.from_tag(kept).policies
        (87, True)
        """
        names = sorted(self.policies, key=lambda name: name != self.took)[:_POLICIES]
        value = asdict(self)
        value["name"], value["arm"] = _cut(self.name), _cut(self.arm)
        value["took"] = None if self.took is None else _cut(self.took)
        # Long names may be alike once they are cut.
        unlike = [_cut(name) if len(name) <= _NAME else f"{name[: _NAME - 5]}…{at}" for at, name in enumerate(names)]
        value["policies"] = {
            short: [*self.policies[name].ships, *self.policies[name].keeps] for short, name in zip(unlike, names, strict=True)
        }
        value["left_out"] = self.left_out + len(self.policies) - len(names)
        value["points"] = [[_cut(label), None if took is None else _cut(took)] for label, took in self.points[:_POINTS]]
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_tag(cls, text: str) -> Rehearsed:
        """Reads what `to_tag` wrote. Raises `ValueError` for anything else."""
        try:
            value = json.loads(text)
            texts = {name: str(value[name]) for name in ("digest", "name", "at", "run", "arm", "champion")}
            policies = {str(name): _shares(six) for name, six in dict(value.get("policies", {})).items()}
            return cls(
                **texts, status=str(value.get("status", "finished")),
                took=None if value["took"] is None else str(value["took"]), policies=policies,
                left_out=int(value.get("left_out", 0)),
                points=tuple((str(label), None if took is None else str(took)) for label, took in value.get("points", [])),
            )  # fmt: skip
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"a rehearsal has {error} wrong or missing") from error


def rehearsals(tags: Mapping[str, str]) -> tuple[list[Rehearsed], list[str]]:
    """The rehearsals in a version's tags, the newest first, and the keys of those that cannot be read."""
    found, damaged = [], []
    for key in sorted(tags):
        if key.startswith(PREFIX):
            try:
                found.append(Rehearsed.from_tag(tags[key]))
            except ValueError:
                damaged.append(key)
    return sorted(found, key=_age, reverse=True), damaged


def mark(client: MlflowClient, name: str, version: str, done: Rehearsed) -> None:
    """Keep a rehearsal on a version, and the newest `MOST` of them in all.

    Each has a tag of its own, and which of them are dropped follows from the tags alone, so that several processes at once
    agree. The same scenario played again replaces its tag; an older result of it does not.
    """
    from mlflow.exceptions import MlflowException

    tags = client.get_model_version(name, version).tags
    before = {each.key: each for each in rehearsals(tags)[0]}
    if tags.get(done.key) != done.to_tag() and not (done.key in before and _age(before[done.key]) > _age(done)):
        client.set_model_version_tag(name, version, done.key, done.to_tag())
    for each in rehearsals(client.get_model_version(name, version).tags)[0][MOST:]:
        try:
            client.delete_model_version_tag(name, version, each.key)
        except MlflowException as error:
            # Another process dropped it first.
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise


def _age(each: Rehearsed) -> tuple[str, str]:
    return each.at, each.digest


def _shares(six: Any) -> Shares:
    values = [None if value is None else float(value) for value in six]
    if len(values) != 6:
        raise ValueError(f"a policy must have six numbers, got {len(values)}")
    return Shares((values[0], values[1], values[2]), (values[3], values[4], values[5]))


def _cut(text: str) -> str:
    return text if len(text) <= _NAME else text[: _NAME - 1] + "…"
