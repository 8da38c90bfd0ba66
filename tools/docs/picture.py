"""Draws the pictures of architecture.md from the template and the state machine: `make docs`."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.support.template import listed, of_type, state_machine, statements_of, template
from tools.docs.parts import code, table, with_parts

PAGE = Path(__file__).parents[2] / "docs/architecture.md"

SHAPES = {
    "AWS::S3::Bucket": '{0}[("{0}")]',
    "AWS::Events::Rule": '{0}>"{0}"]',
    "AWS::SQS::Queue": '{0}[["{0}"]]',
    "AWS::Serverless::Function": '{0}(["{0}"])',
    "AWS::Serverless::StateMachine": '{0}{{{{"{0}"}}}}',
    "AWS::DynamoDB::Table": '{0}[("{0}")]',
    "AWS::SecretsManager::Secret": '{0}["{0}"]',
    "AWS::SNS::Topic": '{0}(("{0}"))',
}
"""How resources of a type are drawn. Those of other types are listed below the picture."""

_VERBS = {
    "s3:GetObject": "reads",
    "s3:GetObjectVersion": "reads",
    "s3:ListBucket": "reads",
    "s3:PutObject": "writes",
    "s3:DeleteObject": "writes",
    "s3:AbortMultipartUpload": "writes",
    "dynamodb:GetItem": "reads",
    "dynamodb:Query": "reads",
    "dynamodb:PutItem": "writes",
    "dynamodb:UpdateItem": "writes",
    "dynamodb:BatchWriteItem": "writes",
    "secretsmanager:GetSecretValue": "reads",
    "states:StartExecution": "starts",
    "lambda:InvokeFunction": "runs",
    "sns:Publish": "notifies",
}
_TAKES_FROM_A_QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
_LETTERS = "dead letters"
_READS_THE_KEY = "secretsmanager:GetSecretValue"

Edge = tuple[str, str, str]
"""From, what happens, to."""


def renewed(page: str) -> str:
    """Return the page with its pictures as template and state machine have them."""
    return with_parts(page, _DRAWN)


# Resources


def drawn() -> dict[str, str]:
    """Return the type of each resource in the picture."""
    return {
        name: resource["Type"]
        for name, resource in template()["Resources"].items()
        if resource["Type"] in SHAPES
    }


def _resources() -> str:
    lines = ["flowchart TB", '  people["people and programs"]', '  remote["Saleshandy API"]']
    lines += [f"  {SHAPES[kind].format(name)}" for name, kind in drawn().items()]
    for one, what, other in edges():
        arrow = f"-. {what} .->" if what == _LETTERS else f"-- {what} -->"
        lines.append(f"  {one} {arrow} {other}")
    return _mermaid(lines)


def edges() -> Iterator[Edge]:
    """Yield what goes from where to where."""
    yield from _of_rules()
    yield from _of_queues()
    yield from _of_rights()
    # Arrows for everything that operators do would lead nearly everywhere.
    uploader = of_type("AWS::IAM::ManagedPolicy")["UploaderPolicy"]
    for statement in uploader["PolicyDocument"]["Statement"]:
        for name in _named(statement["Resource"]):
            yield "people", "drop files", name
    for topic in of_type("AWS::SNS::Topic"):
        yield topic, "one message per upload", "people"


def _of_rules() -> Iterator[Edge]:
    for name, rule in of_type("AWS::Events::Rule").items():
        for source in senders(rule["EventPattern"]):
            yield source, " or ".join(rule["EventPattern"]["detail-type"]), name
        for target in rule["Targets"]:
            for queue in _named(target["Arn"]):
                yield name, "event", queue
            for letters in _named(target["DeadLetterConfig"]):
                yield name, _LETTERS, letters


def senders(pattern: Mapping[str, Any]) -> list[str]:
    """Return who sends the events of a pattern: resources of the stack, or other programs."""
    of_aws = [one for one in pattern.get("source", ()) if str(one).startswith("aws.")]
    return _named(pattern) if of_aws else ["people"]


def _of_queues() -> Iterator[Edge]:
    for name, queue in of_type("AWS::SQS::Queue").items():
        for letters in _named(queue.get("RedrivePolicy", {})):
            yield name, _LETTERS, letters
    for name, function in of_type("AWS::Serverless::Function").items():
        for event in function.get("Events", {}).values():
            for queue in _named(event["Properties"]["Queue"]):
                yield queue, "message", name


def _of_rights() -> Iterator[Edge]:
    """Yield what functions and the machine may do, by their roles."""
    resources = template()["Resources"]
    for kind in ("AWS::Serverless::Function", "AWS::Serverless::StateMachine"):
        for name, properties in of_type(kind).items():
            role = resources[properties["Role"]["Fn::GetAtt"].partition(".")[0]]
            verbs: dict[str, set[str]] = {}
            for statement in statements_of(role):
                actions = set(listed(statement["Action"])) - _TAKES_FROM_A_QUEUE
                for other in _named(statement["Resource"]) if actions else ():
                    verbs.setdefault(other, set()).update(_VERBS[action] for action in actions)
                if _READS_THE_KEY in actions:
                    verbs["remote"] = {"calls"}
            for other, done in verbs.items():
                yield name, " and ".join(sorted(done)), other


def _named(value: object) -> list[str]:
    """Return the resources of the picture that a value refers to, or names by an ARN of theirs."""
    text = json.dumps(value)
    names = re.findall(r'"Ref": "(\w+)"|"Fn::GetAtt": "(\w+)\.|\$\{(\w+)\.', text)
    found = [name for groups in names for name in groups if name in drawn()]
    for pattern in re.findall(r":(?:secret|stateMachine):([^\"]+)", text):
        found += [name for name, own in _own_names().items() if fnmatchcase(own, pattern)]
    return list(dict.fromkeys(found))


def _own_names() -> dict[str, str]:
    """Return the ends of the ARNs of resources with names of their own."""
    machines = of_type("AWS::Serverless::StateMachine")
    secrets = of_type("AWS::SecretsManager::Secret")
    return {name: one["Name"]["Fn::Sub"] for name, one in machines.items()} | {
        name: f"{one['Name']['Fn::Sub']}-AbCdEf" for name, one in secrets.items()
    }


def _rest() -> str:
    types: dict[str, list[str]] = {}
    for name, resource in template()["Resources"].items():
        if resource["Type"] not in SHAPES:
            types.setdefault(resource["Type"].removeprefix("AWS::"), []).append(name)
    rows = ((kind, code(names)) for kind, names in sorted(types.items()))
    return table(("type", "resources"), rows)


# States


def _states() -> str:
    machine = state_machine()
    lines = ["stateDiagram-v2", "  direction TB", f"  [*] --> {machine['StartAt']}"]
    for name, state in machine["States"].items():
        lines += [f"  {name} --> {other}" for other in _following(state)]
    return _mermaid(lines)


def _following(state: Mapping[str, Any]) -> Iterator[str]:
    """Yield the states after a state, with what leads there."""
    for choice in state.get("Choices", ()):
        (value,) = re.findall(r"next = '(\w+)'", choice["Condition"])
        yield f"{choice['Next']}: {value}"
    if "Default" in state:
        yield f"{state['Default']}: else"
    if "Next" in state:
        yield state["Next"]
    for catch in state.get("Catch", ()):
        yield f"{catch['Next']}: still fails"
    if state.get("End") or state["Type"] == "Fail":
        yield "[*]"


def _mermaid(lines: Iterable[str]) -> str:
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


_DRAWN = {"resources": _resources, "rest": _rest, "states": _states}

if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
