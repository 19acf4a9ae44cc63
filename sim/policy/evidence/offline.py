"""A decision by offline scores alone, before any traffic."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Floats
from sim.policy.base import Evidence, Finding, View
from sim.policy.guardrails.measured import BUILT_IN
from sim.policy.offline import Evaluation, Method, gains
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.spelling import there_are
from sim.units import Duration, Effect, format_duration, format_share

_FOLDS = 5


class OfflineScores(Evidence):
    """Pass a challenger that scores better than the champion on the same rows of labelled data, by more than a margin.

    Controls nothing: a score has no error rate. It knows neither how far the rows are from live traffic, nor what users do.

    >>> OfflineScores(metric="accuracy", min_gain="1%", rows=2000).min_gain
    0.01
    """

    declares: ClassVar[bool] = False
    before_traffic: ClassVar[bool] = True

    kind: Literal["offline"] = "offline"
    metric: str | None = Field(
        None, description="an outcome metric of the scenario, which is scored; the primary one if left out"
    )
    min_gain: Effect = Field(
        0.0,
        description="a challenger must score better than the champion by more than this, relative to the champion's score; "
        "negative to let one pass that scores a little worse",
    )
    rows: int | None = Field(
        None,
        ge=2,
        le=1_000_000_000,
        description="rows of labelled data; all rows of `data` if left out, and required where models are not replayed",
    )
    method: Method = Field(
        "holdout",
        description="holdout: rows that no version was trained on; kfold: the mean over folds, which tells less than as many "
        "rows held out; bootstrap: rows of `data` drawn with replacement",
    )
    folds: int | None = Field(None, ge=2, le=1_000_000_000, description=f"of kfold, {_FOLDS} if left out")
    takes: Duration | None = Field(
        None, description="how long the evaluation takes, with all traffic to the champion; no time if left out"
    )

    def evaluation(self, setting: DeclaredSetting) -> Evaluation:
        folds = (self.folds or _FOLDS) if self.method == "kfold" else 0
        return Evaluation(self.metric or setting.primary, self.rows, self.method, folds)

    def length_s(self) -> float:
        return self.takes or 0.0

    def ranking(self, view: View) -> Floats:
        evaluation = self.evaluation(view.setting)
        return gains(view.offline[evaluation], view.setting.metrics[evaluation.metric].sign)

    def judge(self, view: View) -> NDArray[np.int8]:
        least = self.min_gain * np.abs(view.offline[self.evaluation(view.setting)][:, :1])
        found = np.where(self.ranking(view) > least, Finding.PASS, Finding.FAIL)
        done = self.takes is None or view.age >= view.setting.ticks_of(self.takes)
        return np.where(view.arms_in & np.reshape(done, (-1, 1)), found, Finding.UNDECIDED).astype(np.int8)

    def told(self, setting: Setting) -> str:
        evaluation = self.evaluation(setting)
        rows = setting.table_rows if evaluation.rows is None else evaluation.rows
        how = {
            "holdout": f"on {rows:,} rows held out",
            "kfold": f"by {evaluation.folds}-fold cross-validation on {rows:,} rows",
            "bootstrap": f"on {rows:,} rows of the data, drawn with replacement",
        }[self.method]
        least = format_share(abs(self.min_gain))
        by = f"less than {least} worse" if self.min_gain < 0 else f"more than {least} better" if self.min_gain else "better"
        takes = f", which takes {format_duration(self.takes)}" if self.takes else ", before any request"
        return f"passes a challenger whose {evaluation.metric} {how} is {by} than the champion{takes}"

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems: list[tuple[str, str]] = []
        if self.metric is not None and self.metric not in setting.metrics:
            rule = (
                f"{self.metric} is seen on live traffic only: an offline evaluation scores outcomes"
                if self.metric in BUILT_IN
                else f"no metric {self.metric!r} that can be scored offline"
            )
            problems.append(("metric", f"{rule}; {there_are(setting.metrics)}"))
        if self.rows is None and not setting.replayed:
            problems.append(("rows", "is required: how many labelled rows the models are scored on"))
        if self.method == "bootstrap" and not setting.replayed:
            rule = "bootstrap draws from the rows of `data`, which behaviour models do not have: take holdout or kfold"
            problems.append(("method", rule))
        if self.folds is not None and self.method != "kfold":
            problems.append(("folds", f"is for kfold, got it for {self.method}"))
        if self.takes is not None:
            problems += whole_ticks("takes", self.takes, setting)
        if problems or self.rows is None:
            return problems
        return self.evaluation(setting).table_problems(self.rows)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        evaluation = self.evaluation(setting)
        problems, name = evaluation.table_problems(setting.table_rows) if setting.replayed else [], evaluation.metric
        if self.min_gain and setting.metrics[name].nominal_mean == 0:
            problems.append(("min_gain", f"is relative, and the champion's registered mean of {name} is 0"))
        return problems
