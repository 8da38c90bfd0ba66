"""Runs the state machine by a second interpreter: LocalStack's, its JSONata by npm's `jsonata`.

Neither is part of the project's environments. In a scratch folder, with Python 3.13 and Node:

    python3.13 -m venv ls
    ls/bin/pip install 'localstack-core[base-runtime]' 'antlr4-python3-runtime==4.13.2' \
        'jsonpath-ng==1.7.0' jpype1 moto airspeed-ext aws-sam-translator hypercorn \
        'cbor2<5.8' 'cryptography<45' 'pyopenssl<25'
    npm install jsonata
    ls/bin/python <here>/tests/interpreter/second.py <here>/statemachines/track_import.asl.json

It needs neither Docker nor Java. What was seen is in docs/aws-assumptions.md.
"""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task import (
    lambda_eval_utils,
)
from localstack.services.stepfunctions.asl.eval.evaluation_details import (
    AWSExecutionDetails,
    EvaluationDetails,
    ExecutionDetails,
    StateMachineDetails,
)
from localstack.services.stepfunctions.asl.jsonata import jsonata
from localstack.services.stepfunctions.backend.execution_worker import SyncExecutionWorker

ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/role"
EVALUATE = """
const jsonata = require('jsonata')
require('readline').createInterface({ input: process.stdin }).on('line', async line => {
  let answer
  try { answer = { value: await jsonata(JSON.parse(line)).evaluate(undefined) ?? null } }
  catch (error) { answer = { error: `${error.code} ${error.message}` } }
  console.log(JSON.stringify(answer))
})"""
THROTTLED = ClientError(
    {
        "Error": {"Code": "TooManyRequestsException", "Message": "Rate exceeded"},
        "ResponseMetadata": {
            "HTTPStatusCode": 429,
            "HTTPHeaders": {},
            "RequestId": "1",
            "HostId": "",
            "RetryAttempts": 0,
        },
    },
    "Invoke",
)
Answer = dict[str, object] | Exception
Answers = Callable[[str, int], Answer]
"""What a function answers to its first, second … call; an exception is one that it raises."""


class Evaluator:
    """The reference implementation of JSONata, in a process of its own."""

    def __init__(self) -> None:
        """Start it in the folder in which `jsonata` is installed."""
        self.expressions: set[str] = set()
        self._node = subprocess.Popen(
            ["node", "-e", EVALUATE],  # noqa: S607  wherever it is
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, expression: str) -> object:
        """Evaluate an expression, before which LocalStack declares the variables."""
        if not self._node.stdin or not self._node.stdout:
            raise RuntimeError("node has no input or output")
        self.expressions.add(re.split(r";(?=[^;]*$)", expression)[-1].rstrip(")"))
        print(json.dumps(expression), file=self._node.stdin, flush=True)
        answer = json.loads(self._node.stdout.readline())
        if "error" in answer:
            raise jsonata.JSONataException("UNKNOWN", answer["error"])
        value: object = answer["value"]
        return value


class Functions:
    """Answers invocations as Lambda does, and remembers them."""

    def __init__(self, answers: Answers) -> None:
        """Take the answers."""
        self.calls: list[tuple[str, object]] = []
        self._answers = answers

    def invoke(self, *, FunctionName: str, Payload: bytes, **_: object) -> dict[str, object]:  # noqa: N803  as boto3 calls it
        """Answer one invocation."""
        name = FunctionName.rpartition(":")[2]
        self.calls.append((name, json.loads(Payload)))
        answer = self._answers(name, [called for called, _ in self.calls].count(name))
        if isinstance(answer, ClientError):
            raise answer
        failed = isinstance(answer, Exception)
        said = {"errorType": type(answer).__name__} if isinstance(answer, Exception) else answer
        payload = io.BytesIO(json.dumps(said).encode())
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RequestId": "1"}
        return {"StatusCode": 200, "Payload": payload, "ResponseMetadata": metadata} | (
            {"FunctionError": "Unhandled"} if failed else {}
        )


class Communication:
    """Hears of the end of an execution."""

    def terminated(self) -> None:
        """Have nothing to do."""


def definition(path: Path) -> str:
    """Return the state machine with ARNs for placeholders, and retries after a second."""
    text = path.read_text("utf-8").replace("${Partition}", "aws")
    text = re.sub(r"\$\{(\w+)Arn\}", rf"arn:aws:lambda:{REGION}:{ACCOUNT}:function:\1", text)
    text = re.sub(r'"(IntervalSeconds|BackoffRate)": [\d.]+', r'"\1": 1', text)
    return re.sub(r'"MaxDelaySeconds": \d+', '"MaxDelaySeconds": 2', text)


def run(machine: str, title: str, given: dict[str, object], answers: Answers) -> None:
    """Run one execution and print its states, the calls it made, and its end."""
    functions = Functions(answers)
    lambda_eval_utils.boto_client_for = lambda **_: functions
    prefix = f"arn:aws:states:{REGION}:{ACCOUNT}"
    worker = SyncExecutionWorker(
        EvaluationDetails(
            AWSExecutionDetails(ACCOUNT, REGION, ROLE),
            ExecutionDetails(
                f"{prefix}:execution:m:e", "e", ROLE, given, datetime.now(UTC).isoformat()
            ),
            StateMachineDetails(f"{prefix}:stateMachine:m", "m", "STANDARD", machine),
        ),
        Communication(),
        None,
        {},
    )
    worker.start()
    history: list[dict[str, Any]] = worker.env.event_manager.get_event_history()
    states = [
        one["stateEnteredEventDetails"]["name"]
        for one in history
        if "stateEnteredEventDetails" in one
    ]
    ended = {key: one for key, one in history[-1].items() if key.endswith("Details")}
    print(f"{title}\n  {' > '.join(states)}")  # noqa: T201  a script says what it found
    for call in functions.calls:
        print("  call", *call)  # noqa: T201  see above
    print(f"  {history[-1]['type']} {json.dumps(ended, default=str)}")  # noqa: T201  see above


def main(path: Path) -> None:
    """Run every way through the machine."""
    jsonata._eval_jsonata = evaluator = Evaluator()  # noqa: SLF001  in the place of Java
    machine = definition(path)

    def step(name: str) -> dict[str, object]:
        return {"next": name, "waitSeconds": 0}

    given = {"importId": "0123", "file": "a+b é.csv", "next": "check_status", "waitSeconds": 1}
    done: dict[str, object] = {"status": "complete"}
    usual = {
        "CheckStatus": [step("submit_accounts"), step("deliver_report")],
        "SubmitAccounts": [step("check_status")],
        "DeliverReport": [done],
    }
    run(machine, "the usual way", given, lambda name, nth: usual[name][nth - 1])
    run(machine, "a refused file", given | step("deliver_report"), lambda *_: done)
    for name in ("check_status", "submit_accounts"):
        run(
            machine,
            f"{name} fails",
            given | step(name),
            lambda called, _: done if called == "DeliverReport" else ValueError(),
        )
    signed_in: dict[str, list[Answer]] = {
        "CheckSignIn": [step("check_sign_in"), step("submit_accounts")],
        "SubmitAccounts": [step("deliver_report")],
        "DeliverReport": [done],
    }
    run(
        machine,
        "sign-ins are tried",
        given | step("check_sign_in"),
        lambda name, nth: signed_in[name][nth - 1],
    )
    run(
        machine,
        "check_sign_in fails",
        given | step("check_sign_in"),
        lambda name, nth: ValueError() if name == "CheckSignIn" else signed_in[name][nth - 1],
    )
    run(machine, "deliver_report fails", given | step("deliver_report"), lambda *_: ValueError())
    throttled: dict[str, list[Answer]] = {
        "CheckStatus": [THROTTLED, THROTTLED, step("deliver_report")],
        "DeliverReport": [done],
    }
    run(machine, "Lambda throttles twice", given, lambda name, nth: throttled[name][nth - 1])
    print("expressions:", *sorted(evaluator.expressions), sep="\n  ")  # noqa: T201  see above


if __name__ == "__main__":
    main(Path(sys.argv[1]))
