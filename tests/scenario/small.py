"""The beginning of a scenario that is well formed, to which tests add what they are about. It has seven lines."""

from __future__ import annotations

HEAD = """\
name: small
horizon: 1d
tick: 10m
traffic: {rate: 2/s}
models:
  - {arm: champion, uri: "models:/ranker/1"}
  - {arm: challenger, uri: "models:/ranker/2"}
"""
