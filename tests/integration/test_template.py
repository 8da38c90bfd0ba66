"""The template and the state machine: what must hold whatever is added to them."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from email_accounts.runtime import Settings
from tests.template import (
    ROOT,
    STATE_MACHINE,
    TEMPLATE,
    listed,
    state_machine,
    statements_of,
    template,
)

CFN_LINT = ROOT / ".venvs/sam/bin/cfn-lint"
OUTPUTS = {
    "InboxBucketName",
    "ReportsBucketName",
    "NotificationTopicArn",
    "TrackImportStateMachineArn",
    "LedgerTableName",
    "UploadQueueUrl",
    "DeadLetterQueueUrl",
}
RESOURCES: dict[str, Any] = template()["Resources"]
STATES: dict[str, Any] = state_machine()["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
LAMBDA_TASKS = {name: task for name, task in TASKS.items() if "lambda:invoke" in task["Resource"]}


def of_type(kind: str) -> dict[str, Any]:
    """Return the properties of every resource of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in RESOURCES.items()
        if resource["Type"] == kind
    }


FUNCTIONS = of_type("AWS::Serverless::Function")
ROLES = {name: RESOURCES[name] for name in of_type("AWS::IAM::Role")}


# Parameters and outputs


@pytest.mark.parametrize("name", template()["Parameters"])
def test_a_parameter_explains_and_guards_itself(name: str) -> None:
    """Each parameter has a description, a default, and says what it may be."""
    parameter = template()["Parameters"][name]
    assert re.fullmatch(r"[A-Z].{15,}\.", parameter["Description"])
    assert "Default" in parameter
    if parameter["Type"] == "Number":
        assert "AllowedValues" in parameter or {"MinValue", "MaxValue"} <= parameter.keys()
    elif parameter["Type"] == "String":
        assert "AllowedValues" in parameter or "AllowedPattern" in parameter


@pytest.mark.parametrize("name", template()["Parameters"])
def test_a_default_is_allowed(name: str) -> None:
    """What a parameter is by default obeys its own constraint."""
    parameter = template()["Parameters"][name]
    default = parameter["Default"]
    assert default in parameter.get("AllowedValues", [default])
    assert re.fullmatch(parameter.get("AllowedPattern", ".*"), str(default))
    if "MinValue" in parameter:
        assert parameter["MinValue"] <= default <= parameter["MaxValue"]


def test_the_form_shows_every_parameter_once() -> None:
    """The console groups all parameters, each in one place."""
    groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(template()["Parameters"])


def test_the_outputs_are_there() -> None:
    """What tools and people look for is an output, with a description."""
    outputs = template()["Outputs"]
    assert outputs.keys() >= OUTPUTS
    assert all(output["Description"] for output in outputs.values())


# Functions


class Read(dict[str, str]):
    """An environment that answers anything and notes what it was asked."""

    def __missing__(self, name: str) -> str:
        """Answer what can be a text and a number."""
        self[name] = "1"
        return "1"


def test_functions_get_the_environment_they_read() -> None:
    """The variables are those that the settings read, and no others."""
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    read = Read()
    Settings.read(read)
    given = {name for name in variables if not name.startswith("POWERTOOLS_")}
    assert given == set(read)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_a_folder_of_its_name(name: str) -> None:
    """Function, handler, service and folder are the same words."""
    handler, _, entry = FUNCTIONS[name]["Handler"].partition(".")
    assert entry == "handler"
    assert (ROOT / "functions" / handler / f"{handler}.py").is_file()
    assert handler.replace("_", "") == name.lower()
    variables = FUNCTIONS[name]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == handler


def test_the_last_attempt_is_the_last_delivery_of_the_queue() -> None:
    """The function gives an upload up at the very delivery after which the queue does."""
    own = {
        name: set(function["Environment"]["Variables"]) - {"POWERTOOLS_SERVICE_NAME"}
        for name, function in FUNCTIONS.items()
    }
    assert own == {
        "SubmitAccounts": {"UPLOAD_ATTEMPTS"},
        "CheckStatus": set(),
        "DeliverReport": set(),
    }
    attempts = FUNCTIONS["SubmitAccounts"]["Environment"]["Variables"]["UPLOAD_ATTEMPTS"]
    redrive = RESOURCES["UploadQueue"]["Properties"]["RedrivePolicy"]
    assert int(attempts) == redrive["maxReceiveCount"] >= 3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_role_of_its_own(name: str) -> None:
    """No two functions share a role, and no function has one made up for it."""
    role = FUNCTIONS[name]["Role"]["Fn::GetAtt"].removesuffix(".Arn")
    assert ROLES[role]
    assert [one["Role"] for one in FUNCTIONS.values()].count({"Fn::GetAtt": f"{role}.Arn"}) == 1
    assert "Policies" not in FUNCTIONS[name]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_log_that_ends(name: str) -> None:
    """Each function writes to a log group of the template, which forgets after some days."""
    group = FUNCTIONS[name]["LoggingConfig"]["LogGroup"]["Ref"]
    assert RESOURCES[group]["Properties"]["RetentionInDays"] == {"Ref": "RetentionDays"}
    handler = FUNCTIONS[name]["Handler"].partition(".")[0]
    log = RESOURCES[group]["Properties"]["LogGroupName"]["Fn::Sub"]
    assert log.endswith(f"-{handler}")


@pytest.mark.parametrize("name", of_type("AWS::Logs::LogGroup"))
def test_every_log_ends(name: str) -> None:
    """No log group keeps for ever."""
    assert RESOURCES[name]["Properties"]["RetentionInDays"] == {"Ref": "RetentionDays"}


# Permissions


@pytest.mark.parametrize("role", ROLES)
def test_a_role_names_its_actions(role: str) -> None:
    """No statement of a role has a wildcard in an action, and each says what it is for."""
    for statement in statements_of(ROLES[role]):
        assert re.fullmatch("[A-Z][A-Za-z]+", statement["Sid"])
        for action in listed(statement["Action"]):
            assert re.fullmatch("[a-z0-9]+:[A-Z][A-Za-z]+", action)


def test_a_wildcard_has_a_reason() -> None:
    """Where a statement is for all resources, a comment beside it says why."""
    lines = TEMPLATE.read_text("utf-8").splitlines()
    everything = [line for line in lines if re.search(r"""Resource: \[?["']?\*["']?""", line)]
    assert everything
    for line in everything:
        assert re.search(r"#\s+\S+ \S+ \S+", line), line


def test_all_resources_are_allowed_only_where_actions_know_none() -> None:
    """Only traces and the delivery of the machine's log are for all resources."""
    unbounded = {
        action
        for role in ROLES.values()
        for statement in statements_of(role)
        if "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }
    assert all(
        re.match("xray:|logs:.*(Deliver|ResourcePolic|DescribeLogGroups)", one) for one in unbounded
    )


def test_the_machine_may_run_the_functions_it_runs() -> None:
    """The targets of the tasks are the resources of the role, no more and no fewer."""
    substitutions = of_type("AWS::Serverless::StateMachine")["TrackImport"][
        "DefinitionSubstitutions"
    ]
    targets = {name: substitutions[re.sub(r"\W", "", target(task))] for name, task in TASKS.items()}
    allowed = {
        action: listed(statement["Resource"])
        for statement in statements_of(ROLES["TrackImportRole"])
        for action in listed(statement["Action"])
    }
    assert TASKS == LAMBDA_TASKS
    assert in_order(iter(targets.values())) == in_order(allowed["lambda:InvokeFunction"])
    assert {action.partition(":")[0] for action in allowed} == {"lambda", "logs", "xray"}


def target(task: Mapping[str, Any]) -> str:
    """Return the placeholder of what a task calls."""
    placeholder: str = task["Arguments"]["FunctionName"]
    return placeholder


def in_order(values: Iterator[Any] | list[Any]) -> list[str]:
    """Return values in an order that does not depend on how they were written."""
    return sorted(json.dumps(value) for value in values)


def test_every_dead_letter_queue_has_an_alarm() -> None:
    """Who is asked to answer hears of an event that could not be taken in."""
    dead = {
        json.dumps(queue["RedrivePolicy"]["deadLetterTargetArn"])
        for queue in of_type("AWS::SQS::Queue").values()
        if "RedrivePolicy" in queue
    }
    watched = {
        json.dumps({"Fn::GetAtt": dimension["Value"]["Fn::GetAtt"].replace(".QueueName", ".Arn")})
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
    }
    assert dead
    assert dead <= watched


SOURCES = {
    event["Properties"]["Queue"]["Fn::GetAtt"].removesuffix(".Arn"): name
    for name, function in FUNCTIONS.items()
    for event in function.get("Events", {}).values()
}
"""The function that takes from a queue, by the queue."""


def test_every_queue_that_is_filled_is_emptied() -> None:
    """Each queue but the dead letters' has a function that takes from it."""
    assert SOURCES == {"UploadQueue": "SubmitAccounts", "FailureQueue": "DeliverReport"}
    assert of_type("AWS::SQS::Queue").keys() - SOURCES.keys() == {"DeadLetterQueue"}


@pytest.mark.parametrize("queue", SOURCES)
def test_a_queue_waits_longer_than_its_function_runs(queue: str) -> None:
    """A message stays hidden six times as long as its function may run."""
    timeout = template()["Globals"]["Function"]["Timeout"]
    assert RESOURCES[queue]["Properties"]["VisibilityTimeout"] >= 6 * timeout


@pytest.mark.parametrize("queue", SOURCES)
def test_a_function_may_take_from_its_queue_alone(queue: str) -> None:
    """Its role names the queue, and no other."""
    role = ROLES[FUNCTIONS[SOURCES[queue]]["Role"]["Fn::GetAtt"].removesuffix(".Arn")]
    (statement,) = [
        one for one in statements_of(role) if str(one["Action"]).find("sqs:ReceiveMessage") >= 0
    ]
    assert listed(statement["Resource"]) == [{"Fn::GetAtt": f"{queue}.Arn"}]


@pytest.mark.parametrize("queue", of_type("AWS::SQS::Queue"))
def test_a_queue_is_encrypted_and_keeps_for_long(queue: str) -> None:
    """What waits in it is not lost over a weekend, and every queue speaks TLS alone."""
    properties = RESOURCES[queue]["Properties"]
    assert properties["SqsManagedSseEnabled"] is True
    assert properties["MessageRetentionPeriod"] == 14 * 86_400
    policy = RESOURCES["QueuePolicy"]["Properties"]
    assert {"Ref": queue} in policy["Queues"]
    (tls,) = [one for one in policy["PolicyDocument"]["Statement"] if one["Sid"] == "TlsOnly"]
    assert {"Fn::GetAtt": f"{queue}.Arn"} in tls["Resource"]


@pytest.mark.parametrize("rule", of_type("AWS::Events::Rule"))
def test_a_rule_may_send_where_it_sends(rule: str) -> None:
    """Its queue and its dead letters take messages from it, and nothing else sends to them."""
    targets = RESOURCES[rule]["Properties"]["Targets"]
    wanted = [arn for one in targets for arn in (one["Arn"], one["DeadLetterConfig"]["Arn"])]
    (statement,) = [
        one
        for one in RESOURCES["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if one["Effect"] == "Allow"
        and one["Condition"]["ArnEquals"]["aws:SourceArn"] == {"Fn::GetAtt": f"{rule}.Arn"}
    ]
    assert in_order(statement["Resource"]) == in_order(wanted)
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}


def test_every_end_without_success_is_told() -> None:
    """An execution of the machine that fails, times out or is stopped goes to the last resort."""
    rule = RESOURCES["FailureRule"]["Properties"]
    assert rule["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "stateMachineArn": [{"Ref": "TrackImport"}],
            "status": ["FAILED", "TIMED_OUT", "ABORTED"],
        },
    }
    assert [one["Arn"] for one in rule["Targets"]] == [{"Fn::GetAtt": "FailureQueue.Arn"}]


def test_imports_can_be_listed_by_day() -> None:
    """The index has the keys that the ledger writes, and all of an import."""
    table = RESOURCES["LedgerTable"]["Properties"]
    (index,) = table["GlobalSecondaryIndexes"]
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["day", "received_at"]
    assert index["Projection"] == {"ProjectionType": "ALL"}
    keys = {key["AttributeName"] for key in (*table["KeySchema"], *index["KeySchema"])}
    assert {one["AttributeName"] for one in table["AttributeDefinitions"]} == keys


@pytest.mark.parametrize("name", of_type("AWS::S3::Bucket"))
def test_a_bucket_is_private_versioned_encrypted_and_forgets(name: str) -> None:
    """Buckets hold passwords or outcomes: nobody else reads them, and they do not keep them."""
    bucket = RESOURCES[name]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["BucketEncryption"]
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert any(rule.get("ExpirationInDays") == {"Ref": "RetentionDays"} for rule in rules)
    assert any("NoncurrentVersionExpiration" in rule for rule in rules)


@pytest.mark.parametrize("name", ["InboxBucket", "ReportsBucket", "LedgerTable", "ApiKeySecret"])
def test_what_holds_data_outlives_the_stack(name: str) -> None:
    """Deleting or changing the stack deletes no data."""
    resource = RESOURCES[name]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


# The state machine


def reachable(start: str) -> set[str]:
    """Return the states that can follow one another from a state on."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead.extend(following(STATES[name]))
    return seen


def following(state: Mapping[str, Any]) -> Iterator[str]:
    """Yield the states that can follow a state."""
    ways = [state, *state.get("Choices", []), *state.get("Catch", [])]
    for way in ways:
        yield from (way[name] for name in ("Next", "Default") if name in way)


def test_every_state_is_reached() -> None:
    """No state stands there for nothing."""
    assert reachable(state_machine()["StartAt"]) == STATES.keys()


@pytest.mark.parametrize("name", STATES)
def test_every_state_leads_to_an_answer(name: str) -> None:
    """From every state before it there is a way to the delivery; a failure goes to a queue."""
    if name != "ImportFailed":
        assert "DeliverReport" in reachable(name)
    else:
        assert STATES[name]["Type"] == "Fail"


@pytest.mark.parametrize("name", LAMBDA_TASKS)
def test_a_task_that_fails_ends_in_an_answer(name: str) -> None:
    """Every fault is tried again and then caught: by the delivery, its own by a failure."""
    task = LAMBDA_TASKS[name]
    retried = {error for retry in task["Retry"] for error in retry["ErrorEquals"]}
    assert {"States.ALL", "Lambda.TooManyRequestsException"} <= retried
    (catch,) = task["Catch"]
    assert catch["ErrorEquals"] == ["States.ALL"]
    assert catch["Next"] == ("ImportFailed" if name == "DeliverReport" else "DeliverReport")
    assert "failed with" in catch["Assign"]["failure"]
    assert RESOURCES[name]["Properties"]["Handler"].split(".")[0] in catch["Assign"]["failure"]


@pytest.mark.parametrize("name", LAMBDA_TASKS)
def test_a_task_outlasts_its_function(name: str) -> None:
    """The machine does not give a function up that may still be running."""
    assert LAMBDA_TASKS[name]["TimeoutSeconds"] > template()["Globals"]["Function"]["Timeout"]


def test_a_failure_says_what_failed() -> None:
    """The last resort reads from the cause what broke the import off."""
    assert "failure" in STATES["ImportFailed"]["Cause"]


def test_the_machine_outlasts_the_longest_deadline() -> None:
    """The machine's own time-out never comes before the deadline of an import."""
    longest = template()["Parameters"]["DeadlineHours"]["MaxValue"] * 3600
    assert state_machine()["TimeoutSeconds"] > longest


def test_every_placeholder_of_the_machine_is_filled() -> None:
    """The template names a value for each placeholder, and for no other."""
    placeholders = set(re.findall(r"\$\{(\w+)\}", STATE_MACHINE.read_text("utf-8")))
    machine = of_type("AWS::Serverless::StateMachine")["TrackImport"]
    assert placeholders == machine["DefinitionSubstitutions"].keys()
    assert (ROOT / machine["DefinitionUri"]).samefile(STATE_MACHINE)
    assert machine["Type"] == "STANDARD"


def complaints(*files: Path) -> str:
    """Return what cfn-lint says of templates."""
    ended = subprocess.run(
        [CFN_LINT, "--regions", "us-east-1", "--format", "parseable", "--", *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.stdout + ended.stderr


def wrapped(definition: dict[str, Any]) -> str:
    """Write a template of a definition alone, which cfn-lint looks into, placeholders filled."""
    properties = {
        "RoleArn": {"Fn::Sub": "arn:${AWS::Partition}:iam::123456789012:role/track_import"},
        "Definition": definition,
    }
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    text = json.dumps({"Resources": {"TrackImport": machine}})
    arn = "arn:aws:lambda:us-east-1:123456789012:function:x"
    return re.sub(r"\$\{\w+Arn\}", arn, text.replace("${Partition}", "aws"))


def test_the_machine_is_well_formed(tmp_path: Path) -> None:
    """Cfn-lint finds nothing in the definition, but a task that calls nothing would be found."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    definition = state_machine()
    good.write_text(wrapped(definition), encoding="utf-8")
    del definition["States"]["CheckStatus"]["Resource"]
    bad.write_text(wrapped(definition), encoding="utf-8")
    said = complaints(good, bad)
    assert f"{bad}:" in said
    assert f"{good}:" not in said
