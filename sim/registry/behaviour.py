"""The models file: behaviour models, which state how a version behaves instead of predicting."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from sim.distributions.base import Frozen
from sim.distributions.latency import Latency
from sim.distributions.outcomes import Outcome
from sim.units import Share

__all__ = ["RESERVED", "Behaviour", "Latency", "ModelsFile", "Outcome", "VersionSpec", "alias_rule", "digest_of"]

RESERVED = ("error_rate", "latency", "agreement")
"""Metrics that every model version has; no outcome may have their names."""


def digest_of(value: Any) -> str:
    """sha256, in hexadecimal, of a JSON-like value in canonical form (sorted keys, no spaces).

    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _metric_name(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name!r} is reserved: every version has one, given beside `outcomes`, not inside")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise ValueError(f"a metric is named with up to 64 letters, digits, _ and -, beginning with a letter; got {name!r}")
    return name


def alias_rule(alias: str) -> str:
    """The alias. Raises `ValueError` for one that MLflow does not take.

    >>> alias_rule("v3")
    Traceback (most recent call last):
    ValueError: MLflow reserves 'latest' and version numbers such as 3 or v3; got alias 'v3'
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", alias):
        raise ValueError(f"an alias is made of letters, digits, _ and -; got {alias!r}")
    if alias.lower() == "latest" or re.fullmatch(r"[vV]?[0-9]+", alias):
        raise ValueError(f"MLflow reserves 'latest' and version numbers such as 3 or v3; got alias {alias!r}")
    return alias


class Behaviour(Frozen):
    """How a model version behaves: what its requests earn, how long they take, how often they fail.

    `outcomes` maps metric to distribution and is empty for replayed models; `latency` is in seconds;
    `agreement` is the share of requests that it answers like the champion, where that is known.

    >>> behaviour = Behaviour.model_validate(
    ...     {"outcomes": {"conversion": {"bernoulli": "5%"}}, "latency": {"constant": "45ms"}}
    ... )
    >>> behaviour.to_dict()
    {'outcomes': {'conversion': {'bernoulli': '5%'}}, 'latency': {'constant': '45ms'}}
    """

    outcomes: dict[Annotated[str, AfterValidator(_metric_name)], Outcome] = Field(
        default_factory=dict, description="One distribution per metric"
    )
    latency: Latency = Field(description="Distribution of the time to answer")
    error_rate: Share = Field(default=0.0, description="Share of requests that fail")
    agreement: Share | None = Field(default=None, description="Share of requests answered like the champion")

    def to_dict(self) -> dict[str, Any]:
        """The canonical form, as in a models file; `model_validate` makes an equal object of it."""
        kept = self.model_dump(mode="json", exclude_defaults=True, include=set(Behaviour.model_fields))
        return {name: kept[name] for name in Behaviour.model_fields if name in kept}

    def digest(self) -> str:
        """sha256, in hexadecimal, of the canonical form."""
        return digest_of(self.to_dict())


class VersionSpec(Behaviour):
    """One version of a models file. Alias and description are labels: changing them makes no new version."""

    alias: Annotated[str, AfterValidator(alias_rule)] | None = Field(
        default=None, description="Alias that points to this version"
    )
    description: str = Field(default="", max_length=5000, description="Shown in the registry")

    @property
    def behaviour(self) -> Behaviour:
        """The behaviour, without the labels."""
        return Behaviour(**{name: getattr(self, name) for name in Behaviour.model_fields})

    @model_validator(mode="after")
    def _earns(self) -> Self:
        if not self.outcomes:
            raise ValueError("outcomes must name at least one metric, such as conversion: {bernoulli: 5%}")
        return self


class ModelsFile(Frozen):
    """A registered model and its versions, in the order in which they are registered.

    >>> file = ModelsFile.model_validate({"model": "ranker", "versions": [
    ...     {"alias": "champion", "outcomes": {"sale": {"bernoulli": 0.05}}, "latency": {"constant": "45ms"}}
    ... ]})
    >>> ModelsFile.model_validate(file.to_dict()) == file
    True
    """

    model: str = Field(max_length=256, description="Name in the MLflow Model Registry")
    versions: tuple[VersionSpec, ...] = Field(description="Registered in this order")

    @field_validator("model")
    @classmethod
    def _name(cls, name: str) -> str:
        if not re.fullmatch(r"[^/:@%\s\x00-\x1f'\"`][^/:@%\x00-\x1f'\"`]*", name) or name != name.strip(" ."):
            raise ValueError(
                f"a model's name has no slash, colon, @, %, quote or control character, and no space or dot "
                f"at either end; got {name!r}"
            )
        return name

    @field_validator("versions")
    @classmethod
    def _distinct_aliases(cls, versions: tuple[VersionSpec, ...]) -> tuple[VersionSpec, ...]:
        if not versions:
            raise ValueError("needs at least one version")
        counts = Counter(version.alias for version in versions if version.alias)
        if twice := [alias for alias, count in counts.items() if count > 1]:
            raise ValueError(f"an alias points to one version only; given twice: {', '.join(twice)}")
        return versions

    def to_dict(self) -> dict[str, Any]:
        """The canonical form; `model_validate` makes an equal object of it."""
        versions = [
            {name: kept[name] for name in VersionSpec.model_fields if name in kept}
            for kept in (version.model_dump(mode="json", exclude_defaults=True) for version in self.versions)
        ]
        return {"model": self.model, "versions": versions}

    def digest(self) -> str:
        """sha256, in hexadecimal, of the canonical form."""
        return digest_of(self.to_dict())
