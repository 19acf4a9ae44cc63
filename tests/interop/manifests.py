"""Small manifests of our own, in the forms that people write."""

from __future__ import annotations

ROLLOUT = """\
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  replicas: 3
  strategy:
    canary:
      canaryService: shop-canary
      stableService: shop-stable
      trafficRouting: {nginx: {stableIngress: shop}}
      analysis:
        templates: [{templateName: success}]
        startingStep: 1
        args: [{name: service, value: shop-canary}]
      steps:
        - setWeight: 5
        - pause: {duration: 10m}
        - setWeight: 20
        - pause: {duration: 20m}
        - analysis:
            templates: [{templateName: latency}]
            args: [{name: hash, valueFrom: {podTemplateHashValue: Latest}}]
        - setWeight: 50
        - pause: {duration: 1800}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success}
spec:
  args: [{name: service}]
  metrics:
    - name: share
      interval: 1m
      initialDelay: 2m
      failureLimit: 2
      successCondition: result[0] >= 0.99
      provider:
        prometheus:
          address: http://prometheus:9090
          query: |
            sum(rate(hits{service="{{args.service}}",code!~"5.."}[5m])) /
            sum(rate(hits{service="{{args.service}}"}[5m]))
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: latency}
spec:
  args: [{name: hash}]
  metrics:
    - name: slow
      interval: 30s
      count: 4
      failureLimit: 1
      failureCondition: result[0] > 0.5
      provider:
        prometheus:
          query: histogram_quantile(0.95, sum(rate(answer_seconds_bucket{hash="{{args.hash}}"}[1m])) by (le))
"""

CANARY = """\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: web}
spec:
  targetRef: {name: web}
  analysis:
    interval: 1m
    threshold: 5
    maxWeight: 50
    stepWeight: 20
    metrics:
      - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
      - {name: request-duration, thresholdRange: {max: 500}, interval: 30s}
      - {name: calls, templateRef: {name: calls}, thresholdRange: {min: 1}}
---
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: calls}
spec:
  provider: {type: prometheus, address: "http://prometheus:9090"}
  query: sum(rate(hits{deployment="{{ target }}"}[{{ interval }}]))
"""

DEPLOYMENT = """\
{"EndpointName": "ranker", "DeploymentConfig": {
  "BlueGreenUpdatePolicy": {
    "TrafficRoutingConfiguration": {
      "Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 30}, "WaitIntervalInSeconds": 300},
    "TerminationWaitInSeconds": 300},
  "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}}
"""

ALARMS = """\
{"MetricAlarms": [{"AlarmName": "errors", "MetricName": "Invocation5XXErrors", "Namespace": "AWS/SageMaker",
  "Statistic": "Average", "Period": 60, "EvaluationPeriods": 5, "DatapointsToAlarm": 3, "Threshold": 0.01,
  "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching", "Dimensions": []}]}
"""

CONFIG = r"""
{
  "name": "shop", "id": "17", "description": "golden signals", "applications": ["shop"],
  "judge": {"name": "NetflixACAJudge-v1.0", "judgeConfigurations": {}},
  "templates": {"times":
    "PromQL:sum(rate(wait_seconds_sum{pod=\"${scope}\"}[1m])) / sum(rate(wait_seconds_count{pod=\"${scope}\"}[1m]))"},
  "metrics": [
    {"name": "errors", "scopeName": "default", "groups": ["Errors"],
      "query": {"type": "prometheus", "metricName": "", "customInlineTemplate":
        "PromQL:sum(rate(hits{app=\"${scope}\",code=~\"5..\"}[1m])) / sum(rate(hits{app=\"${scope}\"}[1m]))"},
      "analysisConfigurations": {"canary": {"direction": "increase", "nanStrategy": "replace", "critical": true,
        "effectSize": {"allowedIncrease": 1.1, "criticalIncrease": 2}}}},
    {"name": "wait", "groups": ["Times"], "query": {"type": "prometheus", "customFilterTemplate": "times"},
      "analysisConfigurations": {"canary": {"direction": "either", "mustHaveData": true, "outliers": {"strategy": "keep"}}}},
    {"name": "noise", "groups": ["Times"], "query": {"type": "datadog", "metricName": "noise"},
      "analysisConfigurations": {"canary": {"muted": true}}}
  ],
  "classifier": {"groupWeights": {"Errors": 70}, "scoreThresholds": {"pass": 95, "marginal": 75}}
}
"""

CANARY_STAGE = """\
{
  "type": "kayentaCanary", "name": "Canary Analysis", "refId": "2", "analysisType": "realTimeAutomatic",
  "canaryConfig": {
    "canaryConfigId": "17", "lifetimeDuration": "PT1H0M", "canaryAnalysisIntervalMins": "20",
    "beginCanaryAnalysisAfterMins": "10", "lookbackMins": "0", "metricsAccountName": "prometheus",
    "scopes": [{"scopeName": "default", "controlLocation": "eu", "experimentLocation": "eu", "step": 60}],
    "scoreThresholds": {"pass": "75", "marginal": "50"}
  },
  "deployments": {"clusterPairs": []}
}
"""
