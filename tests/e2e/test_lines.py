"""One id leads through everything that is said of an import."""

import json
import re
from collections import defaultdict

import pytest

from tests.support.cloud import SMALL, LocalCloud, Subscriber, wait_until

pytestmark = pytest.mark.e2e

FUNCTIONS = {"submit_accounts", "check_status", "deliver_report"}
OF_LAMBDA = re.compile(r"(INIT_START|START|END|REPORT) ")


def lines(cloud: LocalCloud, identity: str) -> list[str]:
    """Read what the invocations that name an import have logged, without what Lambda says."""
    logs = cloud.client("logs")
    invocations: dict[str, list[str]] = defaultdict(list)  # each has a stream of its own here
    for group in logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        for event in (event for page in pages for event in page["events"]):
            if not OF_LAMBDA.match(event["message"]):
                invocations[event["logStreamName"]].append(event["message"])
    return [line for one in invocations.values() if identity in str(one) for line in one]


def said(logged: list[str]) -> list[tuple[str, str]]:
    """Return who said what, without metrics."""
    documents = [json.loads(line) for line in logged]
    return [(one["service"], one["message"]) for one in documents if "message" in one]


def test_a_good_import(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """Its id is in each line of all functions, names its execution, and is in its answer."""
    cloud.behave()
    identity = cloud.upload("uploads/told.csv", SMALL)
    answer = subscriber.answer(identity)
    wait_until(lambda: '"message":"answered"' in str(lines(cloud, identity)))
    logged = lines(cloud, identity)
    executions = cloud.client("stepfunctions").list_executions(
        stateMachineArn=cloud.environment["TRACK_IMPORT_STATE_MACHINE_ARN"]
    )["executions"]
    assert {json.loads(line)["import_id"] for line in logged} == {identity}
    assert {service for service, _ in said(logged)} == FUNCTIONS
    assert {json.loads(one)["service"] for one in logged if '"_aws"' in one} == FUNCTIONS
    assert identity in [one["name"] for one in executions]
    assert answer.document["importId"] == identity
    assert identity in answer.mail


def test_an_import_that_breaks(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """Also what fails, is given up and is answered as a last resort is said of the import."""
    cloud.behave()
    with (
        cloud.without("check_status", "s3:GetObjectVersion"),
        cloud.without("deliver_report", "s3:PutObject"),
    ):
        identity = cloud.upload("uploads/broken.csv", SMALL)
        wait_until(lambda: bool(subscriber.about(identity)))
        wait_until(lambda: '"message":"answered"' in str(lines(cloud, identity)))
    # What fails is said once more by Lambda itself: here as text, on AWS as JSON, without the id.
    logged = [line for line in lines(cloud, identity) if line.startswith("{")]
    assert {json.loads(line)["import_id"] for line in logged} == {identity}
    told = said(logged)
    assert told.count(("check_status", "failed")) == 3
    assert told.count(("deliver_report", "failed")) == 3
    assert ("deliver_report", "the reports cannot be written") not in told
    assert told.count(("deliver_report", "answered")) == 1
