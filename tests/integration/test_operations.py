"""What a person is told when something needs one: alarms, dashboard and runbook."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from email_accounts.delivery.deliverer import LONGEST_RUN
from email_accounts.delivery.outcomes import Outcome
from tests.support.template import ROOT, of_type, template

RESOURCES: dict[str, Any] = template()["Resources"]
FUNCTIONS = of_type("AWS::Serverless::Function")
ALARMS = of_type("AWS::CloudWatch::Alarm")
RUNBOOK = (ROOT / "docs/runbook.md").read_text("utf-8")
OWN_METRICS = "EmailAccountsImporter/${AWS::StackName}"
WITHOUT_ALARM = {"A password may have been seen", "Questions", "Metrics"}


def headings() -> list[str]:
    """Return the headings of the runbook."""
    return re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)


def metrics_of(alarm: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """Return namespace, name and dimensions of each metric that an alarm watches."""
    stats = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", ()) if "MetricStat" in one]
    return [
        (json.dumps(one["Namespace"]), one["MetricName"], dimensions)
        for one in stats or [alarm]
        for dimensions in either(one["Dimensions"])
    ]


def either(value: Any) -> list[Any]:  # noqa: ANN401  a list, or a condition between two
    """Return all that a value can be."""
    return value["Fn::If"][1:] if isinstance(value, dict) else [value]


def test_the_runbook_and_the_alarms_name_each_other() -> None:
    """Each alarm names its own heading, the heading its alarm, and no heading is left over."""
    named = {}
    for name, alarm in ALARMS.items():
        (heading,) = re.findall(r"docs/runbook\.md, '(.+)'\.$", alarm["AlarmDescription"])
        named[heading] = name
        section = RUNBOOK.partition(f"## {heading}\n")[2]
        assert section.startswith(f"Alarm `{name}`.")
        assert "\n- *Look at* " in section.partition("\n## ")[0]
        assert "\n- *Do*: " in section.partition("\n## ")[0]
    assert len(named) == len(ALARMS)
    assert set(headings()) == named.keys() | WITHOUT_ALARM


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_reaches_somebody(name: str) -> None:
    """It goes to the topic, which lets it, and silence is no alarm."""
    alarm = ALARMS[name]
    statements = RESOURCES["NotificationTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (publish,) = (one for one in statements if one["Sid"] == "AlarmsPublish")
    assert alarm["AlarmName"] == {"Fn::Sub": f"${{AWS::StackName}}-{name}"}
    assert alarm["AlarmActions"] == [{"Ref": "NotificationTopic"}]
    assert {"Fn::GetAtt": f"{name}.Arn"} in publish["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert len(publish["Condition"]["ArnEquals"]["aws:SourceArn"]) == len(ALARMS)
    assert alarm["TreatMissingData"] == "notBreaching"
    # The name of the stack holds apart what several stacks of an account say.
    for namespace, _, _ in metrics_of(alarm):
        assert namespace.startswith('"AWS/') or OWN_METRICS in namespace


@pytest.mark.parametrize("name", [name for name in ALARMS if "Metrics" in ALARMS[name]])
def test_a_sum_names_its_metrics(name: str) -> None:
    """What an alarm computes is made of all its metrics, also where some have said nothing."""
    result, *parts = ALARMS[name]["Metrics"]
    assert "ReturnData" not in result
    assert all(one["ReturnData"] is False for one in parts)
    for one in parts:
        filled_in = f"FILL({one['Id']}, 0)" if len(parts) > 1 else one["Id"]
        assert filled_in in json.dumps(result["Expression"])


def test_an_ordinary_deadline_is_no_alarm() -> None:
    """The check at the deadline is later than it; only one that is an hour late rings.

    Until then an import may wait for a function that still holds it, which is for one run at most.
    Each import counts from a deadline of its own.
    """
    alarm = ALARMS["StuckImportAlarm"]
    assert (alarm["MetricName"], alarm["Statistic"]) == ("OverdueSeconds", "Maximum")
    longest_wait = template()["Parameters"]["MaxPollIntervalSeconds"]["MaxValue"]
    assert alarm["Threshold"] >= max(longest_wait, 2 * LONGEST_RUN)
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def dashboard() -> list[dict[str, Any]]:
    """Return the widgets of the dashboard."""
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets: list[dict[str, Any]] = json.loads(body)["widgets"]
    return widgets


def test_the_dashboard_lies_in_a_grid() -> None:
    """Three widgets beside one another, none over another, each with a title of its own."""
    places = {(widget["x"], widget["y"]) for widget in dashboard()}
    titles = {widget["properties"]["title"] for widget in dashboard()}
    assert len(places) == len(titles) == len(dashboard()) == 9
    assert {x for x, _ in places} == {0, 8, 16}


def test_every_metric_is_documented_and_shown() -> None:
    """Those of the runbook's table are those that dashboard and alarms use, and no others."""
    rows = re.findall(r"^\| (`.+`) \| \w+ \| (`.+`) \|", RUNBOOK, re.MULTILINE)
    documented = {
        (metric, service)
        for metrics, services in rows
        for metric in re.findall(r"`(\w+)`", metrics)
        for service in re.findall(r"`(\w+)`", services)
    }
    shown = {
        (metric[1], metric[3])
        for widget in dashboard()
        for metric in widget["properties"]["metrics"]
        if metric[0] == OWN_METRICS
    }
    watched = {
        (name, dimensions[0]["Value"])
        for alarm in ALARMS.values()
        for namespace, name, dimensions in metrics_of(alarm)
        if OWN_METRICS in namespace
    }
    assert shown | watched == documented
    assert {f"Rows_{outcome}" for outcome in Outcome} == {
        name for name, _ in documented if name.startswith("Rows_")
    }
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == {"Fn::Sub": OWN_METRICS}


def test_every_failure_of_the_platform_is_watched() -> None:
    """Errors and throttles of each function, each bad end of an execution, each queue."""
    watched = {
        (namespace.strip('"'), name, json.dumps(dimension["Value"]))
        for alarm in ALARMS.values()
        for namespace, name, dimensions in metrics_of(alarm)
        for dimension in dimensions
    }
    for function in FUNCTIONS:
        for name in ("Errors", "Throttles"):
            assert ("AWS/Lambda", name, json.dumps({"Ref": function})) in watched
    for machine in of_type("AWS::Serverless::StateMachine"):
        for name in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"):
            assert ("AWS/States", name, json.dumps({"Ref": machine})) in watched
    for queue in of_type("AWS::SQS::Queue"):
        of_queue = {name for _, name, value in watched if f'"{queue}.QueueName"' in value}
        assert of_queue


def test_every_lost_event_is_watched() -> None:
    """Of each rule: what reached no target, and what reached no dead letters either.

    Of a rule on a bus of its own AWS tells under the bus and the rule, elsewhere under the rule.
    """
    rules = of_type("AWS::Events::Rule")
    watched = [
        (name, json.dumps(dimensions))
        for namespace, name, dimensions in metrics_of(ALARMS["UploadRuleAlarm"])
        if namespace == '"AWS/Events"'
    ]
    expected = []
    for logical_id, rule in rules.items():
        by_name = [{"Name": "RuleName", "Value": rule.get("Name", {"Ref": logical_id})}]
        ways = [by_name]
        if bus := rule.get("EventBusName"):
            ways.append([{"Name": "EventBusName", "Value": bus}, *by_name])
        for name in ("FailedInvocations", "InvocationsFailedToBeSentToDlq"):
            expected += [(name, json.dumps(way)) for way in ways]
    assert sorted(watched) == sorted(expected)


def test_traces_are_taken() -> None:
    """Functions and machine are traced, without a library in the functions."""
    assert template()["Globals"]["Function"]["Tracing"] == "Active"
    assert of_type("AWS::Serverless::StateMachine")["TrackImport"]["Tracing"] == {"Enabled": True}
