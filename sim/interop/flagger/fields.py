"""The fields of Flagger: what each does, and what becomes of it here.

Source: the types and the controller of flagger v1.37, https://docs.flagger.app/usage/how-it-works.
"""

from __future__ import annotations

from sim.interop.accounting import Field, ignored, refused, used


def _analysis(path: str) -> tuple[Field, ...]:
    metric = f"{path}.metrics[]"
    return (
        used(f"{path}.interval", "how long each weight is held, and from one look to the next; 1m if left out"),
        used(
            f"{path}.threshold", "so many looks that failed, of all metrics together, roll back one tick later; 1 if left out"
        ),
        used(f"{path}.maxWeight", "the first weight that is at least this is the last; 100 if left out"),
        used(f"{path}.stepWeight", "the first weight, and how much every other one is above the one before"),
        used(f"{path}.stepWeights", "the weights, one by one", many=True),
        ignored(f"{path}.stepWeightPromotion", "by then both sides run the new version"),
        used(
            f"{path}.iterations",
            "so many looks at copies or at a load test, and one at all traffic",
        ),
        used(f"{path}.mirror", "requests are copied, for one interval before the first weight, or in all iterations"),
        used(f"{path}.mirrorWeight", "the share of requests that is copied; all if left out"),
        refused(f"{path}.match", "what share of the requests it matches is not known"),
        refused(f"{path}.sessionAffinity", "users who stay with the canary make its share grow"),
        ignored(f"{path}.primaryReadyThreshold", "pods are ready at once here"),
        ignored(f"{path}.canaryReadyThreshold", "pods are ready at once here"),
        ignored(f"{path}.alerts", "whom it tells"),
        used(f"{metric}.name", "request-success-rate, request-duration, or what a template measures"),
        used(f"{metric}.interval", "how far back a look sees; 1m if left out"),
        used(f"{metric}.thresholdRange.min", "a look fails below this"),
        used(f"{metric}.thresholdRange.max", "a look fails above this"),
        used(f"{metric}.threshold", "the old way to say the one bound"),
        used(f"{metric}.query", "what is measured, over which window"),
        used(f"{metric}.templateRef.name", "the template that measures it"),
        ignored(f"{metric}.templateRef.namespace", "where the template is"),
        used(f"{metric}.templateVariables", "fill {{ variables.NAME }} in the template", many=True),
        used(f"{path}.webhooks[].type", "confirm-promotion: a person approves the last weight; others move no traffic"),
        ignored(f"{path}.webhooks[].name", "what it is called"),
        ignored(f"{path}.webhooks[].url", "whom it asks; nothing is called here"),
        ignored(f"{path}.webhooks[].timeout", "how long it waits for an answer"),
        ignored(f"{path}.webhooks[].metadata", "what it asks; a load test's requests are no users'"),
        ignored(f"{path}.webhooks[].muteAlert", "whom it tells"),
        ignored(f"{path}.webhooks[].retries", "how often it asks again"),
        ignored(f"{path}.webhooks[].disableTLS", "how it asks"),
    )


CANARY: tuple[Field, ...] = (
    used("spec.provider", "kubernetes: no weights, ten iterations; all others have weights"),
    used("spec.targetRef.name", "a query that names this workload sees the canary"),
    ignored("spec.targetRef.apiVersion", "which kind of workload"),
    ignored("spec.targetRef.kind", "which kind of workload"),
    ignored("spec.autoscalerRef", "the number of pods, while a router holds the weight"),
    ignored("spec.ingressRef", "which router"),
    ignored("spec.routeRef", "which router"),
    ignored("spec.upstreamRef", "which router"),
    ignored("spec.service", "how requests find the pods"),
    ignored("spec.metricsServer", "where Prometheus is"),
    ignored("spec.progressDeadlineSeconds", "pods are ready at once here"),
    ignored("spec.revertOnDeletion", "what happens when the canary is deleted"),
    used("spec.skipAnalysis", "true: it ships without a look"),
    refused("spec.suspend", "a canary that is suspended never begins"),
    *_analysis("spec.analysis"),
    *_analysis("spec.canaryAnalysis"),
)

TEMPLATE: tuple[Field, ...] = (
    used("spec.provider.type", "prometheus: its queries are read; others must be bound"),
    ignored("spec.provider.address", "where the provider is"),
    ignored("spec.provider.secretRef", "how it is reached"),
    ignored("spec.provider.insecureSkipVerify", "how it is reached"),
    ignored("spec.provider.region", "where the provider is"),
    used("spec.query", "what is measured, over which window"),
)
