"""Every fault that is run into on purpose, and what must come of it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from local.faults import Rule
from tests.e2e.conftest import SMALL, LocalCloud, wait_until
from tests.e2e.faults import crash_at, impatient_queue, kill_workers
from tests.files import accounts_file, row

GOOD = accounts_file("a@accounts.example", "b@accounts.example", "c@accounts.example")
FAILING_LAST = accounts_file(
    "a@accounts.example",
    "b@accounts.example",
    row("c@accounts.example", smtpPassword="wrong-password"),
)
LOST = "the import was broken off: "
LISTENING_ONLY = "https://169.254.169.254/latest/meta-data"

Meanwhile = Callable[[str], None]
"""What is done with an import, given by its id, once its file has been dropped."""
Around = Callable[[LocalCloud], AbstractContextManager[Meanwhile]]
"""What our own side suffers while a file is imported."""


@contextmanager
def untroubled(cloud: LocalCloud) -> Iterator[Meanwhile]:  # noqa: ARG001  as all the others
    """Let our own side suffer nothing."""
    yield lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fault, and what must come of it.

    `fault` is its name in the table. `rules` and `switches` are the stand-in's. The subject of
    the message is given without the file's name, its trouble by how it begins. `connects` are the
    requests to connect that reach the service, carried out or not. `end_to_end` cases are passed
    by `make test`, too.
    """

    fault: str
    subject: str = "2 connected, 1 failed"
    trouble: str = ""
    connects: int = 1
    messages: int = 1
    content: bytes = SMALL
    switches: dict[str, object] = field(default_factory=dict)
    rules: tuple[dict[str, object], ...] = ()
    around: Around = untroubled
    end_to_end: bool = False


def rule(operation: str, fault: str, **more: object) -> dict[str, object]:
    """Return a rule of the stand-in."""
    return {"operation": operation, "fault": fault, **more}


# ── What our own side suffers ───────────────────────────────────────────────────────────────────


def killed(function: str, point: str, when: Any = "before", times: int = 1) -> Around:  # noqa: ANN401  one of two words
    """End a function at a point by SIGKILL."""
    wanted = Rule(function, point, when, times=times)

    @contextmanager
    def around(cloud: LocalCloud) -> Iterator[Meanwhile]:
        with crash_at(cloud, wanted) as laid, impatient_queue(cloud):

            def meanwhile(identity: str) -> None:
                wait_until(lambda: laid.fired() == times)
                if function == "submit_accounts":
                    end_lease(cloud, identity)

            yield meanwhile

    return around


def killed_from_outside(when: Any) -> Around:  # noqa: ANN401  one of two words
    """End the process that submits by SIGKILL from outside, at the moment of its request."""
    wanted = Rule("submit_accounts", "remote.connect", when, "hang")

    @contextmanager
    def around(cloud: LocalCloud) -> Iterator[Meanwhile]:
        with crash_at(cloud, wanted) as laid, impatient_queue(cloud):

            def meanwhile(identity: str) -> None:
                wait_until(lambda: laid.fired() == 1)
                assert kill_workers(cloud, "submit_accounts") >= 1
                end_lease(cloud, identity)

            yield meanwhile

    return around


@contextmanager
def stopped(cloud: LocalCloud) -> Iterator[Meanwhile]:
    """Stop the execution by hand while the service works on the request."""

    def meanwhile(identity: str) -> None:
        wait_until(lambda: is_submitted(cloud, identity))
        machine = cloud.environment["TRACK_IMPORT_STATE_MACHINE_ARN"]
        execution = f"{machine.replace(':stateMachine:', ':execution:')}:{identity}"
        cloud.client("stepfunctions").stop_execution(executionArn=execution)

    yield meanwhile


@contextmanager
def deleted_before_it_is_read(cloud: LocalCloud) -> Iterator[Meanwhile]:
    """Delete the upload for good before submit_accounts comes to it."""
    wanted = Rule("submit_accounts", "ledger.claim", "before")
    with crash_at(cloud, wanted) as laid, impatient_queue(cloud):

        def meanwhile(identity: str) -> None:  # noqa: ARG001  there is one object only
            wait_until(lambda: laid.fired() == 1)
            delete_uploads(cloud)

        yield meanwhile


@contextmanager
def deleted_in_mid_import(cloud: LocalCloud) -> Iterator[Meanwhile]:
    """Delete the upload for good while the service works on the request."""

    def meanwhile(identity: str) -> None:
        wait_until(lambda: is_submitted(cloud, identity))
        delete_uploads(cloud)
        cloud.control("DELETE", "faults")

    yield meanwhile


@contextmanager
def reports_refused(cloud: LocalCloud) -> Iterator[Meanwhile]:
    """Refuse deliver_report the reports bucket until the answer is there."""
    with cloud.without("deliver_report", "s3:PutObject"):
        yield lambda identity: wait_until(lambda: is_notified(cloud, identity))


@contextmanager
def reports_refused_then_resumed(cloud: LocalCloud) -> Iterator[Meanwhile]:
    """Do so, then resume the import."""

    def meanwhile(identity: str) -> None:
        with cloud.without("deliver_report", "s3:PutObject"):
            wait_until(lambda: is_notified(cloud, identity))
        resume(cloud, identity)

    yield meanwhile


@contextmanager
def stopped_then_resumed(cloud: LocalCloud) -> Iterator[Meanwhile]:
    """Stop the execution by hand, and resume the import once it has been answered."""

    def meanwhile(identity: str) -> None:
        with stopped(cloud) as stop:
            stop(identity)
        wait_until(lambda: is_notified(cloud, identity))
        cloud.control("DELETE", "faults")
        resume(cloud, identity)

    yield meanwhile


def dropped_before(content: bytes, **switches: object) -> Around:
    """Import the same content first, then set switches."""

    @contextmanager
    def around(cloud: LocalCloud) -> Iterator[Meanwhile]:
        identity = cloud.upload("uploads/first.csv", content)
        wait_until(lambda: is_notified(cloud, identity))
        cloud.control("DELETE", "calls")
        cloud.control("PUT", "behaviour", switches)
        yield lambda _: None

    return around


@contextmanager
def dropped_again(cloud: LocalCloud) -> Iterator[Meanwhile]:
    """Import the same content first, then leave out what is connected."""
    with (
        dropped_before(GOOD)(cloud) as meanwhile,
        cloud.environment_of("submit_accounts", SKIP_CONNECTED="true"),
    ):
        # A list that was read for an import just before may be used once more.
        key = {"pk": {"S": "WALK#default"}, "sk": {"S": "WALK"}}
        ledger, table = cloud.client("dynamodb"), cloud.environment["LEDGER_TABLE"]
        ledger.delete_item(TableName=table, Key=key)
        yield meanwhile


def with_settings(function: str, **variables: str) -> Around:
    """Give a function other settings."""

    @contextmanager
    def around(cloud: LocalCloud) -> Iterator[Meanwhile]:
        with cloud.environment_of(function, **variables):
            yield lambda _: None

    return around


def time_passes(seconds: float, *names: str) -> Around:
    """Put times in the ledger back, once the accounts are submitted, as if seconds had passed."""

    @contextmanager
    def around(cloud: LocalCloud) -> Iterator[Meanwhile]:
        def meanwhile(identity: str) -> None:
            wait_until(lambda: is_submitted(cloud, identity))
            ledger, table = cloud.client("dynamodb"), cloud.environment["LEDGER_TABLE"]
            for item in items(cloud, identity):
                for name in names:
                    if name not in item:
                        continue
                    ledger.update_item(
                        TableName=table,
                        Key={"pk": item["pk"], "sk": item["sk"]},
                        UpdateExpression="SET #name = #name - :passed",
                        ExpressionAttributeNames={"#name": name},
                        ExpressionAttributeValues={":passed": {"N": str(seconds)}},
                    )

        yield meanwhile

    return around


def items(cloud: LocalCloud, identity: str) -> list[dict[str, Any]]:
    """Read what the ledger holds of an import."""
    found = cloud.client("dynamodb").query(
        TableName=cloud.environment["LEDGER_TABLE"],
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"IMPORT#{identity}"}},
        ConsistentRead=True,
    )
    return list(found["Items"])


def is_submitted(cloud: LocalCloud, identity: str) -> bool:
    """Say whether all batches are with the service, and nobody sends any more."""
    known = items(cloud, identity)
    batches = [item["state"]["S"] for item in known if item["sk"]["S"].startswith("BATCH#")]
    leases = [float(item["lease_until"]["N"]) for item in known if "lease_until" in item]
    return bool(batches) and set(batches) == {"submitted"} and not any(leases)


def is_notified(cloud: LocalCloud, identity: str) -> bool:
    """Say whether an import has been answered."""
    return any(item.get("state") == {"S": "notified"} for item in items(cloud, identity))


def end_lease(cloud: LocalCloud, identity: str) -> None:
    """End the five minutes for which an import belongs to a submitter, dead or not."""
    wait_until(lambda: bool(items(cloud, identity)))
    cloud.client("dynamodb").update_item(
        TableName=cloud.environment["LEDGER_TABLE"],
        Key={"pk": {"S": f"IMPORT#{identity}"}, "sk": {"S": "IMPORT"}},
        UpdateExpression="SET lease_until = :now",
        ExpressionAttributeValues={":now": {"N": str(time.time())}},
    )


def delete_uploads(cloud: LocalCloud) -> None:
    """Delete every version of every upload."""
    store, bucket = cloud.client("s3"), cloud.environment["INBOX_BUCKET"]
    for version in store.list_object_versions(Bucket=bucket).get("Versions", []):
        store.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


def resume(cloud: LocalCloud, identity: str) -> None:
    """Resume an import as its operator does."""
    answer = cloud.client("lambda").invoke(
        FunctionName=f"{cloud.environment['STACK_NAME']}-submit_accounts",
        Payload=json.dumps({"resume": identity}),
    )
    assert json.load(answer["Payload"]) == {"resumed": True}


# ── The cases ───────────────────────────────────────────────────────────────────────────────────

CASES = (
    Case(fault="nothing"),
    Case(
        fault="connect: connection closed after it was carried out",
        rules=(rule("connect", "close", carried_out=True),),
        end_to_end=True,
    ),
    Case(
        fault="connect: connection reset before it was carried out",
        rules=(rule("connect", "reset"),),
        connects=2,
        end_to_end=True,
    ),
    Case(
        fault="execution stopped by hand",
        subject="not finished, 3 unconfirmed",
        trouble=LOST + "its execution was aborted",
        rules=(rule("status", "running", times=None),),
        around=stopped,
    ),
    Case(
        fault="the same, then resumed: a supplementary answer",
        subject="resumed, 2 connected, 1 failed",
        rules=(rule("status", "running", times=None),),
        messages=2,
        around=stopped_then_resumed,
        end_to_end=True,
    ),
    Case(
        fault="the same content dropped again under another key",
        subject="3 already connected",
        connects=0,
        content=GOOD,
        around=dropped_again,
        end_to_end=True,
    ),
)
