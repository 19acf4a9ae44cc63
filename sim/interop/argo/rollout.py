"""An Argo Rollout as a policy, by what its controller does step by step."""

from __future__ import annotations

from sim.errors import Place
from sim.interop.accounting import Account
from sim.interop.argo.analysis import Names, Templates, analysis_of
from sim.interop.argo.pods import pods_of, surge_of
from sim.interop.policy import Gate, Hold, Mirror, Op, Weight
from sim.interop.reading import Values

_CANARY: Place = ("spec", "strategy", "canary")
_BLUE_GREEN: Place = ("spec", "strategy", "blueGreen")
EVERY_REQUEST = {"path": {"prefix": "/"}}
"""A match that every request meets."""


def ops_of(account: Account, templates: Templates) -> list[Op]:
    """What a Rollout does, in order. What cannot be carried is refused in the account."""
    values = Values(account)
    if not values.mapping(("spec", "strategy")):
        account.refuse(("spec", "strategy"), "a Rollout needs a strategy: canary or blueGreen")
        return []
    strategy = account.object.get(("spec", "strategy"))
    if set(strategy) == {"blueGreen"}:
        return _blue_green(values, templates)
    if set(strategy) != {"canary"}:
        account.refuse(("spec", "strategy"), "must have exactly one of canary and blueGreen")
        return []
    return _Canary(values, templates).ops()


class _Canary:
    def __init__(self, values: Values, templates: Templates) -> None:
        self.values, self.account, self.templates = values, values.account, templates
        self.names = Names(values.text((*_CANARY, "canaryService")), values.text((*_CANARY, "stableService")))
        self.routed = bool(values.get((*_CANARY, "trafficRouting")))
        self.most = values.whole((*_CANARY, "trafficRouting", "maxTrafficWeight"), 100, least=1, most=10**6) or 100
        self.replicas = values.whole(("spec", "replicas"), 1, least=0, most=10**6) or 0
        surge = values.get((*_CANARY, "maxSurge"))
        read = surge_of("25%" if surge is None else surge, self.replicas)
        if read is None:
            self.account.refuse((*_CANARY, "maxSurge"), f"must be a number of pods or a share such as 25%; got {surge!r}")
        self.surge = read or 0
        self.weight, self.scaled = 0, False

    def ops(self) -> list[Op]:
        values, account = self.values, self.account
        steps = values.items((*_CANARY, "steps"))
        start = values.whole((*_CANARY, "analysis", "startingStep"), 0, least=0) or 0
        background = values.mapping((*_CANARY, "analysis"))
        if background and start > len(steps):
            account.refuse((*_CANARY, "analysis", "startingStep"), f"there are {len(steps)} steps; got {start}")
        if not steps:
            account.remark(
                _CANARY, "without steps all pods are replaced, and nothing is looked at in between: it is played as a switch",
                "give it steps",
            )  # fmt: skip
        if self.routed and "replicas" in (account.object.get(("spec",)) or {}):
            account.ignore(("spec", "replicas"), "a traffic router sets the weights, whatever the number of pods")
        if self.routed:
            account.ignore((*_CANARY, "maxSurge"), "a traffic router sets the weights, whatever the number of pods")
        analysed = background
        ops: list[Op] = []
        for index, place in enumerate(steps):
            if background and index == start:
                ops.append(self._analysis((*_CANARY, "analysis"), waited=False))
            ops += self._step(place)
            analysed |= values.get((*place, "analysis")) is not None
        if background and start == len(steps) and steps:
            account.remark(
                (*_CANARY, "analysis", "startingStep"), "it would begin after the last step: it never looks", "an earlier step"
            )
        if steps and not analysed:
            account.remark(
                _CANARY, "there is no analysis: nothing but a person ever aborts it, however bad the new version is",
                "give it an analysis in the background",
            )  # fmt: skip
        return ops

    def _analysis(self, place: Place, *, waited: bool) -> Op:
        return analysis_of(self.values, place, self.templates, self.names, waited=waited)

    def _step(self, place: Place) -> list[Op]:
        values = self.values
        step = self.account.object.get(place)
        if not isinstance(step, dict) or len(step) != 1:
            self.account.refuse(place, "a step has exactly one of setWeight, pause, analysis and the others")
            return []
        (kind,) = step
        if step[kind] is None:
            self.account.refuse((*place, kind), f"an empty {kind} is dropped by the cluster, and the step is none; write {{}}")
            return []
        if kind == "setWeight":
            self.weight = weight = values.whole((*place, kind), 0, least=0, most=self.most) or 0
            return [Weight(self._share(place, weight), (*place, kind))]
        if kind == "pause":
            return [self._pause((*place, kind))]
        if kind == "analysis":
            return [self._analysis((*place, kind), waited=True)]
        if kind == "setMirrorRoute":
            return [self._mirror((*place, kind))]
        self.scaled |= kind == "setCanaryScale"
        return []

    def _mirror(self, place: Place) -> Op:
        share = self.values.whole((*place, "percentage"), least=0, most=100)
        match = self.values.get((*place, "match"))
        if not self.routed:
            self.account.refuse(place, "a mirror needs trafficRouting")
        if match is None:
            if share is not None:
                self.account.remark(
                    (*place, "percentage"), "without a match the route is removed, and no request is copied",
                    "match: [{path: {prefix: /}}], which all requests meet",
                )  # fmt: skip
            return Mirror(None, place)
        if not self.scaled and not self.weight:
            self.account.remark(
                place, "at a weight of 0 a canary has no pods, and a mirror finds nobody; it is played as if there were some",
                "setCanaryScale before it",
            )  # fmt: skip
        # Of several, one must be met.
        if not isinstance(match, list) or EVERY_REQUEST not in match:
            self.account.refuse((*place, "match"), "what share of the requests it matches is not known")
        return Mirror((100 if share is None else share) / 100, place)

    def _pause(self, place: Place) -> Op:
        seconds = self.values.seconds((*place, "duration"), bare=True)
        if not self.values.mapping(place):
            return Hold(0.0)
        if not seconds:
            self.account.use(place, "until a person promotes")
            self.account.remark(
                place, "a pause without end lasts until a person promotes; how long that takes is an assumption",
                "a duration, or --approval with how long your people take",
            )  # fmt: skip
            return Gate(place)
        return Hold(seconds)

    def _share(self, place: Place, weight: int) -> float:
        """The share of traffic that a weight gives."""
        asked = weight / self.most
        if self.routed:
            return asked
        canary, all_pods = pods_of(self.replicas, weight, self.surge, self.most)
        given = round(canary / all_pods, 12) if all_pods else 0.0
        if given != asked:
            self.account.use((*place, "setWeight"), f"whole pods give {100 * given:.3g}%: {canary} of {all_pods}")
            self.account.remark(
                (*place, "setWeight"),
                f"without a traffic router, whole pods give {100 * given:.3g}% for {100 * asked:.3g}%: {canary} of {all_pods}",
                "trafficRouting, more replicas, or a weight that they can give",
            )
        return given


def _blue_green(values: Values, templates: Templates) -> list[Op]:
    account = values.account
    ops: list[Op] = []
    seconds = values.seconds((*_BLUE_GREEN, "autoPromotionSeconds"), bare=True)
    by_hand = not values.flag((*_BLUE_GREEN, "autoPromotionEnabled"), default=True)
    if by_hand and not seconds:
        ops.append(Gate((*_BLUE_GREEN, "autoPromotionEnabled")))
        account.remark(
            (*_BLUE_GREEN, "autoPromotionEnabled"),
            "all traffic is switched when a person promotes; how long that takes is an assumption",
            "autoPromotionSeconds, or --approval with how long your people take",
        )
    elif by_hand and seconds:
        ops.append(Hold(seconds))
    ops.append(Weight(1.0, _BLUE_GREEN))
    after = (*_BLUE_GREEN, "postPromotionAnalysis")
    if values.mapping(after):
        active = values.text((*_BLUE_GREEN, "activeService"))
        # After the switch, whoever asks for the active service sees the new version.
        ops.append(analysis_of(values, after, templates, Names(active, ""), waited=True))
    else:
        account.remark(
            _BLUE_GREEN, "nothing is looked at after the switch: only a person ever goes back", "a postPromotionAnalysis"
        )
    return ops
