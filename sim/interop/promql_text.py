"""Queries of Prometheus that measure what a check does; `sim.interop.queries` reads them back."""

from __future__ import annotations

from collections.abc import Mapping

from sim.policy.guardrails import Check

LABEL = "service"


def query_of(check: Check, window: str, picks: Mapping[str, str], *, filtered: bool) -> str:
    """The query of a check over a window. `picks` has the labels of the canary and of the stable version.

    `filtered`: it gives no result, and not 0/0, where there are no requests.

    >>> check = Check(metric="error_rate", max="1%")
    >>> query_of(check, "60s", {"canary": 'service="a"'}, filtered=False)
    'sum(rate(http_requests_total{service="a",status=~"5.."}[60s])) / sum(rate(http_requests_total{service="a"}[60s]))'
    """
    canary = "" if check.sees == "service" else picks["canary"]
    own = _of(check, window, canary, filtered=filtered)
    ratio, difference = check.max_ratio or check.min_ratio, check.max_difference is not None or check.min_difference is not None
    if not ratio and not difference:
        return own
    return f"({own}) {'/' if ratio else '-'} ({_of(check, window, picks['stable'], filtered=filtered)})"


def _of(check: Check, window: str, label: str, *, filtered: bool) -> str:
    def counted(name: str, more: str = "") -> str:
        labels = ",".join(each for each in (label, more) if each)
        return f"sum(rate({name}{{{labels}}}[{window}]))" if labels else f"sum(rate({name}[{window}]))"

    def over(count: str, name: str) -> str:
        every = counted(name)
        return f"{count} / ({every} > 0)" if filtered else f"{count} / {every}"

    if check.metric == "requests":
        return counted("http_requests_total")
    if check.metric == "mean_latency":
        return over(counted("http_request_duration_seconds_sum"), "http_request_duration_seconds_count")
    if check.metric == "latency":
        inner = counted("http_request_duration_seconds_bucket").replace("sum(", "sum by (le) (", 1)
        return f"histogram_quantile({0.99 if check.quantile is None else check.quantile:.12g}, {inner})"
    return over(counted("http_requests_total", 'status=~"5.."'), "http_requests_total")
