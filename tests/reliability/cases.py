"""Every fault that is run into on purpose, and what must come of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from local.faults import Rule
from tests.support.cloud import SMALL, LocalCloud, wait_until
from tests.support.faults import crash_at, end_lease, impatient_queue, kill_workers, timeout
from tests.support.files import accounts_file, row

GOOD = accounts_file("a@accounts.example", "b@accounts.example", "c@accounts.example")
FAILING_LAST = accounts_file(
    "a@accounts.example",
    "b@accounts.example",
    row("c@accounts.example", smtpPassword="wrong-password"),
)
INTERRUPTED = "the import was interrupted: "
GOOD_END = "2 connected, 1 failed"
METADATA = "https://169.254.169.254/latest/meta-data"
LIMITED: dict[str, object] = {"rate_limit_calls": 2, "rate_limit_seconds": 10}

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

    `fault` is its name in the table. `rules` and `switches` are the fake API's. The subject of
    the message is given without the file's name, its failure by how it begins. `connects` are the
    requests to connect that reach the service, carried out or not; a range where it depends on
    how fast this computer is. `sendings` is how often an account was carried out, this import and
    one before it together, `misled` counts rows whose outcome is not what the service holds of
    them, because it never told. `end_to_end` cases are passed
    by `make test`, too.
    """

    fault: str
    subject: str = GOOD_END
    failure_reason: str = ""
    connects: int | range = 1
    sendings: int = 1
    misled: int = 0
    messages: int = 1
    content: bytes = SMALL
    switches: dict[str, object] = field(default_factory=dict)
    rules: tuple[dict[str, object], ...] = ()
    around: Around = untroubled
    end_to_end: bool = False


def rule(operation: str, fault: str, **more: object) -> dict[str, object]:
    """Return a rule of the fake API."""
    return {"operation": operation, "fault": fault, **more}


# ── What our own side suffers ───────────────────────────────────────────────────────────────────


def killed(
    function: str,
    point: str,
    when: Any = "before",  # noqa: ANN401  one of two words
    times: int = 1,
    how: Any = "kill",  # noqa: ANN401  as above
) -> Around:
    """End a function at a point, by SIGKILL or by what it raises."""
    wanted = Rule(function, point, when, how, times=times)

    @contextmanager
    def around(cloud: LocalCloud) -> Iterator[Meanwhile]:
        with crash_at(cloud, wanted) as laid, impatient_queue(cloud):

            def meanwhile(identity: str) -> None:
                wait_until(lambda: laid.fired() == times)
                if function in {"submit_accounts", "deliver_report"}:
                    end_lease(cloud, identity)

            yield meanwhile

    return around


@contextmanager
def killed_and_waited_for(cloud: LocalCloud) -> Iterator[Meanwhile]:
    """End the submitter after its last request, and wait until the import is let go by itself."""
    wanted = Rule("submit_accounts", "ledger.release", "before")
    with (
        timeout(cloud, "submit_accounts", 100),
        impatient_queue(cloud),
        crash_at(cloud, wanted) as laid,
    ):
        yield lambda _: wait_until(lambda: laid.fired() == 1)


@contextmanager
def killed_by_its_file(cloud: LocalCloud) -> Iterator[Meanwhile]:
    """End every function that opens the file, and let each lease end that they leave."""
    wanted = Rule("submit_accounts", "uploads.open", "before", times=9)
    with crash_at(cloud, wanted) as laid, impatient_queue(cloud):

        def meanwhile(identity: str) -> None:
            for times in (1, 2):
                wait_until(lambda times=times: laid.fired() == times)  # type: ignore[misc]
                end_lease(cloud, identity)
            wait_until(lambda: is_notified(cloud, identity))
            assert laid.fired() == 2

        yield meanwhile


def killed_from_outside(when: Any) -> Around:  # noqa: ANN401  one of two words
    """End the process that submits by SIGKILL from outside, at the moment of its request."""
    wanted = Rule("submit_accounts", "saleshandy.connect", when, "hang")

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
        cloud.forget_accounts()
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


def delete_uploads(cloud: LocalCloud) -> None:
    """Delete every version of every upload."""
    store, bucket = cloud.client("s3"), cloud.environment["INBOX_BUCKET"]
    for version in store.list_object_versions(Bucket=bucket).get("Versions", []):
        store.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


def resume(cloud: LocalCloud, identity: str) -> None:
    """Resume an import as its operator does."""
    answer = cloud.client("lambda").invoke(
        FunctionName=f"{cloud.environment['STACK_NAME']}-submit_accounts",
        Payload=json.dumps({"importId": identity, "action": "resume"}),
    )
    assert json.load(answer["Payload"]) == {"resumed": True}


# ── The cases ───────────────────────────────────────────────────────────────────────────────────

REPORT_LOST = tuple(
    Case(fault=f"report: {what}", rules=(rule("report", fault, times=None, **more),))
    for what, fault, more in (
        ("HTTP 403, as from a link that has expired", "error_403", {}),
        ("HTTP 404", "error_404", {}),
        ("HTTP 410", "error_410", {}),
        ("shorter than announced", "short_body", {}),
        ("of 60 MB", "huge_body", {}),
        ("redirects to a private address", "redirect", {"location": "https://10.0.0.1/report"}),
        ("redirects to the machine's own data", "redirect", {"location": METADATA}),
        ("redirects to itself without end", "redirect", {}),
    )
)
THROTTLED = tuple(
    Case(
        fault=f"{operation}: throttled, {how}",
        rules=(rule(operation, fault, seconds=2),),
        connects=connects,
    )
    for operation, connects in (("connect", 2), ("status", 1))
    for how, fault in (
        ("with seconds to wait", "throttle_retry_after"),
        ("with the time of the reset as an epoch", "throttle_reset_epoch"),
        ("with the time of the reset as a date", "throttle_reset_date"),
        ("by a code, with no time", "throttle_code"),
    )
)
CONNECT_UNANSWERED = tuple(
    Case(
        fault=f"connect: {what}, {'after' if carried_out else 'before'} it was carried out",
        rules=(rule("connect", fault, carried_out=carried_out),),
        connects=1 if carried_out else 2,
        end_to_end=(fault, carried_out) in (("close", True), ("reset", False)),
    )
    for what, fault in (
        ("connection closed", "close"),
        ("connection reset", "reset"),
        ("HTTP 500", "error_500"),
        ("HTTP 502 with a page", "error_502"),
        ("no answer", "hang"),
    )
    for carried_out in (False, True)
)
CONNECT_UNREADABLE = tuple(
    Case(
        fault=f"connect: carried out, answered with {what}",
        rules=(rule("connect", fault, carried_out=True),),
    )
    for what, fault in (
        ("no JSON", "not_json"),
        ("a cut off JSON", "cut_body"),
        ("an array", "json_array"),
        ("an answer without a request id", "json_empty"),
    )
)
STATUS_FAILED = tuple(
    Case(fault=f"status: {what}, twice", rules=(rule("status", fault, times=2),))
    for what, fault in (
        ("connection closed", "close"),
        ("HTTP 500", "error_500"),
        ("HTTP 502 with a page", "error_502"),
        ("no JSON", "not_json"),
        ("an array", "json_array"),
        ("an empty answer", "json_empty"),
        ("not found", "not_found"),
    )
)
KILLED = tuple(
    Case(
        fault=f"{function}: killed {when} {point}",
        connects=connects,
        messages=messages,
        around=killed(function, point, when),
    )
    for function, point, when, connects, messages in (
        ("submit_accounts", "ledger.claim", "after", 1, 1),
        ("submit_accounts", "executions.start", "before", 1, 1),
        ("submit_accounts", "executions.start", "after", 1, 1),
        ("submit_accounts", "ledger.save", "before", 1, 1),
        ("submit_accounts", "ledger.save", "after", 1, 1),
        ("submit_accounts", "saleshandy.connect", "after", 1, 1),
        ("submit_accounts", "ledger.release", "before", 1, 1),
        ("check_status", "saleshandy.status", "before", 1, 1),
        ("check_status", "saleshandy.status", "after", 1, 1),
        ("check_status", "reports.writer", "before", 1, 1),
        ("check_status", "reports.writer", "after", 1, 1),
        ("check_status", "ledger.save", "after", 1, 1),
        ("deliver_report", "reports.writer", "before", 1, 1),
        ("deliver_report", "notifications.publish", "before", 1, 1),
        # Nothing that is sent can be sent exactly once: the same message comes again.
        ("deliver_report", "notifications.publish", "after", 1, 2),
        ("deliver_report", "ledger.notified", "after", 1, 1),
    )
)
REPEATED = tuple(
    Case(
        fault=f"{operation}: {what}, repeating passwords and API key",
        rules=(rule(operation, fault, echoes="JSON", **more),),
        subject=subject,
        connects=connects,
    )
    for operation, what, fault, more, subject, connects in (
        (
            "connect",
            "HTTP 500 after it was carried out",
            "error_500",
            {"carried_out": True},
            GOOD_END,
            1,
        ),
        ("connect", "refused", "not_found", {}, "3 failed", 1),
        # An answer like this without JSON comes from a proxy, not from the service.
        ("connect", "HTTP 404 without JSON", "error_404", {}, GOOD_END, 2),
        ("status", "HTTP 500, twice", "error_500", {"times": 2}, GOOD_END, 1),
        ("status", "HTTP 404, twice", "error_404", {"times": 2}, GOOD_END, 1),
        ("report", "HTTP 502, once", "error_502", {}, GOOD_END, 1),
    )
)
CASES = (
    Case(fault="nothing"),
    *THROTTLED,
    Case(
        fault="a limit of 2 calls in 10 seconds, told by headers; batches of one",
        connects=3,
        switches=LIMITED | {"rate_limit_headers": True},
        around=with_settings("submit_accounts", BATCH_SIZE="1"),
    ),
    Case(
        fault="the same limit, told only when it is passed",
        connects=range(4, 10),
        switches=LIMITED,
        around=with_settings("submit_accounts", BATCH_SIZE="1"),
    ),
    *CONNECT_UNANSWERED,
    Case(
        fault="connect: throttled three times, then connection closed before it was carried out",
        rules=(
            rule("connect", "throttle_retry_after", times=3),
            rule("connect", "close"),
        ),
        connects=5,
    ),
    *CONNECT_UNREADABLE,
    Case(fault="connect: answered after 5 seconds", rules=(rule("connect", "slow", seconds=5),)),
    Case(
        fault="connect: carried out after 33 seconds, when nobody waits any more",
        rules=(rule("connect", "slow", seconds=33),),
        around=with_settings("check_status", GRACE_SECONDS="45"),
    ),
    *STATUS_FAILED,
    Case(fault="status: no answer", rules=(rule("status", "hang"),)),
    Case(
        fault="status: 'running' once more after it was complete",
        rules=(rule("report", "error_404"), rule("status", "running", skip=1)),
    ),
    Case(
        fault="status: never complete, until the deadline",
        subject="not finished, 3 unconfirmed",
        failure_reason="the deadline passed before Saleshandy had reported",
        rules=(rule("status", "running", times=None),),
        around=with_settings("submit_accounts", DEADLINE_HOURS="0.002"),
    ),
    Case(
        fault="status: no progress for an hour, and the list shows the accounts",
        subject="not finished, 2 connected, 1 unconfirmed",
        failure_reason="Saleshandy accepted the request, but made no progress for an hour",
        rules=(rule("status", "running", times=None),),
        around=time_passes(3600, "began_at", "changed_at"),
    ),
    Case(
        fault="status: no progress for an hour, and the list does not show them",
        subject="not finished, 3 unconfirmed",
        failure_reason="Saleshandy accepted the request, but made no progress for an hour",
        switches={"completion_seconds": 3600},
        around=time_passes(3600, "began_at", "changed_at"),
    ),
    Case(
        fault="status: the request is forgotten for ten minutes",
        rules=(rule("status", "not_found", times=None),),
        around=time_passes(601, "sent_at"),
    ),
    Case(
        fault="report: its link is missing although an account failed",
        subject="3 connected",
        misled=1,
        switches={"report": "none"},
    ),
    *REPORT_LOST,
    Case(fault="report: HTTP 502, once", rules=(rule("report", "error_502"),)),
    Case(
        fault="report: cut off in mid-line",
        switches={"report": "all", "report_echoes_input": True},
        content=FAILING_LAST,
        rules=(rule("report", "cut_body", times=None),),
    ),
    Case(
        fault="accounts listed before: the whole request refused",
        subject="3 failed",
        misled=2,
        around=dropped_before(SMALL, already_listed="refused"),
    ),
    Case(
        fault="accounts listed before: each reported as 'already exists'",
        subject="3 already connected",
        sendings=2,
        misled=1,
        around=dropped_before(SMALL, already_listed="reported"),
    ),
    Case(
        fault="the same content dropped again under another key",
        subject="3 already connected",
        connects=0,
        content=GOOD,
        around=dropped_again,
        end_to_end=True,
    ),
    *KILLED,
    Case(
        fault="submit_accounts: killed after ledger.submitted, and held until its time is up",
        around=killed_and_waited_for,
    ),
    Case(
        fault="submit_accounts: killed from outside while it sends the request",
        connects=1,
        around=killed_from_outside("before"),
    ),
    Case(
        fault="submit_accounts: killed from outside when the request was answered",
        around=killed_from_outside("after"),
    ),
    Case(
        fault="execution stopped by hand",
        subject="not finished, 3 unconfirmed",
        failure_reason=INTERRUPTED + "its execution was aborted",
        rules=(rule("status", "running", times=None),),
        around=stopped,
    ),
    Case(
        fault="submit_accounts: killed by the file, whenever it opens it",
        subject="not imported, unusable file",
        failure_reason="Every attempt to read it failed.",
        connects=0,
        around=killed_by_its_file,
        end_to_end=True,
    ),
    Case(
        fault="execution stopped by hand, then resumed: a supplementary answer",
        subject="resumed, 2 connected, 1 failed",
        rules=(rule("status", "running", times=None),),
        messages=2,
        around=stopped_then_resumed,
        end_to_end=True,
    ),
    Case(
        fault="upload deleted for good before it is read",
        subject="not imported, unusable file",
        failure_reason="It was deleted or replaced before it could be read.",
        connects=0,
        around=deleted_before_it_is_read,
    ),
    Case(
        fault="upload deleted for good in mid-import",
        subject="stopped, 3 unconfirmed",
        failure_reason="the file was deleted before its report was written",
        rules=(rule("status", "running", times=None),),
        around=deleted_in_mid_import,
    ),
    Case(
        fault="reports bucket refused to deliver_report",
        subject="not finished, 3 unconfirmed",
        failure_reason=INTERRUPTED + "deliver_report failed with ",
        around=reports_refused,
    ),
    Case(
        fault="reports bucket refused to deliver_report, then resumed: a supplementary answer",
        subject="resumed, 2 connected, 1 failed",
        messages=2,
        around=reports_refused_then_resumed,
    ),
    *REPEATED,
    Case(
        fault="report: every reason repeats passwords",
        switches={"report": "all", "report_echoes_input": True, "reasons_echo_input": True},
    ),
    Case(
        fault="submit_accounts: raises when the request was answered",
        around=killed("submit_accounts", "saleshandy.connect", "after", how="raise"),
    ),
    Case(
        fault="check_status: raises while it cleans a report",
        around=killed("check_status", "reports.writer", "before", how="raise"),
    ),
)
