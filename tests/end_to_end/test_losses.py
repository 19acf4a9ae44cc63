"""What a rollout loses is told as a loss, by its size: of what is earned, and of errors and costs, of which less is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim.cli import main
from sim.compare.wording import quantity

MODELS = """\
model: desk
versions:
  - {alias: champion, outcomes: {sale: {bernoulli: 10%}, complaint: {bernoulli: 10%}}, latency: {constant: 50ms}}
  - {alias: challenger, outcomes: {sale: {bernoulli: 8%}, complaint: {bernoulli: 12%}}, latency: {constant: 50ms}}
"""

SCENARIO = """\
name: losses
seed: 5
replications: 20
horizon: 1d
tick: 10m
aa: false
sensitivity: off
traffic: {rate: 5/s}
models: [{arm: champion, uri: "models:/desk@champion"}, {arm: challenger, uri: "models:/desk@challenger"}]
metrics: [{name: sale, role: primary}]
policies:
  - {name: ab, kind: ab, evidence: {kind: fixed_horizon, mde: 10%}}
  - {name: slow, kind: ab, split: [80%, 20%], evidence: {kind: fixed_horizon, mde: 5%}}
"""


@pytest.mark.parametrize(
    ("metric", "verb"),
    [("{name: sale, role: primary}", "loses"), ("{name: complaint, role: primary, direction: decrease}", "adds")],
)
def test_a_loss_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], metric: str, verb: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("desk.yaml").write_text(MODELS, encoding="utf-8")
    Path("losses.yaml").write_text(SCENARIO.replace("{name: sale, role: primary}", metric), encoding="utf-8")
    store = ["--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"]
    assert main(["models", "register", "desk.yaml", *store]) == 0
    capsys.readouterr()
    assert main(["run", "losses.yaml", "--out", "out", "--no-tracking", "--quiet", *store]) == 0
    said = " ".join(capsys.readouterr().out.split())
    told: dict[str, Any] = json.loads(Path("out/summary.json").read_text(encoding="utf-8"))
    (point,) = told["points"]
    net = next(each for each in point["policies"] if each["policy"] == "ab")["measures"]["net_value"]
    assert net["upper"] < 0
    lost, least, most = (quantity(-net[key]) for key in ("estimate", "upper", "lower"))
    name = metric.split(":")[1].split(",")[0].strip()
    assert f"Over 1 d it {verb} {lost} ({least}–{most}) {name} against keeping the champion, which is" in said
    assert f"In the worst 5% of trials it {verb} " in said
    assert f"{name} better than the runner-up slow." in said
    assert "gives" not in said
    assert "saves" not in said
