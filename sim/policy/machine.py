"""The stage machine: runs a chain of stages for all replications of a block at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats, Ints, marked
from sim.policy.alarms import Alarms, Muting, rang_of
from sim.policy.base import Evidence, Finding, Guardrail, Part, Routing, Telemetry, Verdict, View
from sim.policy.columns import Column, mean_of, moments_of
from sim.policy.contrast import Contrasts
from sim.policy.estimates import Aipw, EffectEstimates, naive, within_ticks
from sim.policy.offline import Evaluation, OfflineChoice, Scores, gains
from sim.policy.pending import Pending, Reactions
from sim.policy.people import Reaction
from sim.policy.setting import Setting
from sim.policy.shares import beside, masked
from sim.policy.stages import INCONCLUSIVE, KEEP, NEXT, SHIP, Stage, at_visit
from sim.policy.stretch import LONGEST, Stretch

# As NumPy's scalars: it takes members of an enumeration for integers of 64 bits, and converts them at every use.
_GOING, _PASSED, _FAILED, _DOUBTFUL, _NULL = (
    np.int8(each) for each in (Finding.UNDECIDED, Finding.PASS, Finding.FAIL, Finding.INCONCLUSIVE, Finding.NULL)
)
_OPEN = np.int8(Verdict.UNDECIDED)
_ENDINGS = {KEEP: Verdict.KEEP, INCONCLUSIVE: Verdict.INCONCLUSIVE}


@dataclass(frozen=True)
class Verdicts:
    """Where every replication stands. All arrays are (R,).

    verdict as `Verdict`; arm the index of the arm that serves users from then on; decided_tick ticks completed at the verdict;
    significant_tick ticks completed at the first declaration of a rule of evidence; -1 where there is none. found_tick ticks
    completed at the last outcome of a stage, which a verdict follows once somebody or something has acted on it; paused_ticks
    ticks in which a ramp stood still, or an outcome waited. reported is whether a check that only reports has failed some arm;
    NaN of a policy without one. alarms is how many rang; muted how many outcomes nobody heeded at first; tries how often a
    rollout began.
    """

    verdict: NDArray[np.int8]
    arm: Ints
    decided_tick: Ints
    significant_tick: Ints
    found_tick: Ints
    paused_ticks: Ints
    reported: Floats
    alarms: Ints
    muted: Ints
    tries: Ints


Heard = Callable[[int, Evidence | Guardrail, Ints, NDArray[np.int8]], None]
"""Is told of what a part found: ticks completed, the part, replications (r,) and its findings (r, K)."""


class StagedPolicy:
    """A policy: a list of stages, or none of them and an immediate verdict.

    The machine owns stage, age, arms, tallies, memory and verdict as full-size arrays; parts are frozen settings. It alone
    removes arms and renormalises the shares of an allocation.
    """

    def __init__(self, stages: Sequence[Stage], immediate: tuple[Verdict, str] | None = None) -> None:
        self.stages = tuple(stages)
        self.immediate = immediate
        self.heard: Heard | None = None

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        """The telemetry columns that some stage reads, each once, in a stable order."""
        chain = self._completed(setting)
        needs = dict.fromkeys(column for stage in chain for column in stage.needs(setting))
        return (*needs, *at_visit(chain, setting).values())

    def evaluations(self, setting: Setting) -> tuple[Evaluation, ...]:
        """The offline evaluations whose scores `start` must be given, each once."""
        asked = (stage.evidence.evaluation(setting) for stage in self._completed(setting))
        return tuple(dict.fromkeys(each for each in asked if each is not None))

    def promised(self, setting: Setting) -> float | None:
        """How often, at most, some rule of evidence says that it declares a difference where all arms are alike.

        The sum over the stages; None where no stage declares anything, some stage promises nothing,
        or one can be entered again.
        """
        if not any(stage.evidence.declares for stage in self.stages):
            return None
        names = [stage.name for stage in self.stages]
        again = any(stage.on.retry is not None for stage in self.stages) or any(
            target in names[: number + 1]
            for number, stage in enumerate(self.stages)
            for target in (stage.on.passed, stage.on.fail, stage.on.inconclusive)
        )
        each = [stage.evidence.promised(setting) for stage in self._completed(setting)]
        return None if again or any(one is None for one in each) else min(1.0, sum(filter(None, each)))

    def mirrors(self) -> bool:
        """Whether any stage mirrors."""
        return any(stage.allocation.mirrors for stage in self.stages)

    def _completed(self, setting: Setting) -> tuple[Stage, ...]:
        return tuple(stage.completed(setting) for stage in self.stages)

    def start(self, setting: Setting, offline: Scores | None = None) -> Routing:
        """The routing of the first tick. `offline` are the scores of its `evaluations`, (R, K) each.

        A first stage that takes no time is judged here, before any request. Raises `ValueError` where scores are missing.
        """
        self.setting = setting
        self._chain = self._completed(setting)
        self._offline = [stage.evidence.evaluation(setting) for stage in self._chain]
        self._scores = {asked: self._of_arms(scores) for asked, scores in (offline or {}).items()}
        if missing := [each for each in self._offline if each is not None and each not in self._scores]:
            raise ValueError(f"start needs the scores of {missing[0]}, got those of {list(self._scores) or 'none'}")
        rows, arms = setting.replications, len(setting.arms)
        self.columns: dict[Column, int] = {column: at for at, column in enumerate(self.needs(setting))}
        self._alarms = Alarms(rows, max((stage.mutes_after() for stage in self._chain), default=0))
        self.verdicts = Verdicts(
            verdict=np.zeros(rows, np.int8),
            arm=np.zeros(rows, np.int64),
            decided_tick=np.full(rows, -1, np.int64),
            significant_tick=np.full(rows, -1, np.int64),
            found_tick=np.zeros(rows, np.int64),
            paused_ticks=np.zeros(rows, np.int64),
            reported=np.full(rows, 0.0 if any(not check.stops for stage in self._chain for check in stage.checks) else np.nan),
            alarms=self._alarms.number,
            muted=np.zeros(rows, np.int64),
            tries=np.ones(rows, np.int64),
        )
        self._stage = np.zeros(rows, np.int64)
        self._age = np.zeros(rows, np.int64)
        self._held = np.zeros(rows, np.int64)
        self._cohort = np.zeros(rows, np.int64)
        self._arms_in: Bools = np.ones((rows, arms), bool)
        self._findings = np.zeros((rows, arms), np.int8)
        self._total = np.zeros((rows, arms, len(self.columns)), np.int64)
        self._baseline_total = np.zeros((rows, len(self.columns)), np.int64) if setting.baseline else None
        self._compares = [[bool(part.contrasts(setting)) for part in stage.parts()] for stage in self._chain]
        self._outcomes = self._primary_columns()
        # What is known late is weighed by the engine, where weights may change; the rest by the shares of the tick.
        self._visited = tuple(at_visit(self._chain, setting))
        contrasted = dict.fromkeys((*self._outcomes, *(column for stage in self._chain for column in stage.compared(setting))))
        prompt = [column for column in contrasted if column not in self._visited]
        self._contrasts = Contrasts.empty(rows, arms, [*prompt, *self._visited])
        self._contrasted = np.array([self.columns[column] for column in prompt], np.int64)
        self._aipw = Aipw(rows, arms - 1)
        self._memory: list[list[dict[str, NDArray[Any]]]] = [
            [_full_size(part, setting) for part in stage.parts()] for stage in self._chain
        ]
        self._pending = (
            Pending(rows, arms, setting.baseline)
            if any(stage.reaction is not None or stage.on.retry is not None for stage in self._chain)
            else None
        )
        # A binary outcome is its own square.
        self._moments = np.array(
            [self.columns[self._outcomes[place]] for place in (0, 1, -1)] if self._outcomes else [], np.int64
        )
        alone = self._pending is None and not self._visited and not setting.baseline and bool(self._outcomes)
        self._rests = [alone and stage.rests(setting) for stage in self._chain]
        self._rows = np.arange(rows)
        if self.immediate is not None:
            verdict, arm = self.immediate
            self._end(self._rows, verdict, np.full(rows, setting.arms.index(arm)), tick=0)
        nothing = np.zeros((rows, arms, len(self.columns)), np.int64)
        if self._chain and self._chain[0].evidence.before_traffic and self._chain[0].evidence.length_s() == 0:
            self._judge(0, self._chain[0], self._rows, nothing, done=0)
        return self._route(tick=0, last=nothing[self.verdicts.verdict == _OPEN])

    def step(self, telemetry: Telemetry) -> Routing:
        """Judge the tick that ended, and route the next one."""
        rows, last, live, weighed = self._rows, telemetry.counts, telemetry.live, telemetry.weighed
        if self._baseline_total is not None:
            self._baseline_last = last[:, -1]
            last, live, weighed = last[:, :-1], live[:, :-1], None if weighed is None else weighed[:, :, :-1]
            self._baseline_total[rows] += self._baseline_last
        places = self._places(rows)
        self._age[places] += telemetry.added or 1
        if not telemetry.added:
            self._add(rows, last, live, weighed)
        done = telemetry.tick + 1
        # The stages during the tick: a stage that is entered now has not seen this tick.
        in_stage = self._stage[rows]
        if self._pending is not None:
            waits = self._pending.waits(rows)
            in_stage = np.where(waits, -1, in_stage)
            self.verdicts.paused_ticks[rows] += self._pending.reacts(rows)
            for target, which, carried in self._pending.take(rows, done):
                self._go(target, which, carried, done)
        for number, stage in enumerate(self._chain):
            at_stage = in_stage == number
            if at_stage.any():
                at = marked(at_stage)
                self._judge(number, stage, rows[at], last[at], done)
        return self._route(done, last[marked(self.verdicts.verdict[rows] == _OPEN)])

    def _add(self, rows: Ints, last: Ints, live: Floats, weighed: Floats | None) -> None:
        """Add a tick to the sums of the stage."""
        if self._contrasted.size:
            self._contrasts.add(rows, last, live, self._contrasted)
        if self._visited:
            assert weighed is not None
            self._contrasts.add_weighed(rows, self._visited, weighed)
        if self._outcomes:
            metric = self.setting.metrics[self.setting.primary]
            self._aipw.add(rows, last, self._total, self._moments, live, metric.nominal_mean, metric.grid)
        self._total[self._places(rows)] += last

    def stretch(self, ticks: int) -> Stretch | None:
        """So many ticks at most in which nothing changes but sums, after those played; None where each has to be judged.

        Call it between `step` and the next `step`, whose telemetry tells how many were added.
        """
        if not any(self._rests) or self.heard is not None:
            return None
        rows, places = self._rows, self._places(self._rows)
        in_stage, age = self._stage[places], self._age[places]
        within, pooled = np.full((2, rows.size, len(self.setting.arms) - 1), np.inf)
        for number, stage in enumerate(self._chain):
            at = marked(in_stage == number) if (in_stage == number).any() else None
            if at is None:
                continue
            quiet = None
            if self._rests[number]:
                quiet = stage.evidence.quiet(self._view(number, 0, rows[at], self._total[:0], 0))
            if quiet is None:
                return None
            longest = np.inf if stage.max_duration is None else self.setting.ticks_of(stage.max_duration) - age[at].max()
            ticks = int(min(ticks, longest, np.inf if quiet.ticks is None else quiet.ticks))
            (pooled if quiet.pooled else within)[at] = quiet.information
        if ticks < 2:
            return None
        metric = self.setting.metrics[self.setting.primary]
        return Stretch(
            min(ticks, LONGEST), self._total, self._contrasts.in_memory, self._contrasted,
            self._contrasts.columns[self._outcomes[0]], self._aipw.in_memory, self._moments, metric.nominal_mean,
            metric.grid, within, pooled,
        )  # fmt: skip

    def stage_of(self, row: int) -> str:
        """The name of the stage that a replication is in; empty of an only stage without a name."""
        return self.stages[int(self._stage[row])].name

    def _places(self, rows: Ints) -> Ints | slice:
        """Where replications `rows` (r,) stand in arrays of all: there, or everywhere, as a slice, which copies nothing."""
        return slice(None) if rows.size == self.setting.replications else rows

    def estimates(self) -> EffectEstimates:
        """Estimates of the effect at each verdict. Call it after the last tick."""
        estimates = EffectEstimates.none(self.setting.replications)
        if not self._outcomes:
            return estimates
        metric = self.setting.metrics[self.setting.primary]
        decided = self.verdicts.decided_tick > 0
        # Whether outcomes may become known under other shares than those under which they were sent.
        late = metric.delayed and any(stage.moves(self.setting) for stage in self._chain)
        for number, stage in enumerate(self._chain):
            rows = np.flatnonzero(decided & (self._stage == number))
            if not rows.size or not stage.evidence.reads_reward:
                continue
            shipped = self.verdicts.verdict[rows] == Verdict.SHIP
            arm = np.where(shipped, self.verdicts.arm[rows], self._best(rows, self._arms_in[rows]))
            view = self._view(number, 0, rows, self._total[rows], self.setting.ticks)
            view.contrasts = self._contrasts.part(self._places(rows))
            plain = naive(view, metric, arm)
            estimates.naive[rows], estimates.naive_error[rows] = plain
            if not late or self._outcomes[0] in self._visited:
                estimates.contrast[rows], estimates.contrast_error[rows] = within_ticks(view, metric, arm)
            if not late:
                estimates.aipw[rows], estimates.aipw_error[rows] = self._aipw.estimate(rows, arm, metric.sign)
            estimates.effect[rows], estimates.error[rows] = stage.evidence.estimate(view, arm) or plain
            estimates.arm[rows] = np.where(np.isfinite(estimates.effect[rows]), arm, -1)
            share = stage.evidence.planned_share(view)
            if share is not None:
                gave_up = self.verdicts.verdict[rows] == Verdict.INCONCLUSIVE
                estimates.planned[rows] = np.where(gave_up, share[np.arange(arm.size), arm], np.nan)
            unbiased = stage.evidence.unbiased(view, arm)
            if unbiased is not None:
                estimates.unbiased[rows], estimates.lower[rows], estimates.upper[rows] = unbiased
        return estimates

    def offline_choice(self) -> OfflineChoice | None:
        """What its offline stage made of the scores; None of a policy without one. Call it after `start`."""
        number = next((number for number, each in enumerate(self._offline) if each is not None), None)
        if number is None:
            return None
        evaluation = self._offline[number]
        assert evaluation is not None
        rows = np.arange(self.setting.replications)
        scores = self._scores[evaluation]
        gain = gains(scores, self.setting.metrics[evaluation.metric].sign)
        arm = 1 + gain[:, 1:].argmax(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            estimate = np.where(scores[:, 0] != 0, gain[rows, arm] / np.abs(scores[:, 0]), np.nan)
        view = self._view(number, 0, rows, np.zeros_like(self._total), self.setting.ticks)
        view.age, view.arms_in = np.full(rows.size, self.setting.ticks), np.ones(gain.shape, bool)
        passed = self._chain[number].evidence.judge(view) == _PASSED
        picked = np.where(passed[rows, arm], arm, 0)
        return OfflineChoice(evaluation.metric, arm, estimate, picked)

    def foreseen(self, done: int) -> Floats:
        """(R,) in which tick each replication decides at the latest, as settings tell after `done` ticks; else infinity.

        A stage ends after its length or its longest duration. What waits for planned information ends when all of it has come,
        if it goes on to come as it did.
        """
        found: Floats = np.full(self.setting.replications, np.inf)
        ended = self.verdicts.verdict != _OPEN
        found[ended] = self.verdicts.decided_tick[ended]
        lengths = [stage.longest(self.setting) for stage in self._chain]
        for number, stage in enumerate(self._chain):
            rows = np.flatnonzero(~ended & (self._stage == number))
            if not rows.size:
                continue
            age = self._age[rows]
            longest: Floats = np.full(rows.size, lengths[number])
            share = stage.evidence.planned_share(self._view(number, 0, rows, self._total[rows], done))
            if share is not None:
                least = np.where(self._arms_in[rows], share, np.inf)[:, 1:].min(axis=1)
                with np.errstate(divide="ignore", invalid="ignore"):
                    longest = np.fmin(longest, np.where(least > 0, age / least, np.inf))
            found[rows] = done - age + np.maximum(longest, age) + sum(lengths[number + 1 :])
        return found

    def _primary_columns(self) -> tuple[Column, ...]:
        """The columns of the primary metric, if some stage reads it as a reward and telemetry has them; else none."""
        metric = self.setting.metrics.get(self.setting.primary)
        if metric is None or not any(stage.evidence.reads_reward for stage in self._chain):
            return ()
        wanted = moments_of(metric)
        return wanted if all(column in self.columns for column in wanted) else ()

    def _judge(self, number: int, stage: Stage, rows: Ints, last: Ints, done: int) -> None:
        places = self._places(rows)
        before, in_stage = self._findings[places], self._arms_in[places]
        checks, rang = [], np.zeros(rows.size, np.int64)
        for place, check in enumerate(stage.checks, start=1):
            found, view = self._ask(number, place, check, rows, last, done)
            checks.append(found)
            rang += rang_of(check.rings(view, found), in_stage)
        if stage.allocation.may_hold():
            self._hold(number, stage, rows, last, done)
        evidence, _ = self._ask(number, 0, stage.evidence, rows, last, done)
        self._tell(done, rows, [(stage.evidence, evidence), *zip(stage.checks, checks, strict=True)])
        if self._goes_on(stage, places, before, in_stage, [evidence, *checks]):
            self._findings[places, 0] = _NULL
        else:
            self._conclude(number, stage, rows, evidence, checks, done)
        if rang.any():
            self._alarms.ring(rows, rang, done)

    def _conclude(
        self, number: int, stage: Stage, rows: Ints, evidence: NDArray[np.int8], checks: list[NDArray[np.int8]], done: int
    ) -> None:  # fmt: skip
        """What the findings of a tick, (r, K) each, mean for the arms and for the stage."""
        places = self._places(rows)
        # Copies, as both are set below.
        before, in_stage = self._findings[rows], self._arms_in[rows]
        fresh = (before == _GOING) & in_stage
        fresh[:, 0] = False
        findings = np.where(fresh, evidence, before)
        if stage.evidence.declares:
            declared = (fresh & ((evidence == _PASSED) | (evidence == _FAILED))).any(axis=1)
            first = rows[declared & (self.verdicts.significant_tick[places] < 0)]
            self.verdicts.significant_tick[first] = done
        held, shown = np.ones(findings.shape, bool), np.ones(findings.shape, bool)
        for check, check_findings in zip(stage.checks, checks, strict=True):
            if not check.stops:
                failed = (check_findings == _FAILED) & in_stage
                self.verdicts.reported[rows[failed[:, 1:].any(axis=1)]] = 1.0
                continue
            findings = np.where(check_findings == _FAILED, _FAILED, findings)
            findings = np.where((check_findings == _DOUBTFUL) & (findings != _FAILED), _DOUBTFUL, findings)
            seen = check_findings != _GOING
            held, shown = (held, shown & seen) if check.waits else (held & seen, shown)
        if stage.evidence.leaves_it_to_checks():
            findings = np.where((findings == _PASSED) & ~shown, _GOING, findings)
        findings = np.where((findings == _PASSED) & fresh & ~held, _DOUBTFUL, findings)
        # The finding of the evidence stands. The stage goes on until every guardrail that `waits` has a finding.
        waiting = (findings == _PASSED) & ~shown & in_stage
        if stage.max_duration is not None:
            late = self._age[places] >= self.setting.ticks_of(stage.max_duration)
            findings = np.where(late[:, None] & ((findings == _GOING) | waiting), _DOUBTFUL, findings)
        findings = np.where(in_stage, findings, _NULL).astype(np.int8)
        findings[:, 0] = _NULL
        self._findings[places] = findings
        over = ~((findings == _GOING) | (waiting & (findings == _PASSED))).any(axis=1)
        # A stage that is over carries its own arms on: see `_follow`.
        self._arms_in[places] = in_stage & ((findings != _FAILED) | over[:, None])
        if over.any():
            self._follow(number, stage, rows[over], findings[over], in_stage[over], done)

    def _goes_on(
        self, stage: Stage, places: Ints | slice, before: NDArray[np.int8], arms_in: Bools, found: list[NDArray[np.int8]]
    ) -> bool:
        """Whether a stage goes on for all replications as it did, with all arms, as in most ticks."""
        longest = None if stage.max_duration is None else self.setting.ticks_of(stage.max_duration)
        if longest is not None and self._age[places].max() >= longest:
            return False
        evidence, *checks = (each[:, 1:] for each in found)
        # Whatever comes after PASS ends an arm's part in the stage.
        calm = not evidence.any() and not any((each > _PASSED).any() for each in checks)
        return bool(calm and arms_in.all() and not before[:, 1:].any())

    def _follow(self, number: int, stage: Stage, rows: Ints, findings: NDArray[np.int8], arms_in: Bools, done: int) -> None:
        passed = (findings == Finding.PASS).any(axis=1)
        doubtful = ~passed & (findings == Finding.INCONCLUSIVE).any(axis=1)
        failed = ~passed & ~doubtful
        carried = np.where(passed[:, None], findings == Finding.PASS, arms_in & (findings != Finding.FAIL))
        carried[:, 0] = True
        self.verdicts.found_tick[rows] = done
        last = number == len(self._chain) - 1
        reactions = stage.reaction or Reactions()
        for which, target, reaction in (
            (passed, stage.on.passed, None),
            (doubtful, stage.on.inconclusive, reactions.inconclusive),
            (failed, stage.on.fail, reactions.fail),
        ):
            if not which.any():
                continue
            if target == NEXT:
                target = SHIP if last else self._chain[number + 1].name
            if reaction is None:
                self._go(target, rows[which], carried[which], done)
            else:
                self._wait(reaction, reactions.muting, target, rows[which], carried[which], done)

    def _wait(
        self, reaction: Reaction, muting: Muting | None, target: str, rows: Ints, carried: Bools, done: int
    ) -> None:  # fmt: skip
        """Wait until somebody acts on an outcome; whoever does so at once, does so now."""
        assert self._pending is not None
        assert self.setting.draws is not None, "only what is played can draw"
        uniform = self.setting.draws("reaction", rows, (self._cohort[rows],))
        asked = np.full(rows.size, done)
        if muting is not None:
            asked = self._alarms.heeded(muting, rows, done, self.setting)
            self.verdicts.muted[rows] += asked > done
        due = reaction.due(asked, uniform, self.setting)
        now, later = due <= done, due > done
        if now.any():
            self._go(target, rows[now], carried[now], done)
        self._pending.add(rows[later], due[later], target, carried[later])

    def _go(self, target: str, rows: Ints, carried: Bools, done: int) -> None:
        if target in (KEEP, INCONCLUSIVE):
            rows = self._try_again(rows, done) if target == KEEP else rows
            self._end(rows, _ENDINGS[target], np.zeros(rows.size, np.int64), done)
            return
        left = carried[:, 1:].any(axis=1)
        none, rows, carried = rows[~left], rows[left], carried[left]
        self._end(none, Verdict.KEEP, np.zeros(none.size, np.int64), done)
        if target == SHIP:
            self._end(rows, Verdict.SHIP, self._best(rows, carried), done)
        else:
            self._enter([stage.name for stage in self._chain].index(target), rows, carried)

    def _try_again(self, rows: Ints, done: int) -> Ints:
        """Those of the rolled back replications (r,) that are not tried again; the others wait for their next try."""
        ends: Bools = np.ones(rows.size, bool)
        for number, stage in enumerate(self._chain):
            retry = stage.on.retry
            if retry is None:
                continue
            assert self._pending is not None
            due = done + self.setting.ticks_of(retry.after)
            again = (self._stage[rows] == number) & (self.verdicts.tries[rows] <= retry.times) & (due < self.setting.ticks)
            self._pending.rest(rows[again], np.full(int(again.sum()), due), self._chain[0].name)
            self.verdicts.tries[rows[again]] += 1
            ends &= ~again
        return rows[ends]

    def _enter(self, number: int, rows: Ints, arms_in: Bools) -> None:
        self._stage[rows] = number
        self._age[rows] = 0
        self._held[rows] = 0
        self._cohort[rows] += 1
        self._arms_in[rows] = arms_in
        self._findings[rows] = Finding.UNDECIDED
        self._total[rows] = 0
        if self._baseline_total is not None:
            self._baseline_total[rows] = 0
        self._contrasts.clear(rows)
        self._aipw.clear(rows)
        for part, memory in zip(self._chain[number].parts(), self._memory[number], strict=True):
            for key, fresh in part.memory(self.setting).items():
                memory[key][rows] = fresh

    def _end(self, rows: Ints, verdict: Verdict, arm: Ints, tick: int) -> None:
        self.verdicts.verdict[rows] = verdict
        self.verdicts.arm[rows] = arm
        self.verdicts.decided_tick[rows] = tick

    def _best(self, rows: Ints, carried: Bools) -> Ints:
        """(r,) the survivor with the best observed mean of the primary metric; the first listed where no mean was observed.

        A rule with an offline evaluation may rank them itself.
        """
        challengers = carried.copy()
        challengers[:, 0] = False
        value: Floats = np.zeros(challengers.shape)
        metric = self.setting.metrics.get(self.setting.primary)
        known, total_of = mean_of(self.setting.primary)
        count_at = self.columns.get(known)
        if metric is not None and count_at is not None:
            count = self._total[rows, :, count_at]
            total = self._total[rows, :, self.columns[total_of]] * metric.sign
            value = np.where(count > 0, total / np.maximum(count, 1), -1e300)
        for number, asked in enumerate(self._offline):
            at = np.flatnonzero(self._stage[rows] == number) if asked is not None else rows[:0]
            if at.size:
                view = self._view(number, 0, rows[at], self._total[rows[at]], self.setting.ticks)
                ranking = self._chain[number].evidence.ranking(view)
                value[at] = value[at] if ranking is None else ranking
        return np.asarray(np.where(challengers, value, -np.inf).argmax(axis=1))

    def _ask(
        self, number: int, place: int, part: Evidence | Guardrail, rows: Ints, last: Ints, done: int
    ) -> tuple[NDArray[np.int8], View]:
        """What a part finds (r, K), and what it saw, with its memory as it is then."""
        view = self._view(number, place, rows, last, done)
        if self._baseline_total is not None and isinstance(part, Guardrail) and part.baseline_as != "nothing":
            self._show_baseline(view, added=part.baseline_as == "added")
        findings = part.judge(view)
        self._remember(number, place, rows, view)
        return findings, view

    def _tell(self, done: int, rows: Ints, found: Sequence[tuple[Evidence | Guardrail, NDArray[np.int8]]]) -> None:
        for part, findings in found if self.heard is not None else ():
            assert self.heard is not None
            self.heard(done, part, rows, findings)

    def _hold(self, number: int, stage: Stage, rows: Ints, last: Ints, done: int) -> None:
        """Ask the allocation whether its schedule stood still in the tick that ended."""
        place_of_allocation = len(self._memory[number]) - 1
        view = self._view(number, place_of_allocation, rows, last, done)
        good: Bools = np.ones(rows.size, bool)
        for place, check in enumerate(stage.checks, start=1) if stage.allocation.heeds_looks() else ():
            if check.stops:
                found = check.last_look_good(self._view(number, place, rows, last, done)) | ~view.arms_in
                good &= found[:, 1:].all(axis=1)
        view.good = good
        still = stage.allocation.hold(view)
        self._held[rows] += still
        self.verdicts.paused_ticks[rows] += still
        self._remember(number, place_of_allocation, rows, view)

    def _remember(self, number: int, place: int, rows: Ints, view: View) -> None:
        own = self._memory[number][place]
        for key, array in view.memory.items():
            if array is not own[key]:
                own[key][self._places(rows)] = array

    def _view(self, number: int, place: int, rows: Ints, last: Ints, tick: int) -> View:
        places = self._places(rows)
        return View(
            setting=self.setting,
            tick=tick,
            age=_shown(self._age[places]),
            arms_in=_shown(self._arms_in[places]),
            last=_shown(last),
            total=_shown(self._total[places]),
            columns=self.columns,
            mirrored=self._chain[number].allocation.mirrors,
            # Where all replications are asked, the part writes to the policy's own arrays.
            memory={
                key: array[rows] if isinstance(places, np.ndarray) else array
                for key, array in self._memory[number][place].items()
            },
            contrasts=self._contrasts.part(places if self._compares[number][place] else rows[:0]),
            held=_shown(self._held[places]),
            rows=rows,
            entry=_shown(self._cohort[places]),
            offline=self._told(number, place, rows),
        )

    def _of_arms(self, array: Floats) -> Floats:
        """(r, K) without a baseline, which comes last."""
        return array[:, :-1] if self.setting.baseline else array

    def _show_baseline(self, view: View, added: bool) -> None:
        """Put what is seen of the baseline into the champion's place, or add it to what is seen of the champion."""
        assert self._baseline_total is not None
        seen = self._baseline_last[np.searchsorted(self._rows, view.rows)], self._baseline_total[view.rows]
        last, total = view.last.copy(), view.total.copy()
        for counts, of_baseline in zip((last, total), seen, strict=True):
            counts[:, 0] = counts[:, 0] + of_baseline if added else of_baseline
        view.last, view.total = _shown(last), _shown(total)

    def _told(self, number: int, place: int, rows: Ints) -> Scores:
        """The scores that a rule of evidence asked for."""
        asked = self._offline[number] if place == 0 else None
        return {} if asked is None else {asked: _shown(self._scores[asked][rows])}

    def _route(self, tick: int, last: Ints) -> Routing:
        rows = self._rows = self._rows[marked(self.verdicts.verdict[self._places(self._rows)] == _OPEN)]
        live: Floats = np.zeros((rows.size, len(self.setting.arms) + self.setting.baseline))
        arms = slice(len(self.setting.arms))
        mirror, writes = np.zeros((2, *live.shape))
        places = self._places(rows)
        entered = self._age[places] == 0
        if entered.any():
            last = np.where(entered[:, None, None], 0, last)
        in_stage = self._stage[places]
        for number, stage in enumerate(self._chain):
            at_stage = in_stage == number
            if at_stage.any():
                at, place = marked(at_stage), len(self._memory[number]) - 1
                view = self._view(number, place, rows[at], last[at], tick)
                live[at, arms] = masked(stage.allocation.live(view), view.arms_in)
                if self.setting.baseline and stage.allocation.beside():
                    live[at] = beside(live[at])
                if stage.allocation.mirrors:
                    mirror[at, arms] = np.where(view.arms_in, stage.allocation.mirror(view), 0.0)
                    writes[at, arms] = stage.allocation.copies_writes() * mirror[at, arms]
                self._remember(number, place, rows[at], view)
        if self._pending is not None:
            self._pending.hold(rows, live, mirror, writes)
        return Routing(rows=rows, live=live, mirror=mirror, cohort=self._cohort[rows], mirror_writes=writes)


def _shown(array: NDArray[Any]) -> NDArray[Any]:
    """What a part may read and not write: it may be the policy's own."""
    seen = array.view()
    seen.flags.writeable = False
    return seen


def _full_size(part: Part, setting: Setting) -> dict[str, NDArray[Any]]:
    fresh = part.memory(setting)
    return {key: np.repeat(array[None], setting.replications, axis=0) for key, array in fresh.items()}
