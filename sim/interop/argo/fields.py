"""The fields of Argo Rollouts: what each does, and what becomes of it here.

Source: the types and the controller of argo-rollouts v1.7, https://argo-rollouts.readthedocs.io/en/stable/features/specification/.
"""

from __future__ import annotations

from sim.interop.accounting import Field, ignored, refused, used

_CANARY = "spec.strategy.canary"
_BLUE_GREEN = "spec.strategy.blueGreen"
_STEPS = f"{_CANARY}.steps[]"


def _analysis(path: str, when: str) -> tuple[Field, ...]:
    return (
        used(f"{path}.templates[].templateName", f"checks {when}"),
        used(f"{path}.templates[].clusterScope", "which of two templates of one name is meant"),
        used(f"{path}.args[].name", "fills {{args.NAME}} in the template"),
        used(f"{path}.args[].value", "fills {{args.NAME}} in the template"),
        used(f"{path}.args[].valueFrom.podTemplateHashValue", "Latest picks the canary, Stable the stable version"),
        ignored(f"{path}.args[].valueFrom.fieldRef", "a value that only the cluster knows; it picks no version"),
        used(f"{path}.dryRun[].metricName", "these checks are told, and stop nothing"),
        ignored(f"{path}.measurementRetention", "how many measurements are kept to read"),
        ignored(f"{path}.analysisRunMetadata", "labels, which move no traffic"),
    )


ROLLOUT: tuple[Field, ...] = (
    used("spec.replicas", "without a traffic router, a weight is a share of so many pods; 1 if left out"),
    ignored("spec.selector", "which pods are meant"),
    ignored("spec.template", "what the pods run"),
    ignored("spec.workloadRef", "where the pods are described"),
    ignored("spec.minReadySeconds", "pods are ready at once here"),
    ignored("spec.revisionHistoryLimit", "how many old versions are kept"),
    ignored("spec.progressDeadlineSeconds", "pods are ready at once here"),
    ignored("spec.progressDeadlineAbort", "pods are ready at once here"),
    ignored("spec.restartAt", "a restart of pods, not a rollout"),
    ignored("spec.rollbackWindow", "a way back to an old version, by hand"),
    ignored("spec.analysis", "how many finished runs are kept"),
    refused("spec.paused", "a rollout that is paused from the start never begins"),
    used(f"{_STEPS}.setWeight", "the canary's share of traffic from here on"),
    used(f"{_STEPS}.pause.duration", "how long the weight is held; a number without a unit is seconds"),
    used(f"{_STEPS}.pause", "without a duration: until a person promotes"),
    *_analysis(f"{_STEPS}.analysis", "that must have passed before the next step"),
    used(f"{_STEPS}.setMirrorRoute.name", "a mirror of this name begins, or ends where no match is given"),
    used(f"{_STEPS}.setMirrorRoute.percentage", "the share of requests that is copied; all if left out"),
    used(
        f"{_STEPS}.setMirrorRoute.match", "without one the route ends; path prefix / is met by all, others are refused",
        many=True,
    ),
    refused(f"{_STEPS}.setHeaderRoute", "what share of the requests has the header is not known"),
    ignored(f"{_STEPS}.setCanaryScale", "the number of pods, while a traffic router holds the weight"),
    refused(f"{_STEPS}.experiment", "versions beside the canary, with pods of their own, are not carried"),
    refused(f"{_STEPS}.plugin", "what a plugin does is not known"),
    refused(f"{_STEPS}.replicaProgressThreshold", "pods are ready at once here"),
    *_analysis(f"{_CANARY}.analysis", "in the background of all steps"),
    used(f"{_CANARY}.analysis.startingStep", "the step, from 0, at which the checks in the background begin"),
    used(f"{_CANARY}.trafficRouting", "a router gives weights as they are asked for", many=True),
    used(f"{_CANARY}.trafficRouting.maxTrafficWeight", "what a weight is a share of; 100 if left out"),
    used(f"{_CANARY}.canaryService", "a query that names this service sees the canary"),
    used(f"{_CANARY}.stableService", "a query that names this service sees the stable version"),
    used(f"{_CANARY}.maxSurge", "without a traffic router: pods beyond `replicas`, which make more weights possible"),
    ignored(f"{_CANARY}.maxUnavailable", "pods are ready at once here"),
    ignored(f"{_CANARY}.canaryMetadata", "labels, which move no traffic"),
    ignored(f"{_CANARY}.stableMetadata", "labels, which move no traffic"),
    ignored(f"{_CANARY}.antiAffinity", "on which machines pods run"),
    ignored(f"{_CANARY}.scaleDownDelaySeconds", "how long old pods stay idle"),
    ignored(f"{_CANARY}.scaleDownDelayRevisionLimit", "how many old versions stay idle"),
    ignored(f"{_CANARY}.abortScaleDownDelaySeconds", "how long the aborted canary stays idle"),
    ignored(f"{_CANARY}.dynamicStableScale", "the number of pods, while a traffic router holds the weight"),
    ignored(f"{_CANARY}.minPodsPerReplicaSet", "the number of pods, while a traffic router holds the weight"),
    refused(f"{_CANARY}.pingPong", "two services that take turns, of which a query cannot say which is the canary's"),
    used(f"{_BLUE_GREEN}.autoPromotionEnabled", "false: a person switches all traffic"),
    used(f"{_BLUE_GREEN}.autoPromotionSeconds", "all traffic is switched after this, if no person has"),
    *_analysis(f"{_BLUE_GREEN}.postPromotionAnalysis", "of all traffic, after which there is no way back"),
    refused(f"{_BLUE_GREEN}.prePromotionAnalysis", "before the switch no user's request reaches the new version"),
    used(f"{_BLUE_GREEN}.activeService", "a query that names this service sees the version that serves"),
    used(f"{_BLUE_GREEN}.previewService", "a query that names this service sees no user"),
    ignored(f"{_BLUE_GREEN}.previewReplicaCount", "pods before the switch"),
    ignored(f"{_BLUE_GREEN}.previewMetadata", "labels, which move no traffic"),
    ignored(f"{_BLUE_GREEN}.activeMetadata", "labels, which move no traffic"),
    ignored(f"{_BLUE_GREEN}.scaleDownDelaySeconds", "how long old pods stay idle"),
    ignored(f"{_BLUE_GREEN}.scaleDownDelayRevisionLimit", "how many old versions stay idle"),
    ignored(f"{_BLUE_GREEN}.abortScaleDownDelaySeconds", "how long the aborted version stays idle"),
    ignored(f"{_BLUE_GREEN}.antiAffinity", "on which machines pods run"),
    ignored(f"{_BLUE_GREEN}.maxUnavailable", "pods are ready at once here"),
)  # fmt: skip

_METRIC = "spec.metrics[]"
_REACHED = ("address", "timeout", "insecure", "headers", "authentication")
PROVIDERS = (
    "job", "web", "datadog", "newRelic", "wavefront", "kayenta", "cloudWatch", "graphite", "influxdb", "skywalking", "plugin",
)  # fmt: skip
"""Providers of measures that mean nothing until they are bound."""
TEMPLATE: tuple[Field, ...] = (
    used("spec.args[].name", "what {{args.NAME}} stands for"),
    used("spec.args[].value", "its value where the rollout gives none"),
    ignored("spec.args[].valueFrom", "a secret or a field, which picks no version"),
    used("spec.dryRun[].metricName", "these checks are told, and stop nothing"),
    ignored("spec.measurementRetention", "how many measurements are kept to read"),
    refused("spec.templates", "a template of templates is not carried; name them in the rollout"),
    used(f"{_METRIC}.name", "by which dryRun and bindings name it"),
    used(f"{_METRIC}.interval", "from one measurement to the next"),
    used(f"{_METRIC}.initialDelay", "before the first measurement"),
    used(f"{_METRIC}.count", "how many measurements; without, and without an interval, 1"),
    used(f"{_METRIC}.successCondition", "which results are good; the others fail, unless there is a failureCondition too"),
    used(f"{_METRIC}.failureCondition", "which results fail; with a successCondition, those between are inconclusive"),
    used(f"{_METRIC}.failureLimit", "it aborts when more measurements than this have failed; 0 if left out"),
    used(f"{_METRIC}.inconclusiveLimit", "it pauses when more than this are inconclusive; 0 if left out"),
    used(f"{_METRIC}.consecutiveSuccessLimit", "it passes after so many good measurements in a row"),
    ignored(f"{_METRIC}.consecutiveErrorLimit", "of measurements that cannot be taken, which are not simulated"),
    used(f"{_METRIC}.provider.prometheus.query", "what is measured, over which window"),
    *(ignored(f"{_METRIC}.provider.prometheus.{key}", "how Prometheus is reached") for key in _REACHED),
    refused(f"{_METRIC}.provider.prometheus.rangeQuery", "results of several times are not carried; ask for one"),
    *(used(f"{_METRIC}.provider.{each}", "what is measured, as the bindings file says", many=True) for each in PROVIDERS),
)  # fmt: skip
