"""The template and the state machine: what must hold whatever is added to them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from fnmatch import fnmatch
from typing import Any

import pytest

from email_accounts.aws.messaging import EVENT_SOURCE
from email_accounts.delivery.deliverer import LONGEST_RUN
from email_accounts.lambda_runtime.settings import Settings
from email_accounts.models.upload import FILE_READY
from email_accounts.saleshandy import exchange, safe_fetch
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN
from tests.support.policies import LOG_DELIVERY, TRACING
from tests.support.template import (
    ROOT,
    STATE_MACHINE,
    TEMPLATE,
    actions_of,
    following,
    listed,
    of_type,
    state_machine,
    statements_of,
    template,
)

OUTPUTS = {
    "InboxBucketName",
    "ReportsBucketName",
    "NotificationTopicArn",
    "TrackImportStateMachineArn",
    "LedgerTableName",
    "UploadQueueUrl",
    "FailureQueueUrl",
    "UploaderPolicyArn",
    "OperatorPolicyArn",
    "SecretsPolicyArn",
    "DeadLetterQueueUrl",
}
RESOURCES: dict[str, Any] = template()["Resources"]
STATES: dict[str, Any] = state_machine()["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
LAMBDA_TASKS = {name: task for name, task in TASKS.items() if "lambda:invoke" in task["Resource"]}


FUNCTIONS = of_type("AWS::Serverless::Function")
ROLES = {name: RESOURCES[name] for name in of_type("AWS::IAM::Role")}


# Parameters and outputs


@pytest.mark.parametrize("name", template()["Parameters"])
def test_a_parameter_explains_and_guards_itself(name: str) -> None:
    """Each has a description, says what it may be, and has a default that is so."""
    parameter = template()["Parameters"][name]
    assert re.fullmatch(r"[A-Z].{15,}\.", parameter["Description"])
    default = parameter["Default"]
    assert default in parameter.get("AllowedValues", [default])
    if parameter["Type"] == "Number":
        assert "AllowedValues" in parameter or {"MinValue", "MaxValue"} <= parameter.keys()
        assert parameter.get("MinValue", default) <= default <= parameter.get("MaxValue", default)
    elif parameter["Type"] == "String":
        assert "AllowedValues" in parameter or "AllowedPattern" in parameter
    assert re.fullmatch(parameter.get("AllowedPattern", ".*"), str(default))


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


@pytest.mark.parametrize(
    ("parameter", "variable", "address", "allowed"),
    [
        *(
            ("ApiBaseUrl", "API_BASE_URL", address, allowed)
            for address, allowed in (
                ("https://open-api.saleshandy.com/v1", True),
                ("https://api.example:8443", True),
                ("http://127.0.0.1:9000/v1", True),
                ("http://localhost/v1", True),
                ("http://[::1]:9000", True),
                ("http://open-api.saleshandy.com/v1", False),
                ("http://127.0.0.1.example/v1", False),
                ("http://127.0.0.1@api.example/v1", False),
                ("http://localhost.example", False),
                ("https://", False),
                ("ftp://api.example/v1", False),
            )
        ),
        *(
            ("NameServer", "NAME_SERVER", address, allowed)
            for address, allowed in (
                ("", True),
                ("127.0.0.1:53", True),
                ("localhost:5353", True),
                ("[::1]:5353", True),
                ("127.0.0.1", False),
                ("8.8.8.8:53", False),
                ("localhost.example:53", False),
                ("127.0.0.1@dns.example:53", False),
            )
        ),
    ],
)
def test_passwords_go_over_https_or_stay_on_this_computer(
    parameter: str, variable: str, address: str, *, allowed: bool
) -> None:
    """Plain http is for an API of the computer itself: parameter and function agree on it.

    So is another name server: anyone who answers decides where passwords go.
    """
    pattern = template()["Parameters"][parameter]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, address)) is allowed
    with nullcontext() if allowed else pytest.raises(ValueError, match=variable):
        settings = Settings.read(read_with(**{variable: address}))
        assert getattr(settings, variable.lower()) == address


@pytest.mark.parametrize("address", ["https://name:password@api.example", "https://api.example/"])
def test_an_address_has_neither_a_password_nor_a_slash_at_its_end(address: str) -> None:
    """The one would be shown by CloudFormation, the other be doubled in each call."""
    pattern = template()["Parameters"]["ApiBaseUrl"]["AllowedPattern"]
    assert not re.fullmatch(pattern, address)


# Names

LIMITS = {
    "AWS::Serverless::Function": ("FunctionName", 64),
    "AWS::Serverless::StateMachine": ("Name", 80),
    "AWS::Events::Rule": ("Name", 64),
    "AWS::CloudWatch::Alarm": ("AlarmName", 255),
    "AWS::CloudWatch::Dashboard": ("DashboardName", 255),
    "AWS::KMS::Alias": ("AliasName", 256),
    "AWS::Logs::LogGroup": ("LogGroupName", 512),
    "AWS::SecretsManager::Secret": ("Name", 512),
}
"""The property that names a resource, and how long AWS lets it be.

Source: the API reference of each service, as the schemas of CloudFormation repeat it.
"""


def test_the_longest_name_of_a_stack_is_told() -> None:
    """As long as the shortest limit of a name that is made of it allows."""
    longest = min(
        limit - len(re.sub(r"\$\{AWS::StackName\}", "", name["Fn::Sub"]))
        for kind, (key, limit) in LIMITS.items()
        for one in of_type(kind).values()
        if "Fn::Sub" in (name := one.get(key, {}))
    )
    named = {
        kind: key
        for kind, one in ((one["Type"], one["Properties"]) for one in RESOURCES.values())
        for key, value in one.items()
        if key.endswith("Name") and "AWS::StackName" in json.dumps(value)
    }
    assert named.items() <= {kind: key for kind, (key, _) in LIMITS.items()}.items()
    assert f"at most {longest} characters" in (ROOT / "docs/deployment.md").read_text("utf-8")


# Functions


class Read(dict[str, str]):
    """An environment that answers anything and notes what it was asked."""

    def __missing__(self, name: str) -> str:
        """Answer what can be a text and a number."""
        self[name] = "" if name == "NAME_SERVER" else "1"
        return self[name]


def read_with(**given: str) -> Read:
    """Return such an environment; what is no number has a value of its own."""
    return Read({"API_BASE_URL": "https://api.example", "SIGN_IN_CHECK": "off"} | given)


def test_functions_get_the_environment_they_read() -> None:
    """The variables are those that the settings read, and no others."""
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    read = read_with()
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


def test_functions_share_their_settings() -> None:
    """A function has no setting that another does without, but for the inbox."""
    own = {
        name: set(function["Environment"]["Variables"]) - {"POWERTOOLS_SERVICE_NAME"}
        for name, function in FUNCTIONS.items()
    }
    others = {name: set[str]() for name in FUNCTIONS}
    assert own == others | {"SubmitAccounts": {"INBOX_BUCKET"}}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_role_and_a_log_of_its_own(name: str) -> None:
    """No two functions share a role, and no function has one made up for it.

    What Lambda does in its name is no more than to write to its own log group and to send traces.
    """
    assert "Policies" not in FUNCTIONS[name]
    role = FUNCTIONS[name]["Role"]["Fn::GetAtt"].removesuffix(".Arn")
    assert [one["Role"] for one in FUNCTIONS.values()].count({"Fn::GetAtt": f"{role}.Arn"}) == 1
    group = FUNCTIONS[name]["LoggingConfig"]["LogGroup"]["Ref"]
    handler = FUNCTIONS[name]["Handler"].partition(".")[0]
    assert RESOURCES[group]["Properties"]["LogGroupName"]["Fn::Sub"].endswith(f"-{handler}")
    assert template()["Globals"]["Function"]["LoggingConfig"] == {"LogFormat": "JSON"}
    statements = {one["Sid"]: one for one in statements_of(ROLES[role])}
    log, traces = statements["WriteItsLog"], statements["SendTraces"]
    assert log["Resource"] == {"Fn::GetAtt": f"{group}.Arn"}
    assert set(log["Action"]) == {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert set(traces["Action"]) == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


@pytest.mark.parametrize("name", of_type("AWS::Logs::LogGroup"))
def test_every_log_ends(name: str) -> None:
    """No log group keeps forever."""
    assert RESOURCES[name]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


# Permissions


def test_a_wildcard_has_a_reason() -> None:
    """Where a statement is for all resources, a comment beside it says why."""
    lines = TEMPLATE.read_text("utf-8").splitlines()
    everything = [line for line in lines if re.search(r"""Resource: \[?["']\*["']""", line)]
    assert len(everything) > 3
    for line in everything:
        assert re.search(r"#\s+\S+ \S+ \S+", line), line


TASK_ACTIONS = {"lambda:invoke": "lambda:InvokeFunction", "sns:publish": "sns:Publish"}


def test_the_machine_may_do_what_its_definition_needs() -> None:
    """Its actions follow from the tasks it has, the log it writes and the traces it sends."""
    machine = of_type("AWS::Serverless::StateMachine")["TrackImport"]
    needed = {TASK_ACTIONS[task["Resource"].rpartition(":::")[2]] for task in TASKS.values()}
    needed |= LOG_DELIVERY if machine["Logging"]["Destinations"] else set()
    needed |= TRACING if machine["Tracing"]["Enabled"] else set()
    if "sns:Publish" in needed:
        needed |= {"kms:Decrypt", "kms:GenerateDataKey"}
    assert actions_of(ROLES["TrackImportRole"]) == needed


def test_who_reads_uploads_may_list() -> None:
    """Without it S3 answers 'forbidden' for a deleted upload, and it would be tried again.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (Permissions)
    """
    for name, role in ROLES.items():
        allowed = [
            (action, json.dumps(statement["Resource"]))
            for statement in statements_of(role)
            for action in listed(statement["Action"])
        ]
        asks = any("s3:GetObject" in action and "InboxBucket" in where for action, where in allowed)
        lists = ("s3:ListBucket", json.dumps({"Fn::GetAtt": "InboxBucket.Arn"})) in allowed
        assert asks == lists, name


def test_a_rule_may_send_where_it_sends() -> None:
    """Each queue a rule sends to, for dead letters too, takes events of that rule alone."""
    queues = {json.dumps({"Fn::GetAtt": f"{name}.Arn"}) for name in of_type("AWS::SQS::Queue")}
    sent = {
        (place, json.dumps({"Fn::GetAtt": f"{rule}.Arn"}))
        for rule, properties in of_type("AWS::Events::Rule").items()
        for target in properties["Targets"]
        for arn in (target["Arn"], target.get("DeadLetterConfig", {}).get("Arn"))
        if (place := json.dumps(arn)) in queues
    }
    taken = {
        (json.dumps(place), json.dumps(rule))
        for policy in of_type("AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        and statement["Principal"] == {"Service": "events.amazonaws.com"}
        and statement["Action"] == "sqs:SendMessage"
        for place in listed(statement["Resource"])
        for rule in listed(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
    }
    assert sent
    assert sent == taken


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
        json.dumps(dimension["Value"]).replace(".QueueName", ".Arn")
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", ())
        if alarm.get("Namespace") == "AWS/SQS"
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
    """A message stays hidden longer than its function runs, and is given up after two hours."""
    queue_of = RESOURCES[queue]["Properties"]
    redrive = queue_of["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": "DeadLetterQueue.Arn"}
    assert queue_of["VisibilityTimeout"] > timeout_of(SOURCES[queue])
    assert queue_of["VisibilityTimeout"] * redrive["maxReceiveCount"] >= 7200


@pytest.mark.parametrize("queue", of_type("AWS::SQS::Queue"))
def test_a_queue_has_a_policy_of_its_own(queue: str) -> None:
    """SQS takes a policy of one queue alone; and what waits in a queue outlasts a weekend.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
    and its older form, "each policy must cover only a single queue".
    """
    assert RESOURCES[queue]["Properties"]["MessageRetentionPeriod"] == 14 * 86_400
    (policy,) = (
        one for one in of_type("AWS::SQS::QueuePolicy").values() if {"Ref": queue} in one["Queues"]
    )
    assert policy["Queues"] == [{"Ref": queue}]
    for statement in policy["PolicyDocument"]["Statement"]:
        assert statement["Resource"] == {"Fn::GetAtt": f"{queue}.Arn"}


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


def test_another_system_can_announce_files_of_the_inbox_alone() -> None:
    """Rule and function hold an event to the inbox; what is in the wrong place is answered."""
    rule = RESOURCES["FileReadyRule"]["Properties"]
    assert rule["EventPattern"] == {
        "detail-type": [FILE_READY],
        "detail": {"bucket": [{"Ref": "InboxBucket"}]},
    }
    assert rule["EventBusName"] == {"Ref": "EventBusName"}
    assert [one["Arn"] for one in rule["Targets"]] == [{"Fn::GetAtt": "UploadQueue.Arn"}]
    variables = FUNCTIONS["SubmitAccounts"]["Environment"]["Variables"]
    assert variables["INBOX_BUCKET"] == {"Ref": "InboxBucket"}


def test_every_object_of_the_inbox_is_told_of() -> None:
    """Empty ones and those in the wrong place as well: no upload is met with silence."""
    assert RESOURCES["UploadRule"]["Properties"]["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [{"Ref": "InboxBucket"}]}},
    }


def test_events_are_put_on_one_bus_as_one_source() -> None:
    """No role can tell anything in another system's name, or on another bus."""
    allowed = {
        name: one
        for name, role in ROLES.items()
        for one in statements_of(role)
        if "events:PutEvents" in listed(one["Action"])
    }
    assert allowed.keys() == {"SubmitAccountsRole", "CheckSignInRole", "DeliverReportRole"}
    for statement in allowed.values():
        assert statement["Resource"]["Fn::Sub"].endswith(":event-bus/${EventBusName}")
        assert statement["Condition"] == {"StringEqualsIfExists": {"events:source": EVENT_SOURCE}}
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["EVENT_BUS"] == {"Ref": "EventBusName"}


def test_imports_can_be_listed_by_day_and_restored() -> None:
    """The index has the keys that the ledger writes, and all of an import.

    The table can be restored: what has been sent already can be learned again after an accident.
    """
    table = RESOURCES["LedgerTable"]["Properties"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    (index,) = table["GlobalSecondaryIndexes"]
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["day", "received_at"]
    assert index["Projection"] == {"ProjectionType": "ALL"}
    keys = {key["AttributeName"] for key in (*table["KeySchema"], *index["KeySchema"])}
    assert {one["AttributeName"] for one in table["AttributeDefinitions"]} == keys


def test_each_time_out_leaves_room_for_the_one_inside_it() -> None:
    """A call < what a function keeps back for it < function < task."""
    call = max(exchange.SECONDS, safe_fetch.SECONDS)
    assert call < SAFE_MARGIN < min(map(timeout_of, FUNCTIONS))
    assert timeout_of("DeliverReport") == LONGEST_RUN


def timeout_of(function: str) -> float:
    """Return the seconds that a function may run."""
    shared = template()["Globals"]["Function"]
    return float(FUNCTIONS[function].get("Timeout", shared["Timeout"]))


def test_functions_at_once_are_bounded() -> None:
    """By their queues alone: a reserved share that is smaller would make dead letters.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    """
    mapping = FUNCTIONS["SubmitAccounts"]["Events"]["Upload"]["Properties"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 5}
    assert "ReservedConcurrentExecutions" not in json.dumps(template())


def test_the_machine_has_a_log_without_data() -> None:
    """Its log is one of the template and holds no input or output of a state."""
    for machine in of_type("AWS::Serverless::StateMachine").values():
        assert machine["Logging"]["IncludeExecutionData"] is False
        (destination,) = machine["Logging"]["Destinations"]
        group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"]
        assert RESOURCES[group.removesuffix(".Arn")]["Type"] == "AWS::Logs::LogGroup"


@pytest.mark.parametrize("name", of_type("AWS::S3::Bucket"))
def test_a_bucket_is_private_versioned_and_forgets(name: str) -> None:
    """Buckets hold passwords or outcomes: nobody else reads them, and they do not keep them."""
    bucket = RESOURCES[name]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    objects, markers = bucket["LifecycleConfiguration"]["Rules"]
    assert objects["Status"] == markers["Status"] == "Enabled"
    what = {"InboxBucket": "Upload", "ReportsBucket": "Report"}[name]
    assert objects["ExpirationInDays"] == {"Ref": f"{what}RetentionDays"}
    assert objects["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert markers["ExpiredObjectDeleteMarker"] is True
    assert "Prefix" not in objects | markers
    assert "Filter" not in objects | markers


def test_an_upload_outlives_its_import() -> None:
    """An import reads its upload to the end, even when the file has been dropped again since."""
    longest = state_machine()["TimeoutSeconds"] / 86_400
    rule = RESOURCES["InboxBucket"]["Properties"]["LifecycleConfiguration"]["Rules"][0]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] > longest
    for what in ("Upload", "Report"):
        assert template()["Parameters"][f"{what}RetentionDays"]["MinValue"] > longest


def test_passwords_are_kept_a_week_unless_asked_otherwise() -> None:
    """What is dropped holds passwords: it goes first."""
    parameters = template()["Parameters"]
    days = {name: one["Default"] for name, one in parameters.items() if "RetentionDays" in name}
    assert days == {"UploadRetentionDays": 7, "ReportRetentionDays": 90, "LogRetentionDays": 30}


@pytest.mark.parametrize(
    "name", ["DataKey", "InboxBucket", "ReportsBucket", "LedgerTable", "ApiKeySecret"]
)
def test_what_holds_data_outlives_the_stack(name: str) -> None:
    """Deleting or changing the stack deletes no data; a creation that fails leaves nothing.

    What it left would have names that the next attempt wants.
    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
    """
    resource = RESOURCES[name]
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"


# The key

KEY_ARN = {"Fn::GetAtt": "DataKey.Arn"}
ENCRYPTED_BY: dict[str, Callable[[dict[str, Any]], Any]] = {
    "AWS::S3::Bucket": lambda one: one["BucketEncryption"]["ServerSideEncryptionConfiguration"][0][
        "ServerSideEncryptionByDefault"
    ]["KMSMasterKeyID"],
    "AWS::DynamoDB::Table": lambda one: one["SSESpecification"]["KMSMasterKeyId"],
    "AWS::SQS::Queue": lambda one: one["KmsMasterKeyId"],
    "AWS::SNS::Topic": lambda one: one["KmsMasterKeyId"],
    "AWS::Logs::LogGroup": lambda one: one["KmsKeyId"],
    "AWS::SecretsManager::Secret": lambda one: one["KmsKeyId"],
    "AWS::Serverless::Function": lambda _: template()["Globals"]["Function"]["KmsKeyArn"],
}
"""Where each kind of resource that keeps data names its key."""
KEEPS_NOTHING = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::Rule",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Role",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    # It keeps its code, which is public.
    "AWS::Serverless::LayerVersion",
    # Its histories hold names of files and of imports, encrypted by AWS's own key.
    "AWS::Serverless::StateMachine",
}


@pytest.mark.parametrize("name", RESOURCES)
def test_what_keeps_data_is_encrypted_with_the_one_key(name: str) -> None:
    """Every resource is encrypted with the stack's key, or known to keep nothing."""
    kind = RESOURCES[name]["Type"]
    if kind not in KEEPS_NOTHING:
        assert ENCRYPTED_BY[kind](RESOURCES[name]["Properties"]) == KEY_ARN


def test_the_key_is_for_the_account_its_rules_alarms_and_logs() -> None:
    """Nobody else is named by the key, and nobody but the account may manage it.

    AWS makes new material for it every year, and keeps the old to read what is old.
    """
    assert RESOURCES["DataKey"]["Properties"]["EnableKeyRotation"] is True
    policy = RESOURCES["DataKey"]["Properties"]["KeyPolicy"]["Statement"]
    account, senders, logs = policy
    assert account["Principal"]["AWS"]["Fn::Sub"].endswith("${AWS::AccountId}:root")
    assert senders["Principal"] == {"Service": ["events.amazonaws.com", "cloudwatch.amazonaws.com"]}
    assert logs["Principal"]["Service"]["Fn::Sub"] == "logs.${AWS::Region}.amazonaws.com"
    patterns = logs["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    for group in of_type("AWS::Logs::LogGroup").values():
        name = filled(group["LogGroupName"])
        assert any(fnmatch(name, filled(one).partition("log-group:")[2]) for one in patterns), name
        assert not any(fnmatch("/aws/lambda/other", filled(one)) for one in patterns)


def filled(value: Mapping[str, str]) -> str:
    """Return a text with the name of a stack filled in."""
    return value["Fn::Sub"].replace("${AWS::StackName}", "stack")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_uses_the_key_through_the_services_it_uses(role: str) -> None:
    """Those whose data is encrypted with the key; for a function Lambda, too: its environment."""
    statements = {one["Sid"]: one for one in statements_of(ROLES[role])}
    key = statements.pop("UseTheKeyThroughServices", None)
    used = {
        action.partition(":")[0]
        for statement in statements.values()
        for action in listed(statement["Action"])
    }
    through = used - {"events", "lambda", "logs", "states", "xray"}
    if role != "TrackImportRole":
        through.add("lambda")
    assert bool(key) == bool(through)
    if key:
        allowed = [one["Fn::Sub"] for one in key["Condition"]["StringEquals"]["kms:ViaService"]]
        assert key["Resource"] == KEY_ARN
        assert set(key["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
        assert sorted(allowed) == sorted(f"{one}.${{AWS::Region}}.amazonaws.com" for one in through)


# Who may come near


@pytest.mark.parametrize(
    ("kind", "policy_kind", "names"),
    [
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "Topics"),
    ],
)
def test_nothing_is_reached_without_tls(kind: str, policy_kind: str, names: str) -> None:
    """Buckets, queues and the topic refuse anyone who comes unencrypted."""
    guarded = []
    for policy in of_type(policy_kind).values():
        statements = {one["Sid"]: one for one in policy["PolicyDocument"]["Statement"]}
        tls = statements["TlsOnly"]
        assert (tls["Effect"], tls["Principal"]) == ("Deny", "*")
        assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert tls["Action"] in {"s3:*", "sqs:*", "sns:Publish"}
        guarded += [one["Ref"] for one in listed(policy[names])]
        whole: dict[str, Callable[[str], list[dict[str, str]]]] = {
            "AWS::S3::Bucket": lambda name: [
                {"Fn::GetAtt": f"{name}.Arn"},
                {"Fn::Sub": f"${{{name}.Arn}}/*"},
            ],
            "AWS::SQS::Queue": lambda name: [{"Fn::GetAtt": f"{name}.Arn"}],
            "AWS::SNS::Topic": lambda name: [{"Ref": name}],
        }
        reached = [arn for one in listed(policy[names]) for arn in whole[kind](one["Ref"])]
        assert listed(tls["Resource"]) == reached
    assert sorted(guarded) == sorted(of_type(kind))


def test_an_uploader_can_put_and_nothing_else() -> None:
    """The policy for people names one action on uploads, and the key through S3 alone."""
    put, key = RESOURCES["UploaderPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert listed(put["Action"]) == ["s3:PutObject"]
    assert put["Resource"] == {"Fn::Sub": "${InboxBucket.Arn}/uploads/*"}
    assert key["Resource"] == KEY_ARN
    assert set(key["Action"]) == {"kms:GenerateDataKey", "kms:Decrypt"}
    assert key["Condition"] == {
        "StringEquals": {"kms:ViaService": {"Fn::Sub": "s3.${AWS::Region}.amazonaws.com"}},
        "ArnLike": {
            "kms:EncryptionContext:aws:s3:arn": [
                {"Fn::GetAtt": "InboxBucket.Arn"},
                {"Fn::Sub": "${InboxBucket.Arn}/*"},
            ]
        },
    }


KEY = "arn:aws:kms:eu-west-1:123456789012:key/ours"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),  # the bucket's own encryption: the stack's key
        ({"server-side-encryption": "aws:kms", "server-side-encryption-aws-kms-key-id": KEY}, True),
        ({"storage-class": "STANDARD_IA"}, True),
        ({"server-side-encryption": "aws:kms"}, False),  # AWS's own key, not the bucket's
        ({"server-side-encryption": "AES256"}, False),
        ({"server-side-encryption": "aws:kms:dsse"}, False),
        ({"server-side-encryption-aws-kms-key-id": KEY + "s"}, False),
        (
            {
                "server-side-encryption": "aws:kms",
                "server-side-encryption-aws-kms-key-id": KEY.replace("ours", "theirs"),
            },
            False,
        ),
        (
            {
                "server-side-encryption": "aws:kms:dsse",
                "server-side-encryption-aws-kms-key-id": KEY,
            },
            False,
        ),
        ({"server-side-encryption-customer-algorithm": "AES256"}, False),
        ({"storage-class": "GLACIER"}, False),
        ({"storage-class": "DEEP_ARCHIVE"}, False),
    ],
)
def test_an_upload_keeps_the_stacks_key(headers: dict[str, str], *, allowed: bool) -> None:
    """What names another encryption, another key or an archive is refused; silence is not.

    Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html and
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html
    """
    context = {f"s3:x-amz-{name}": value for name, value in headers.items()}
    context["aws:SecureTransport"] = "true"
    statements = RESOURCES["InboxBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert {one["Effect"] for one in statements} == {"Deny"}
    refusing = [one["Sid"] for one in statements if holds(one["Condition"], context)]
    assert bool(refusing) is not allowed, refusing


def holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Say whether every part of a condition holds, as IAM does.

    A key that is not in the context fails `StringEquals` and `Bool`, and fulfils `StringNotEquals`.
    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    operators: dict[str, Callable[[str, list[str]], bool]] = {
        "Null": lambda key, wanted: wanted == [str(key not in context).lower()],
        "Bool": lambda key, wanted: context.get(key) in wanted,
        "StringEquals": lambda key, wanted: context.get(key) in wanted,
        "StringNotEquals": lambda key, wanted: context.get(key) not in wanted,
    }
    return all(
        operators[operator](key, [KEY if one == KEY_ARN else one for one in listed(wanted)])
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


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


@pytest.mark.parametrize("name", STATES)
def test_every_state_leads_to_an_answer(name: str) -> None:
    """From every state before it there is a way to the delivery; a failure goes to a queue.

    The last resort reads from its cause what interrupted the import.
    """
    if name != "ImportFailed":
        assert "DeliverReport" in reachable(name)
    else:
        assert STATES[name]["Type"] == "Fail"
        assert "failure" in STATES[name]["Cause"]


@pytest.mark.parametrize("name", LAMBDA_TASKS)
def test_a_task_that_fails_ends_in_an_answer(name: str) -> None:
    """Every fault is tried again and then caught: by the delivery, its own by a failure.

    A sign-in check that fails is skipped: what it would have tried is sent.
    """
    task = LAMBDA_TASKS[name]
    retried = {error for retry in task["Retry"] for error in retry["ErrorEquals"]}
    assert {"States.ALL", "Lambda.TooManyRequestsException"} <= retried
    (catch,) = task["Catch"]
    assert catch["ErrorEquals"] == ["States.ALL"]
    if name == "CheckSignIn":
        assert catch["Next"] == "SubmitAccounts"
        assert catch["Assign"] == {"skipSignIn": True}
        return
    assert catch["Next"] == ("ImportFailed" if name == "DeliverReport" else "DeliverReport")
    assert "failed with" in catch["Assign"]["failure"]
    assert RESOURCES[name]["Properties"]["Handler"].split(".")[0] in catch["Assign"]["failure"]


@pytest.mark.parametrize("name", LAMBDA_TASKS)
def test_a_task_outlasts_its_function(name: str) -> None:
    """The machine does not give a function up that may still be running."""
    assert LAMBDA_TASKS[name]["TimeoutSeconds"] > timeout_of(name)


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
