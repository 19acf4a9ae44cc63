"""How scores on labelled data differ from what live traffic shows, in a scenario file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from sim.errors import Problem
from sim.policy.forms import Form, expand
from sim.policy.offline import Evaluation
from sim.policy.setting import DeclaredSetting
from sim.scenario.priors import Prior
from sim.scenario.spec import Spec
from sim.units import Share

if TYPE_CHECKING:
    from sim.scenario.schema import Scenario

Label = bool | int | float | str


class OfflineRows(Spec):
    """Which rows of the data offline evaluations have; live traffic is drawn from all of them."""

    column: str | None = Field(
        None,
        min_length=1,
        description="column of the data with 1 for the rows that offline evaluations have, and 0 for the others. No model gets "
        "it that does not ask for it",
    )
    lacks: tuple[Annotated[Label, Field(union_mode="left_to_right")], ...] | None = Field(
        None, min_length=1, description="labels of the target whose rows they do not have, as if lost in collection"
    )

    @model_validator(mode="after")
    def _one_way(self) -> OfflineRows:
        if (self.column is None) == (self.lacks is None):
            raise ValueError("needs exactly one of column and lacks")
        return self


class OfflineScoring(Spec):
    """Offline evaluations of models that are not replayed. Where they are, `data` and `data.shift` say the same."""

    gap: Prior | None = Field(
        None,
        description="the gap between offline and online: in every replication, each challenger earns on live traffic 1 + this "
        "times what it earns on the labelled rows, drawn on its own for each of its metrics",
    )
    similarity: Share = Field(
        0.0,
        description="share of the rows that are as hard for every model, where what one does well the better ones do well too; "
        "on the other rows the models do as they do independently",
    )


def evaluations(scenario: Scenario, setting: DeclaredSetting) -> tuple[Evaluation, ...]:
    """The offline evaluations that the policies of a scenario ask for, each once."""
    others: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    asked = (stage.evidence.evaluation(setting) for policy in scenario.policies for stage in expand(policy, others))
    return tuple(dict.fromkeys(each for each in asked if each is not None))


def table_problems(scenario: Scenario, setting: DeclaredSetting, rows: int) -> Iterator[Problem]:
    """Problems of evaluations on data of which they have so many rows."""
    others: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    for index, policy in enumerate(scenario.policies):
        for placed in policy.placed(others, {policy.name}):
            evaluation = placed.stage.evidence.evaluation(setting)
            if placed.here and evaluation is not None:
                for key, message in evaluation.table_problems(rows):
                    yield Problem(message, path=f"policies[{index}].{placed.place(f'evidence.{key}')}")


def offline_problems(scenario: Scenario, setting: DeclaredSetting) -> Iterator[Problem]:
    """Problems of what a scenario says of offline evaluations that show without the registry."""
    offline, asked = scenario.offline, evaluations(scenario, setting)
    unread = "is for policies with an offline stage, and none has one"
    if offline is not None and scenario.data is not None:
        if offline.gap is not None:
            yield Problem("with `data` the gap between offline and online is data.shift.gap", path="offline.gap")
        if "similarity" in offline.model_fields_set:
            yield Problem("with `data` the rows say how alike the models are", path="offline.similarity")
    elif offline is not None and not asked:
        yield Problem(unread, path="offline")
    if scenario.data is not None and scenario.data.shift.offline is not None and not asked:
        yield Problem(unread, path="data.shift.offline")
