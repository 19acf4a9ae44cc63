"""Queries and conditions: the forms that people write, what they come to, and that nothing else is guessed."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.interop.argo.analysis import Names
from sim.interop.argo.pods import pods_of
from sim.interop.checks import check_of
from sim.interop.conditions import bounds_of, condition_of
from sim.interop.judging import by_conditions, judge
from sim.interop.promql import parse
from sim.interop.queries import Measure, measure_of
from sim.interop.reading import go_seconds
from sim.interop.tokens import Unread

SIGHT = Names("shop-canary", "shop").sight
ALL, BAD = 'sum(rate(hits{s="shop-canary"}[1m]))', 'sum(rate(hits{s="shop-canary",code=~"5.."}[1m]))'
GOOD, STABLE = BAD.replace("=~", "!~"), f"{BAD} / {ALL}".replace("shop-canary", "shop")
WITHIN = 'sum(rate(answer_seconds_bucket{s="shop-canary",le="0.5"}[1m]))'
CLASS = BAD.replace('code=~"5.."', 'code="5xx"')
SLOW = 'sum(rate(answer_seconds_bucket{s="shop-canary"}[1m])) by (le)'


def check(query: str, success: str = "", failure: str = "") -> dict[str, object]:
    """The keys of the check of a query and its conditions."""
    conditions = [condition_of(text) if text else None for text in (success, failure)]
    numbers = tuple(sorted({number for each in conditions if each for number in each.numbers}))
    measure = measure_of(query, SIGHT)
    return check_of(measure, judge(measure, by_conditions(*conditions), numbers))


@pytest.mark.parametrize(
    ("query", "success", "keys"),
    [
        (f"{BAD} / {ALL}", "result[0] <= 0.01", {"metric": "error_rate", "max": "1%"}),
        (f"{GOOD} / {ALL}", "result[0] >= 0.99", {"metric": "error_rate", "max": "1%"}),
        (f"1 - {GOOD} / {ALL}", "result[0] <= 0.01", {"metric": "error_rate", "max": "1%"}),
        (f"100 * ({ALL} - {BAD}) / {ALL}", "99 <= result[0]", {"metric": "error_rate", "max": "1%"}),
        (f"({BAD} or vector(0)) / {ALL} * 100", "!(result[0] > 1)", {"metric": "error_rate", "max": "1%"}),
        (f"{BAD} / ({BAD} + {GOOD})", "all(result, {# <= 0.01})", {"metric": "error_rate", "max": "1%"}),
        (f"scalar({BAD} / clamp_min({ALL}, 1))", "result <= 0.01", {"metric": "error_rate", "max": "1%", "no_data": "pass"}),
        (f"{BAD} / ({ALL} > 0)", "result[0] <= 0.01", {"metric": "error_rate", "max": "1%", "no_data": "wait"}),
        (f"{BAD} / {ALL}", "result[0] <= 0.01 || isNaN(result[0])", {"metric": "error_rate", "max": "1%", "no_data": "pass"}),
        (f"{BAD} / {ALL}", "result[0] < 0.01", {"metric": "error_rate", "max": "0.999999999%"}),
        (f"histogram_quantile(0.95, {SLOW})", "result[0] <= 0.5", {"metric": "latency", "quantile": "95%", "max": "500ms"}),
        (
            f"histogram_quantile(0.99, {SLOW.replace('_seconds_', '_milliseconds_')})", "result[0] <= 250",
            {"metric": "latency", "quantile": "99%", "max": "250ms"},
        ),
        (
            f"{WITHIN} / {ALL}", "result[0] >= 0.9",
            {"metric": "latency", "quantile": "90%", "max": "500ms"},
        ),
        (
            'sum(increase(t_seconds_sum{s="shop-canary"}[1m])) / sum(increase(t_seconds_count{s="shop-canary"}[1m]))',
            "result[0] <= 0.2", {"metric": "mean_latency", "max": "200ms"},
        ),
        (ALL, "result[0] >= 2", {"metric": "requests", "min": "2/s"}),
        (ALL.replace("rate", "increase"), "result[0] >= 120", {"metric": "requests", "min": "2/s"}),
        (f"({BAD} / {ALL}) / ({STABLE})", "result[0] <= 1.5", {"metric": "error_rate", "max_ratio": 1.5}),
        (f"({BAD} / {ALL}) - ({STABLE})", "result[0] <= 0.005", {"metric": "error_rate", "max_difference": "0.5%"}),
        (
            'sum(rate(errors_total[1m])) / sum(rate(requests_total[1m]))', "result[0] <= 0.01",
            {"metric": "error_rate", "sees": "service", "max": "1%"},
        ),
        (f"{BAD.replace('5..', '[45]..')} / {ALL}", "result[0] <= 0.01", {"metric": "error_rate", "max": "1%"}),
        (f"{BAD.replace('code=~', 'status!~').replace('5..', '[1-4]..')} / {ALL}", "result[0] <= 0.01", {"max": "1%"}),
        (f"{CLASS} / {ALL}", "result[0] <= 0.01", {"max": "1%"}),
    ],
)  # fmt: skip
def test_common_forms_are_recognised(query: str, success: str, keys: dict[str, object]) -> None:
    found = check(query, success)
    assert {key: found.get(key) for key in keys} == keys
    assert found["over"] == "1m"


def test_two_conditions_leave_a_doubt() -> None:
    found = check(f"{BAD} / {ALL}", "result[0] <= 0.03", "result[0] > 0.04")
    assert (found["max"], found["doubt_above"], found["no_data"]) == ("4%", "3%", "doubt")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("up", "reads a value as it is"),
        ("rate(hits[1m])", "single series"),
        (BAD, "errors, in no proportion"),
        (f"{BAD} / 5", "errors, in no proportion"),
        (f"{BAD} / {ALL.replace('1m', '5m')}", "windows of different lengths"),
        (f"{BAD} / {ALL.replace('shop-canary', 'shop')}", "counts of canary in proportion to those of stable"),
        (f"sum by (pod) (rate(hits[1m])) / {ALL}", "a result for each pod"),
        (f"avg(rate(hits[1m])) / {ALL}", "neither their sum"),
        ("sum(rate(hits[5m:1m]))", "a subquery"),
        ("sum(rate(hits[1m] offset 1h))", "another time than now"),
        (f"{BAD} / {ALL} > bool 1", "a comparison inside a query"),
        (f"{BAD} / on(a) group_left {ALL}", "group_left"),
        ("histogram_quantile(0.9, sum(rate(t_bucket[1m])) by (le))", "in seconds or milliseconds"),
        ("histogram_quantile(2, sum(rate(t_seconds_bucket[1m])) by (le))", "a level between 0 and 1"),
        ('sum(rate(hits{code=~"(.?){99}"}[1m]))', "the pattern"),
        ('sum(rate(hits{code=~"["}[1m]))', "is none"),
        ('sum(rate(hits{code=~"404"}[1m])) / sum(rate(hits[1m]))', "neither the failures"),
        ('sum(rate(hits{a="canary",b="stable"}[1m]))', "at once"),
        ("(" * 99 + "1" + ")" * 99, "levels of brackets"),
        ("-" * 9000 + "1", "levels of brackets"),
        ("1" * 30_000, "characters"),
        ("1 / 0", "divides by 0"),
        ("sum(rate(hits[1m]", "is missing"),
        ("sum(rate(hits[1x]))", "no duration"),
        ("'", "a quote is not closed"),
        ("", "it is empty"),
        ("5 5", "is not understood here"),
        ("$(reboot)", "'$' is not understood"),
    ],
)
def test_other_queries_say_why_they_are_not_recognised(query: str, why: str) -> None:
    with pytest.raises(Unread, match=re.escape(why)):
        measure_of(query, SIGHT)


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("result.ok == true", "asks for a field"),
        ("result[1] > 0", "another series"),
        ("result[0] * 100 > 5", "calculates with the result"),
        ("open('/etc/passwd') == result", "'/etc/passwd' is not understood"),
        ("1 > 0", "does not ask for the result"),
        ("result[0] >", "is not understood"),
        ("!" * 200 + "result", "levels"),
    ],
)
def test_other_conditions_say_why(condition: str, why: str) -> None:
    with pytest.raises(Unread, match=why):
        condition_of(condition)


def test_a_condition_of_two_ranges_is_refused() -> None:
    condition = condition_of("result[0] < 1 || result[0] > 5")
    with pytest.raises(Unread, match="several ranges"):
        bounds_of(condition.holds, condition.numbers)


TEXT = st.text(alphabet=st.sampled_from(list("sumrate hits{}[]()\"'=~!<>|&+-*/%^.,:05m\\`#$\n\u00e9@")), max_size=60)


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_any_text_is_read_or_refused(text: str) -> None:
    for reader in (parse, condition_of, go_seconds, lambda each: measure_of(each, SIGHT)):
        try:
            found = reader(text)
        except Unread:
            continue
        if isinstance(found, Measure):
            assert found.window_s > 0


@given(st.integers(1, 60), st.integers(1, 99), st.integers(0, 3))
def test_pods_come_as_near_as_whole_pods_can(replicas: int, weight: int, surge: int) -> None:
    """Nothing that is allowed comes nearer: a pod of each version at least, and one more in all with a surge."""
    canary, all_pods = pods_of(replicas, weight, surge)
    totals = {replicas, replicas + 1} if surge else {replicas}
    assert all_pods in totals
    if replicas == 1 and surge == 0:
        assert canary in (0, 1)
        return
    assert canary >= 1 or replicas == 1
    best = min(abs(pods / total - weight / 100) for total in totals for pods in range(1, total))
    assert math.isclose(abs(canary / all_pods - weight / 100), best, abs_tol=1e-9)
