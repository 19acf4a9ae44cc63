"""The fields of a canary config of Kayenta, of Spinnaker's canary stage, and of a request to Kayenta: what becomes of each.

Source: docs/canary-config.md of spinnaker/kayenta; KayentaCanaryContext of spinnaker/orca; CanaryAnalysisExecutionRequest.
"""

from __future__ import annotations

from sim.interop.accounting import Field, ignored, refused, used

_METRIC, _JUDGED = "metrics[]", "metrics[].analysisConfigurations.canary"
_QUERIES = (
    "type", "serviceType", "metricName", "resourceType", "labelBindings", "groupByFields", "customFilter",
    "customFilterTemplate", "customInlineTemplate", "q", "select", "aggregationMethod", "aggregationPeriod",
    "crossSeriesReducer", "perSeriesAligner", "queryPairs", "fields", "aggregate", "namespace", "region", "summarization",
)  # fmt: skip
_RECORDS = ("createdTimestamp", "createdTimestampIso", "updatedTimestamp", "updatedTimestampIso", "isNew", "owner")
CONFIG: tuple[Field, ...] = (
    used("name", "the name of the policy, and by which bindings name its metrics"),
    used("id", "by which a stage names it"),
    ignored("description", "words"),
    ignored("configVersion", "the version of the format"),
    ignored("applications", "who may use it"),
    *(ignored(key, "records") for key in _RECORDS),
    used("judge.name", "NetflixACAJudge-v1.0, or dredd-v1.0, its older name"),
    ignored("judge.judgeConfigurations", "the judge reads nothing of it"),
    used("templates", "the queries of metrics that name one", many=True),
    used("classifier.groupWeights", "the weights of the groups in the score, which add up to 100", many=True),
    used("classifier.scoreThresholds.pass", "the score of the last look that passes; a stage has its own"),
    used("classifier.scoreThresholds.marginal", "a score that is not above this rolls back at once"),
    used(f"{_METRIC}.name", "by which bindings name it"),
    used(f"{_METRIC}.groups", "the group that it counts in", many=True),
    ignored(f"{_METRIC}.scopeName", "which scope of the request: there is one"),
    *(used(f"{_METRIC}.query.{key}", "what is measured", many=True) for key in _QUERIES),
    used(f"{_JUDGED}.direction", "which change fails: increase, decrease or either; either if left out"),
    used(f"{_JUDGED}.nanStrategy", "remove: steps without a value are left out; replace: they are 0; remove if left out"),
    used(f"{_JUDGED}.critical", "the score is 0 if it fails, or has no data"),
    used(f"{_JUDGED}.muted", "it does not count"),
    used(f"{_JUDGED}.mustHaveData", "without data it fails"),
    used(f"{_JUDGED}.effectSize.measure", "meanRatio: means are compared by their ratio; cles is refused"),
    used(f"{_JUDGED}.effectSize.allowedIncrease", "the least ratio of the means at which a rise fails; 1 if left out"),
    used(f"{_JUDGED}.effectSize.allowedDecrease", "the largest ratio of the means at which a fall fails; 1 if left out"),
    used(f"{_JUDGED}.effectSize.criticalIncrease", "the same for the score of 0 of a critical metric"),
    used(f"{_JUDGED}.effectSize.criticalDecrease", "the same for the score of 0 of a critical metric"),
    used(f"{_JUDGED}.outliers.strategy", "keep, or nothing; remove is refused"),
    ignored(f"{_JUDGED}.outliers.outlierFactor", "of outliers that are removed"),
)  # fmt: skip

_CANARY = "canaryConfig"
_SCOPE = (
    ignored("scopeName", "what metrics call it"),
    used("controlScope", "what is compared with: a baseline where it is called so, else what serves"),
    ignored("controlLocation", "where it runs"),
    ignored("experimentScope", "what the new version is called"),
    ignored("experimentLocation", "where it runs"),
    ignored("startTimeIso", "when it was"),
    refused("endTimeIso", "an analysis of a time that is past is not carried; give a lifetime"),
    used("step", "from one value of a metric to the next, in seconds; 60 if left out"),
    ignored("extendedScopeParams", "which series are asked for"),
)
_PIPELINE = (
    "name", "refId", "requisiteStageRefIds", "user", "comments", "notifications", "sendNotifications", "stageEnabled", "isNew",
    "alias", "expectedArtifacts", "restrictExecutionDuringTimeWindow", "restrictedExecutionWindow", "failOnFailedExpressions",
    "completeOtherBranchesThenFail",
)  # fmt: skip


def _scopes(prefix: str) -> tuple[Field, ...]:
    return tuple(Field(f"{prefix}scopes[].{each.path}", each.status, each.text, each.many) for each in _SCOPE)


STAGE: tuple[Field, ...] = (
    used("type", "kayentaCanary: it waits, judges, and fails or passes"),
    used("analysisType", "realTimeAutomatic: a baseline is deployed beside the canary, and compared with"),
    *(ignored(key, "the pipeline around it") for key in _PIPELINE),
    used("failPipeline", "false is refused: something else would have to roll back"),
    used("continuePipeline", "true is refused: something else would have to roll back"),
    used(f"{_CANARY}.canaryConfigId", "which config it judges by"),
    ignored(f"{_CANARY}.canaryConfigName", "which config it judges by"),
    used(f"{_CANARY}.lifetimeDuration", "how long it judges, as in PT1H30M"),
    used(f"{_CANARY}.lifetimeHours", "the same in hours"),
    used(f"{_CANARY}.canaryAnalysisIntervalMins", "from one look to the next; as long as all of it if left out"),
    used(f"{_CANARY}.beginCanaryAnalysisAfterMins", "how long it serves before what is seen counts"),
    used(f"{_CANARY}.lookbackMins", "how far back a look sees; to the start if 0 or left out"),
    used(f"{_CANARY}.baselineAnalysisOffsetInMins", "0; the baseline of another time is refused"),
    used(f"{_CANARY}.scoreThresholds.pass", "the score of the last look that passes; 75 if left out"),
    used(f"{_CANARY}.scoreThresholds.marginal", "a score that is not above this rolls back at once; 50 if left out"),
    ignored(f"{_CANARY}.combinedCanaryResultStrategy", "of several scopes, of which there is one"),
    *(ignored(f"{_CANARY}.{key}", "where metrics and results are kept") for key in
      ("metricsAccountName", "storageAccountName", "configurationAccountName", "siteLocal")),
    *_scopes(f"{_CANARY}."),
    ignored("deployments", "how clusters are made; what share of the traffic they get is an assumption (--weight)"),
)  # fmt: skip
REQUEST: tuple[Field, ...] = (
    used("lifetimeDurationMins", "how long it judges"),
    used("analysisIntervalMins", "from one look to the next; as long as all of it if left out"),
    used("beginAfterMins", "how long it serves before what is seen counts"),
    used("lookbackMins", "how far back a look sees; to the start if 0 or left out"),
    used("thresholds.pass", "the score of the last look that passes"),
    used("thresholds.marginal", "a score that is not above this rolls back at once"),
    ignored("siteLocal", "where results are told"),
    *_scopes(""),
    used("scopes[].controlOffsetInMinutes", "0; the baseline of another time is refused"),
)
