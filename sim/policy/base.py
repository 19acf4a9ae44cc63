"""The protocol between an engine and a policy, and between a policy and its parts.

An engine answers a `Routing` with a `Telemetry`; a policy answers a `Telemetry` with a `Routing`. Nothing else crosses:
a policy knows its `Setting` (what the team knew when it wrote the rollout down) and what monitoring showed since, never
what is true. The leading axis of every array is the replication (R, or r for those still undecided), then the arm (K;
the champion is arm 0), then the column (C) of telemetry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sim.arrays import Bools, Floats, Ints
from sim.policy.columns import Column, moments_of
from sim.policy.contrast import Contrasts
from sim.policy.offline import Evaluation, Scores
from sim.policy.setting import DeclaredSetting, Metric, Setting
from sim.policy.stretch import Quiet
from sim.policy.telling import settings


class Finding(IntEnum):
    """The finding of a part for one arm. NULL is *finished, nothing declared*: it is not a FAIL."""

    UNDECIDED = 0
    PASS = 1
    FAIL = 2
    INCONCLUSIVE = 3
    NULL = 4


class Verdict(IntEnum):
    """How a trial ended; UNDECIDED at the horizon."""

    UNDECIDED = 0
    SHIP = 1
    KEEP = 2
    INCONCLUSIVE = 3


@dataclass(frozen=True)
class Routing:
    """What a policy controls, for the replications that are undecided.

    rows (r,) their indices in the block; live (r, K) shares of live traffic, each row sums to 1; mirror (r, K) the share of
    live requests that is copied to an arm; cohort (r,) the number of the stage's entry, so that feedback to an earlier stage
    is not counted in a later one; mirror_writes (r, K) the share of those that write, the same if None.
    """

    rows: Ints
    live: Floats
    mirror: Floats
    cohort: Ints
    mirror_writes: Floats | None = None


@dataclass(frozen=True)
class Telemetry:
    """What monitoring shows of one tick. counts (r, K, C) integers, in the order of the routing's rows.

    `columns` maps a column to its place on the last axis. Metric values are in units of their grid. live (r, K) are the shares
    of live traffic under which these calls arrived: of an earlier tick where monitoring is behind. weighed (2, r, K - 1, C', 3)
    are the sums of the tick of each `AtVisit` among the columns, in their order, as in `sim.policy.contrast.Contrasts`.
    added: it is the last of so many ticks, all of which the engine has added to the policy's sums; 0 where the policy adds.
    """

    tick: int
    counts: Ints
    columns: Mapping[Column, int]
    live: Floats
    weighed: Floats | None = None
    added: int = 0


@dataclass
class View:
    """What a part of a stage sees of the replications in that stage.

    age (r,) ticks completed in the stage; arms_in (r, K) arms still in (the champion always is); last, total (r, K, C) the last
    tick and the sum since the stage was entered; memory: the part's own arrays (r, ...), written back by the policy;
    contrasts: the weighted sums of the columns that the part names in `contrasts`.
    held (r,) ticks for which the allocation's schedule stood still. good (r,) whether the last look of every check at every
    arm still in was good, which only `Allocation.hold` is told. rows (r,) the places of these replications in their block;
    entry (r,) how many stages each had entered before; offline: the scores (r, K) of the evaluation that it asks for.
    In a stage that mirrors, a challenger's columns are those of its mirrored calls: a part need not know. Only memory may be
    written to: the other arrays may be the policy's own, and are read-only.
    """

    setting: Setting
    tick: int
    age: Ints
    arms_in: Bools
    last: Ints
    total: Ints
    columns: Mapping[Column, int]
    mirrored: bool
    memory: dict[str, NDArray[Any]] = field(default_factory=dict)
    contrasts: Contrasts = field(default_factory=lambda: Contrasts.empty(0, 1, ()))
    held: Ints | int = 0
    good: Bools | bool = True
    rows: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    entry: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    offline: Scores = field(default_factory=dict)

    @property
    def progress(self) -> Ints:
        """(r,) ticks of the allocation's schedule that are completed: the age, but for those for which it stood still."""
        return self.age - self.held

    def draw(self, stream: str, at: Bools, number: Ints) -> Floats:
        """(n,) uniforms of the replications `at` (r,), for the `number` (n,) of what is drawn for in this stage.

        The same of every policy that is played in a replication, whatever it did before.
        """
        assert self.setting.draws is not None, "only what is played can draw"
        return self.setting.draws(stream, self.rows[at], (self.entry[at], number))

    def of_last(self, column: Column) -> Ints:
        """(r, K) one column of the last tick."""
        return self._pick(self.last, column)

    def of_total(self, column: Column) -> Ints:
        """(r, K) one column, summed since the stage was entered."""
        return self._pick(self.total, column)

    def _pick(self, counts: Ints, column: Column) -> Ints:
        mirrored = self.columns.get(column.as_mirrored()) if self.mirrored else None
        live = self.columns.get(column)
        if mirrored is None:
            return counts[..., self.columns[column]]
        values = counts[..., mirrored].copy()
        if live is not None:
            values[:, 0] = counts[:, 0, live]
        return values

    def moments(self, metric: Metric) -> tuple[Floats, Floats, Floats]:
        """(r, K) each: known outcomes, their sum and their sum of squares, in the metric's own units."""
        count, total, *square = (self.of_total(column).astype(np.float64) for column in moments_of(metric))
        total = total * metric.grid
        return count, total, square[0] * metric.grid**2 if square else total


class Part(BaseModel):
    """A frozen, serialisable setting of one part of a stage, as it stands in a scenario file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        """The telemetry columns that this part reads. Engines produce only the columns that some part names here."""
        return ()

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        """The columns, of those in `needs`, whose sums within ticks this part reads: live outcomes, compared arm by arm."""
        return ()

    def bounds(self, setting: Setting) -> tuple[float, float] | None:
        """Between which this part takes every outcome of the primary metric to lie; None where it needs no bounds.

        A scenario in which an outcome can lie beyond is refused, at the keys `lowest` and `highest` where the part has them.
        """
        return None

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        """Arrays, of any shape, with which one replication starts a stage. The policy keeps a copy for each replication."""
        return {}

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        """Problems of this part that show in the scenario file alone: (key, message) pairs."""
        return []

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        """Problems that show only with what the models registered. Called only where `declared_problems` is empty."""
        return []

    def problems(self, setting: Setting) -> list[tuple[str, str]]:
        """Problems of this part in this setting: (key, message) pairs."""
        return self.declared_problems(setting) or self.registered_problems(setting)

    def told(self, setting: Setting) -> str:
        """What this part does, with its settings, for people who read a report: the words after "It ...".

        A part without words of its own is told by its kind and all its settings.
        """
        return f"uses {settings(self)}"


class Allocation(Part):
    """How a stage splits live traffic.

    `mirrors` says that it copies live requests to challengers; `adaptive` that its weights depend on outcomes;
    `serves_challengers` is False where no request ever reaches one; `rests` that its weights stay as they are without its being
    asked: a class that inherits from one that does must say so itself.
    """

    mirrors: ClassVar[bool] = False
    serves_challengers: ClassVar[bool] = True
    adaptive: ClassVar[bool] = False
    rests: ClassVar[bool] = False

    kind: str

    def live(self, view: View) -> Floats:
        """(r, K) shares of live traffic for the next tick; only the policy masks and renormalises removed arms."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it splits live traffic")

    def mirror(self, view: View) -> Floats:
        """(r, K) shares of live requests to copy."""
        return np.zeros(view.arms_in.shape)

    def copies_writes(self) -> float:
        """The share of the copies of requests that write that is made, where it mirrors; the others are filtered out."""
        return 1.0

    def beside(self) -> bool:
        """Whether it serves a baseline beside the challengers: as much as each of them, taken from the champion."""
        return False

    def length_s(self, setting: DeclaredSetting) -> float | None:
        """The length of the allocation's own schedule, in seconds; None without a schedule."""
        return None

    def may_hold(self) -> bool:
        """Whether its schedule may stand still."""
        return False

    def heeds_looks(self) -> bool:
        """Whether its schedule stands still by what checks found at their last looks."""
        return False

    def hold(self, view: View) -> Bools:
        """(r,) whether the schedule stood still in the tick that ended; asked where it may, after the checks have judged."""
        return np.zeros(view.age.shape, bool)

    def turns(self) -> tuple[float, Literal["random", "paired"]] | None:
        """Where arms take turns at all traffic: how long a turn is, in seconds, and how it is drawn; None where they do not."""
        return None

    def constant_weights(self, setting: DeclaredSetting) -> Floats | None:
        """(K,) shares of live traffic that hold from the start of a stage to its end; None if they may change."""
        return None

    def least_share(self, setting: DeclaredSetting) -> float | None:
        """The share of live traffic below which no arm still in can fall, whatever is seen; None if that is not known."""
        return None

    def most_mirrored(self) -> float:
        """The largest share of live requests that is ever copied to a challenger."""
        return 1.0 if self.mirrors else 0.0


class Evidence(Part):
    """How a stage decides.

    `declares` says that its PASS or FAIL is a declaration, which stops the clock of time to significance; `reads_reward` that
    it needs users' reactions, which a mirrored arm cannot have; `can_be_null` that it can finish without declaring anything;
    `waits` that it ends only when planned information has arrived, of all arms; `of_turns` that it compares the turns of arms,
    and takes what monitoring shows of a tick for what was sent in it; `before_traffic` that it decides by an offline
    evaluation, in a first stage that serves no challenger, and at tick 0 where its length is 0; `rests` that `quiet` may say
    until when it finds nothing: a class that inherits from one that does must say so itself.
    """

    declares: ClassVar[bool] = True
    reads_reward: ClassVar[bool] = False
    can_be_null: ClassVar[bool] = False
    waits: ClassVar[bool] = False
    before_traffic: ClassVar[bool] = False
    of_turns: ClassVar[bool] = False
    rests: ClassVar[bool] = False

    kind: str

    def completed(self, allocation: Allocation, setting: DeclaredSetting) -> Evidence:
        """This rule, with settings that were left out taken from the allocation of its stage."""
        return self

    def length_s(self) -> float | None:
        """How long the rule takes, in seconds from the start of the stage; None if that depends on what is seen."""
        return None

    def judge(self, view: View) -> NDArray[np.int8]:
        """(r, K) findings of this tick; the champion's column is ignored."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it judges")

    def quiet(self, view: View) -> Quiet | None:
        """Until when `judge` finds every arm UNDECIDED and leaves the memory as it is; None where that cannot be told.

        So that ticks until then can be played at once. Information may be said too low, never too high.
        """
        return None

    def leaves_it_to_checks(self) -> bool:
        """Whether it passes an arm at once, so that only a check that waits says when a stage ends."""
        return False

    def evaluation(self, setting: DeclaredSetting) -> Evaluation | None:
        """The offline evaluation whose scores it finds in `view.offline`; None of a rule that asks for none."""
        return None

    def ranking(self, view: View) -> Floats | None:
        """(r, K) by which the best of the challengers that pass is taken, the larger the better.

        Asked of a rule with an evaluation. None where it leaves that to the observed means of the primary metric.
        """
        return None

    def pools(self, setting: DeclaredSetting) -> bool:
        """Whether it compares what the arms have seen since the stage began, whenever that was."""
        return self.reads_reward

    def looks_by_time(self) -> str:
        """The key that sets looks at planned times, at which what is seen decides; empty if looks wait for information."""
        return ""

    def promised(self, setting: DeclaredSetting) -> float | None:
        """How often, at most, this rule says that it declares a difference where all arms are alike.

        The nominal error that is compared with what an A/A test measures. None of a rule that promises nothing, or that may
        rightly declare something of arms that are alike.
        """
        return None if self.declares else 0.0

    def planned_share(self, view: View) -> Floats | None:
        """(r, K) how much of the information that it waits for has arrived, as a share; None of a rule that waits for none.

        The champion's own column has no meaning.
        """
        return None

    def estimate(self, view: View, arm: Ints) -> tuple[Floats, Floats] | None:
        """The relative effect of an arm (r,) as this rule estimates it, and its standard error, (r,) each.

        Positive where the challenger is better; NaN where it cannot be estimated. None of a rule that has no estimate of its
        own: then the means are compared.
        """
        return None

    def unbiased(self, view: View, arm: Ints) -> tuple[Floats, Floats, Floats] | None:
        """Of a stage that has ended, (r,) each: an estimate of the relative effect of an arm (r,), and its 95% interval.

        Median-unbiased although the rule may have ended the stage early; positive where the challenger is better; NaN where the
        rule did not end it. None of a rule that has no such estimate.
        """
        return None


class Guardrail(Part):
    """A check that can stop a stage early whatever the evidence says.

    Its findings: FAIL it has tripped, INCONCLUSIVE what is seen of the arm cannot be trusted, PASS it holds so far, UNDECIDED
    it has not seen enough to say. Where the evidence passes an arm that it has not seen enough of, the arm waits for it if it
    `waits`, and is inconclusive otherwise. What it finds is told and has no effect where it does not `stop`.
    `baseline_as` says what it sees of a baseline: nothing; the baseline in the champion's place; or both as the champion.
    `compares_traffic`: it needs challengers that get live traffic, at weights that stay as they are. `tells_looks`: its looks
    are good or not, each by itself.
    """

    compares_traffic: ClassVar[bool] = False
    tells_looks: ClassVar[bool] = False

    kind: str | None

    @property
    def baseline_as(self) -> Literal["nothing", "champion", "added"]:
        """What it sees of a baseline: nothing, the baseline in the champion's place, or the two of them added."""
        return "nothing"

    @property
    def waits(self) -> bool:
        """Whether what the evidence passes waits until this guardrail has a finding."""
        return False

    @property
    def stops(self) -> bool:
        """Whether its findings count; else they are only told."""
        return True

    def completed(self, allocation: Allocation, setting: DeclaredSetting) -> Guardrail:
        """This guardrail, with settings that were left out taken from the allocation of its stage."""
        return self

    def reads(self) -> tuple[tuple[str, str], ...]:
        """The metrics that this guardrail reads, with built-in ones: (key that names the metric, metric) pairs."""
        return ()

    def first_look(self) -> tuple[str, float] | None:
        """The key that sets the first look, and its time in seconds from the start of the stage; None for every tick."""
        return None

    def judge(self, view: View) -> NDArray[np.int8]:
        """(r, K) findings of this tick; the champion's column is ignored."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it judges")

    def last_look_good(self, view: View) -> Bools:
        """(r, K) whether the last look was good, after `judge`; true before the first look, and without looks."""
        return np.ones(view.arms_in.shape, bool)

    def rings(self, view: View, findings: NDArray[np.int8]) -> Bools:
        """(r, K) whether it raises an alarm in this tick, after `judge` found `findings` (r, K).

        A check with looks rings with each that fails; another one where it finds FAIL. Arms that are out are not asked about.
        """
        return np.asarray(findings == Finding.FAIL)
