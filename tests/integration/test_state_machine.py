"""The definition of the state machine is well formed, and what is not would be found.

Three look at it: cfn-lint at what each state may hold, the tests here at how states lead to one
another, and the JSONata that the local cloud runs at the expressions.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from email_accounts.delivery.deliverer import LONGEST_RUN
from email_accounts.models.imports import LEASE_MARGIN
from tests.support.template import ROOT, following, state_machine

CFN_LINT = ROOT / ".venvs/sam/bin/cfn-lint"
WITH_JSONATA = ROOT / ".venvs/emulator/bin/python"
PARSE = """
import json, sys
import jsonata
for expression in json.load(sys.stdin):
    try:
        jsonata.Jsonata(expression)
    except jsonata.JException as error:
        print(f"{expression}: {error}")
"""
EXPRESSION = re.compile(r"\{%(.+)%\}", re.DOTALL)
OF_JSONPATH = {"InputPath", "OutputPath", "ResultPath", "Parameters", "ResultSelector"}
KNOWN_OF_STATES = {"input", "result", "errorOutput", "context"}
Definition = dict[str, Any]


def states(definition: Definition) -> Definition:
    """Return the states of a definition."""
    known: Definition = definition["States"]
    return known


def of_the_ways(definition: Definition) -> Iterator[str]:
    """Yield ways to nowhere, and states that no way leads to."""
    known, reached, ahead = states(definition), set[str](), [definition["StartAt"]]
    while ahead:
        name = ahead.pop()
        if name not in known:
            yield f"there is no state {name}"
        elif name not in reached:
            reached.add(name)
            ahead += following(known[name])
    yield from (f"nothing leads to {name}" for name in known.keys() - reached)


def of_the_language(definition: Definition) -> Iterator[str]:
    """Yield what is JSONPath, and would be taken for a text or be refused."""
    for _, name, value in parts(definition):
        if name in OF_JSONPATH or name.endswith(".$"):
            yield f"{name} is JSONPath"
        marked = isinstance(value, str) and ("{%" in value or "%}" in value)
        if marked and not EXPRESSION.fullmatch(str(value)):
            yield f"{value} is not an expression alone"


def of_the_expressions(definition: Definition) -> Iterator[str]:
    """Yield expressions that cannot be read, and names in them that nothing is assigned to."""
    texts = [value for _, _, value in parts(definition) if isinstance(value, str)]
    found: list[str] = [one[1] for one in map(EXPRESSION.fullmatch, texts) if one]
    assigned = {name for place, name, _ in parts(definition) if place == "Assign"}
    for expression in found:
        bare = re.sub("'[^']*'", "", expression)
        for name, member in re.findall(r"\$(\w+)(?:\.(\w+))?", bare):
            if name not in assigned | {"states"} or (
                name == "states" and member not in KNOWN_OF_STATES
            ):
                yield f"{expression}: nothing is assigned to ${name}.{member}"
    assert found
    said = subprocess.run(
        [WITH_JSONATA, "-c", PARSE],
        input=json.dumps(found),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    yield from said.stdout.splitlines()


def parts(value: object, place: str = "") -> Iterator[tuple[str, str, object]]:
    """Yield every part of a definition: the name above it, its own, and what it holds."""
    if isinstance(value, dict):
        for name, held in value.items():
            yield place, name, held
            yield from parts(held, name)
    elif isinstance(value, list):
        for held in value:
            yield from parts(held, place)


def template_of(definition: Definition) -> str:
    """Write a template of a definition alone, placeholders filled.

    Cfn-lint does not look into a definition that SAM would put into the template.
    """
    properties = {
        "RoleArn": {"Fn::Sub": "arn:${AWS::Partition}:iam::123456789012:role/track_import"},
        "Definition": definition,
    }
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    text = json.dumps({"Resources": {"TrackImport": machine}})
    arn = "arn:aws:lambda:us-east-1:123456789012:function:x"
    return re.sub(r"\$\{\w+Arn\}", arn, text.replace("${Partition}", "aws"))


def check(definition: Definition) -> Definition:
    """Return the state that looks."""
    known: Definition = states(definition)["CheckStatus"]
    return known


BROKEN: dict[str, tuple[Callable[[Definition], object], str]] = {
    "a start that is not there": (
        lambda one: one.update(StartAt="Nowhere"),
        "there is no state Nowhere",
    ),
    "a way to nowhere": (
        lambda one: check(one).update(Next="Nowhere"),
        "there is no state Nowhere",
    ),
    "a fault that is caught by nobody": (
        lambda one: check(one)["Catch"][0].update(Next="Nowhere"),
        "there is no state Nowhere",
    ),
    "a choice of nothing": (
        lambda one: states(one)["ChooseNext"].update(Default="Nowhere"),
        "there is no state Nowhere",
    ),
    "a state that nothing leads to": (
        lambda one: states(one).update(Lost={"Type": "Pass", "End": True}),
        "nothing leads to Lost",
    ),
    "a JSONPath": (
        lambda one: check(one).update(ResultPath="$.status"),
        "ResultPath is JSONPath",
    ),
    "an expression without an end": (
        lambda one: states(one)["WaitForItsTurn"].update(Seconds="{% $states.input.waitSeconds"),
        "not an expression alone",
    ),
    "an expression that cannot be read": (
        lambda one: states(one)["ChooseNext"]["Choices"][0].update(
            Condition="{% $states.input = %}"
        ),
        "Unexpected end of expression",
    ),
    "a variable that nobody assigns": (
        lambda one: check(one)["Arguments"]["Payload"].update(importId="{% $importID %}"),
        "nothing is assigned to $importID",
    ),
    "a part of the state that there is not": (
        lambda one: states(one)["WaitForItsTurn"].update(Seconds="{% $states.imput.waitSeconds %}"),
        "nothing is assigned to $states.imput",
    ),
    "neither an end nor a way on": (
        lambda one: states(one)["DeliverReport"].pop("End"),
        "E3601:Only one of ['Next', 'End'] is a required property",
    ),
    "an end and a way on": (
        lambda one: check(one).update(End=True),
        "E3601:Only one of ['Next', 'End'] is a required property",
    ),
    "a type that there is not": (
        lambda one: states(one)["TakeOver"].update(Type="Take"),
        "E3601:'Take' is not one of",
    ),
    "a text for a number": (
        lambda one: check(one).update(TimeoutSeconds="soon"),
        "E3601:'soon' is not of type 'number'",
    ),
    "a field that there is not": (
        lambda one: check(one).update(Retries=[]),
        "E3601:Additional properties are not allowed",
    ),
    "a task that calls nothing": (
        lambda one: check(one).pop("Resource"),
        "E3601:'Resource' is a required property",
    ),
}


def definition_of(what: str) -> Definition:
    """Return the definition, broken in this way; whole for no way."""
    definition = state_machine()
    if what:
        BROKEN[what][0](definition)
    return definition


@pytest.fixture(scope="module")
def of_cfn_lint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return what cfn-lint says of the definition and of each broken one: it takes seconds."""
    files = {}
    for number, what in enumerate(("", *BROKEN)):
        files[what] = tmp_path_factory.mktemp("definitions") / f"{number}.json"
        files[what].write_text(template_of(definition_of(what)), "utf-8")
    done = subprocess.run(
        [CFN_LINT, "--regions", "us-east-1", "--format", "parseable", "--", *files.values()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = (done.stdout + done.stderr).splitlines()
    assert all(any(str(file) in line for file in files.values()) for line in said), said
    return {what: [line for line in said if str(file) in line] for what, file in files.items()}


def complaints(what: str, of_cfn_lint: dict[str, list[str]]) -> list[str]:
    """Return all that is wrong with the definition when it is broken in a way."""
    definition = definition_of(what)
    return [
        *of_the_ways(definition),
        *of_the_language(definition),
        *of_the_expressions(definition),
        *of_cfn_lint[what],
    ]


def test_it_is_well_formed(of_cfn_lint: dict[str, list[str]]) -> None:
    """Nobody finds anything in the definition."""
    assert complaints("", of_cfn_lint) == []


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_found(of_cfn_lint: dict[str, list[str]], what: str) -> None:
    """Each way in which a definition can be wrong is named."""
    assert BROKEN[what][1] in "\n".join(complaints(what, of_cfn_lint))


TASKS = [name for name, state in states(state_machine()).items() if state["Type"] == "Task"]


def delays(retrier: Definition) -> list[float]:
    """Return the seconds before each of its retries; the machine adds no jitter unless told to."""
    assert "JitterStrategy" not in retrier
    longest = retrier.get("MaxDelaySeconds", float("inf"))
    return [
        min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** number, longest)
        for number in range(retrier["MaxAttempts"])
    ]


def retrier_for(task: str, error: str) -> Definition:
    """Return the first retrier of a task that an error fits, as the machine chooses."""
    found: Definition = next(
        retrier
        for retrier in states(state_machine())[task]["Retry"]
        if {error, "States.ALL"} & set(retrier["ErrorEquals"])
    )
    return found


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "error",
    [
        "Lambda.TooManyRequestsException",
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
    ],
)
def test_trouble_in_lambda_is_outlasted_for_ten_minutes(task: str, error: str) -> None:
    """A function that cannot be invoked is not broken."""
    assert sum(delays(retrier_for(task, error))) >= 600


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("error", ["ConnectTimeoutError", "States.Timeout", "Lambda.Unknown"])
def test_an_error_of_a_function_is_retried_twice(task: str, error: str) -> None:
    """A minute of an unreachable bucket passes between the first attempt and the last.

    A sign-in check that hangs is not tried again: it would hold the import up.
    """
    if (task, error) == ("CheckSignIn", "States.Timeout"):
        assert not delays(retrier_for(task, error))
        return
    pauses = delays(retrier_for(task, error))
    assert len(pauses) == 2
    assert sum(pauses) >= 60


def test_a_delivery_outlasts_the_lease_of_one_that_was_killed() -> None:
    """It waits for the time-out of the function, and for what a lease has on top."""
    task = states(state_machine())["DeliverReport"]
    waited = sum(delays(retrier_for("DeliverReport", "ImportLockedError")))
    assert waited > task["TimeoutSeconds"] >= LONGEST_RUN + LEASE_MARGIN
