"""The fields of a DeploymentConfig of SageMaker and of alarms of CloudWatch: what each does, and what becomes of it here.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html and the reference of the two APIs.
"""

from __future__ import annotations

from sim.interop.accounting import Field, ignored, refused, used

_ROUTING = "BlueGreenUpdatePolicy.TrafficRoutingConfiguration"
DEPLOYMENT: tuple[Field, ...] = (
    used(f"{_ROUTING}.Type", "ALL_AT_ONCE, CANARY (one part, then all) or LINEAR (steps of one size)"),
    used(f"{_ROUTING}.WaitIntervalInSeconds", "how long each share of traffic is held, the last too, under alarms"),
    used(f"{_ROUTING}.CanarySize.Type", "CAPACITY_PERCENT: the size is a share of traffic"),
    used(f"{_ROUTING}.CanarySize.Value", "the first share"),
    used(f"{_ROUTING}.LinearStepSize.Type", "CAPACITY_PERCENT: the size is a share of traffic"),
    used(f"{_ROUTING}.LinearStepSize.Value", "how much each share is above the one before"),
    ignored("BlueGreenUpdatePolicy.TerminationWaitInSeconds", "after the last alarm is read: how long old instances stay idle"),
    used("BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds", "what takes longer is rolled back"),
    refused("RollingUpdatePolicy", "batches of instances, whose number is not known, are not carried"),
    used("AutoRollbackConfiguration.Alarms[].AlarmName", "an alarm that rolls back; without any, nothing ever does"),
    ignored("EndpointName", "which endpoint"),
    ignored("EndpointConfigName", "what it runs"),
    ignored("RetainDeploymentConfig", "whether this is kept for later"),
    ignored("RetainAllVariantProperties", "how many instances there are"),
)

_RECORDS = (
    "AlarmArn", "AlarmDescription", "AlarmConfigurationUpdatedTimestamp", "ActionsEnabled", "OKActions", "AlarmActions",
    "InsufficientDataActions", "StateValue", "StateReason", "StateReasonData", "StateUpdatedTimestamp",
    "StateTransitionedTimestamp", "Tags", "Namespace", "Unit",
)  # fmt: skip
ALARM: tuple[Field, ...] = (
    used("AlarmName", "by which the deployment names it"),
    used("MetricName", "what is measured: Invocation5XXErrors, Invocations, ModelLatency or OverheadLatency"),
    used("Statistic", "Average of errors is their share, of a latency its mean; Sum of invocations is their number"),
    used("ExtendedStatistic", "a quantile of a latency, such as p99"),
    used("Period", "how far back a look sees, and from one to the next"),
    used("EvaluationPeriods", "of so many looks"),
    used("DatapointsToAlarm", "so many must be beyond the threshold; all if left out"),
    used("Threshold", "the bound; latencies are in microseconds"),
    used("ComparisonOperator", "on which side of the bound a look fails"),
    used("TreatMissingData", "what a look without requests is; skipped if left out"),
    ignored("Dimensions", "which endpoint and variant; taken for the new one"),
    refused("Metrics", "metric mathematics is not carried"),
    *(ignored(key, "records and notices") for key in _RECORDS),
)
