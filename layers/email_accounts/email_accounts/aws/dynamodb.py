"""The ledger in one DynamoDB table.

Items, by their keys:
  IMPORT#<import id> / IMPORT            the import
  IMPORT#<import id> / BATCH#<number>    one batch: six digits, or ~ and seven
  BUDGET#<workspace> / BUDGET            calls of the last minute and reservations, as JSON
  INDEX#<workspace> / INDEX              how far its account list is known, as JSON
  HONOURED#<workspace> / HONOURED        which parameters of the account list the service honours
  HOST#<host> / HOST                     sign-ins at a mail server, as JSON

The index imports-by-day holds the imports alone, by the day on which they were received.
"""

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from email_accounts.errors import ImporterError, LedgerConflictError
from email_accounts.models.account_index import AccountIndex, Honoured
from email_accounts.models.host_brake import Admission, HostBrake, Reply, pace_of
from email_accounts.models.imports import (
    Batch,
    BatchRange,
    BatchState,
    Import,
    ImportState,
    Plan,
    ReasonCode,
    SignIns,
    SignInState,
)
from email_accounts.models.service import CallKind
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.budget import Budget
from email_accounts.text.display import within

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_INDEX = "imports-by-day"
_COLUMNS_KEPT = 20
_LONGEST_COLUMN = 100
_LONGEST_REASON = 2000
_BATCH_WRITE = 25
_SEVEN_DIGITS = 1_000_000
_EXECUTION_NAMES_KEPT = 91 * 86_400
"""Seconds an import is kept at least: AWS reserves the name of an ended execution for 90 days, so
that an import claimed before could not be started.
Source: https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
"""
_BATCHES_AT_ONCE = 250
"""Batches in one answer: the megabyte that DynamoDB would send takes thirty to take apart."""
_TRIES = 20
_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_EXPIRES_EARLY = 3600.0
"""Seconds before their end at which files in the reports bucket are used no longer."""
_CROWDED = 1.0
"""Seconds to come again after, where others were quicker each time."""


_State = TypeVar("_State", Budget, HostBrake)
_Result = TypeVar("_Result")


class LedgerReader:
    """What the ledger holds of imports and batches, for functions, command line and demo."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Use a table; nothing is called yet."""
        self._client = client
        self._table = table

    def find(self, import_id: str) -> Import | None:
        """Return the import, or None where the ledger does not know it."""
        item = self._item(_key("IMPORT", import_id), consistent=True)
        return _import_of(item) if item else None

    def get(self, import_id: str) -> Import:
        """Return the import; ImporterError where the ledger does not know it."""
        imported = self.find(import_id)
        if imported is None:
            raise ImporterError(f"no import {import_id}")
        return imported

    def batches(self, import_id: str) -> Iterator[Batch]:
        """Yield the batches in their order."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :batch)",
            ExpressionAttributeValues={
                ":pk": _key("IMPORT", import_id)["pk"],
                ":batch": {"S": "BATCH#"},
            },
            ConsistentRead=True,
            PaginationConfig={"PageSize": _BATCHES_AT_ONCE},
        )
        for page in pages:
            yield from (_batch_of(_unmarshalled(item)) for item in page["Items"])

    def next_call_at(self, workspace: str, import_id: str) -> float:
        """Return when an import may make its next API call; 0 where the rate limit lets it now."""
        turns = self._budget(workspace).turns
        return next((turn.at for turn in turns if turn.holder == import_id), 0.0)

    def honoured(self, workspace: str) -> Honoured | None:
        """Return which parameters of the account list work; None before the first probe."""
        item = self._item(_key("HONOURED", workspace))
        return Honoured(**{one.name: item[one.name] for one in fields(Honoured)}) if item else None

    def waiting_until(self, workspace: str, now: float) -> float:
        """Return when all current reservations will have been served."""
        return self._budget(workspace).waiting_until(now)

    def by_day(self, since: float, before: float) -> Iterator[Import]:
        """Yield the imports received from `since` on and before `before`, newest first."""
        day = datetime.fromtimestamp(before, UTC).date()
        first = datetime.fromtimestamp(since, UTC).date()
        while day >= first:
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName=_INDEX,
                KeyConditionExpression="#day = :day AND received_at < :before",
                ExpressionAttributeNames={"#day": "day"},
                ExpressionAttributeValues=_marshalled({":day": day.isoformat(), ":before": before}),
                ScanIndexForward=False,
            )
            for page in pages:
                for item in page["Items"]:
                    imported = _import_of(_unmarshalled(item))
                    if imported.received_at < since:
                        return
                    yield imported
            day -= timedelta(days=1)

    def _budget(self, workspace: str) -> Budget:
        item = self._item(_key("BUDGET", workspace))
        return Budget.loaded(item["budget"]) if item else Budget()

    def _item(self, key: dict[str, Any], *, consistent: bool = False) -> dict[str, Any]:
        """Return an item; empty where there is none."""
        found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=consistent)
        return _unmarshalled(found.get("Item", {}))


class DynamoLedger(LedgerReader):
    """The ledger; an entry expires `retention` seconds after it was made."""

    def __init__(self, client: "DynamoDBClient", table: str, retention: float) -> None:
        """Use a table; nothing is called yet."""
        super().__init__(client, table)
        self._retention = retention

    def claim(self, upload: Upload, now: float, deadline: float) -> tuple[Import, bool]:
        """Make an upload an import; see `Ledger`."""
        revision = uuid.uuid4().hex
        item = _key("IMPORT", upload.import_id) | _marshalled(
            {
                "bucket": upload.bucket,
                "key": upload.key,
                "version": upload.version,
                "size": upload.size,
                "uploaded_at": upload.uploaded_at,
                "state": ImportState.RECEIVED,
                "day": datetime.fromtimestamp(now, UTC).date().isoformat(),
                "received_at": now,
                "began_at": now,
                "deadline": deadline,
                "lease_until": 0.0,
                "expires_at": self._import_expiry(),
                "revision": revision,
            }
        )
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            found = _unmarshalled(_refused_by(error))
            return _import_of(found), found.get("revision") == revision
        return _import_of(_unmarshalled(item)), True

    def lease(self, import_id: str, now: float, until: float) -> str | None:
        """Take the lease of an import; see `Ledger`."""
        token = uuid.uuid4().hex
        taken = self._changed(
            _key("IMPORT", import_id),
            {"lease_until": until, "lease_token": token},
            "lease_until <= :now AND #state IN (:received, :planned)",
            {"now": now, "received": ImportState.RECEIVED, "planned": ImportState.PLANNED},
            add={"attempts": 1},
        )
        return token if taken else None

    def release(self, import_id: str, lease: str, *, attempts: int = 0) -> None:
        """Give the lease back; see `Ledger`."""
        change = {"lease_until": 0, "attempts": attempts}
        self._changed(_key("IMPORT", import_id), change, "lease_token = :lease", {"lease": lease})

    def refuse(self, import_id: str, lease: str, code: ReasonCode, refusal: str) -> None:
        """Refuse the file as a whole; see `Ledger`."""
        self._change_received(
            import_id,
            lease,
            {
                "state": ImportState.REFUSED,
                "refusal": within(refusal, _LONGEST_REASON),
                "reason_code": code,
                "lease_until": 0,
            },
        )

    def plan(  # noqa: PLR0913  all that is known after reading the file
        self,
        import_id: str,
        lease: str,
        plan: Plan,
        unknown_columns: Sequence[str],
        *,
        expected_end: float = 0.0,
        deadline: float | None = None,
    ) -> None:
        """Remember the batches, then that the import is planned; see `Ledger`.

        Leftovers of an interrupted plan are deleted: its batches may have been smaller.
        """
        if self.get(import_id).state is not ImportState.RECEIVED:
            raise LedgerConflictError(f"import {import_id} has been planned before")
        left = [one.number for one in self.batches(import_id) if one.number > len(plan.batches)]
        self._write({"DeleteRequest": {"Key": _batch_key(import_id, number)}} for number in left)
        expires_at = self._import_expiry()
        self._write(
            {"PutRequest": {"Item": _batch_item(import_id, batch, expires_at)}}
            for batch in plan.batches
        )
        self._change_received(
            import_id,
            lease,
            {
                "state": ImportState.PLANNED,
                "rows": plan.rows,
                "accepted": plan.accepted,
                "rejected": plan.rejected,
                "duplicates": plan.duplicates,
                "batches": len(plan.batches),
                "unknown_columns": _kept(unknown_columns),
                "expected_end": expected_end,
            }
            | ({} if deadline is None else {"deadline": deadline}),
        )

    def stop(self, imported: Import, code: ReasonCode, reason: str) -> None:
        """Remember that nothing more is sent; see `Ledger`."""
        self._change(
            _key("IMPORT", imported.id),
            {"stopped": within(reason, _LONGEST_REASON), "reason_code": code},
            "#state = :planned AND began_at = :seen",
            {"planned": ImportState.PLANNED, "seen": imported.began_at},
        )

    def extend(self, imported: Import, deadline: float) -> None:
        """Move a deadline on; see `Ledger`."""
        self._changed(
            _key("IMPORT", imported.id),
            {"deadline": deadline},
            "#state = :planned AND deadline = :seen",
            {"planned": ImportState.PLANNED, "seen": imported.deadline},
        )

    def save(self, import_id: str, seen: Batch, changed: Batch) -> Batch:
        """Replace a batch; see `Ledger`."""
        revision = uuid.uuid4().hex
        self._change(
            _batch_key(import_id, seen.number),
            {
                "state": changed.state,
                "request_id": changed.request_id,
                "sent": changed.sent,
                "sent_at": changed.sent_at,
                "next_poll_at": changed.next_poll_at,
                "changed_at": changed.changed_at,
                "reason": within(changed.reason, _LONGEST_REASON),
                "reason_code": changed.reason_code or "",
                "reports_missed": changed.reports_missed,
                "report": changed.report,
                "reconciliation": changed.reconciliation,
                "sign_in": changed.sign_in,
                "sign_ins": [*astuple(changed.sign_ins)],
            },
            "#state = :seen AND "
            + ("#revision = :revision" if seen.revision else "attribute_not_exists(#revision)"),
            {"seen": seen.state} | ({"revision": seen.revision} if seen.revision else {}),
            revision=revision,
        )
        return replace(changed, revision=revision)

    def take_call(  # noqa: PLR0913  whose, for what and how many
        self,
        workspace: str,
        holder: str,
        wanted: int,
        now: float,
        calls_per_minute: int,
        *,
        kind: CallKind = CallKind.BATCH,
        rank: float | None = None,
    ) -> float:
        """Take one call out of the budget, or a turn for up to so many; see `Ledger`."""

        def take(budget: Budget, late: float) -> tuple[Budget, float]:
            return budget.take(holder, wanted, now + late, calls_per_minute, kind=kind, rank=rank)

        wait = self._swapped(_key("BUDGET", workspace), "budget", Budget, take)
        return _CROWDED if wait is None else wait

    def close_budget(self, workspace: str, now: float, until: float) -> None:
        """Block all calls until a time, as Saleshandy demands."""

        def close(budget: Budget, late: float) -> tuple[Budget, bool]:
            return budget.closed(now + late, until), True

        self._swapped(_key("BUDGET", workspace), "budget", Budget, close)

    def enter_host(self, host: str, attempt: str, now: float) -> Admission:
        """Begin an attempt to sign in at a mail server if that is allowed now; see `Ledger`."""

        def enter(brake: HostBrake, _: float) -> tuple[HostBrake, Admission]:
            return brake.enter(attempt, now, pace_of(host))

        return self._braked(host, enter) or Admission(wait=_CROWDED)

    def leave_host(self, host: str, attempt: str, reply: Reply, now: float) -> None:
        """End an attempt; see `Ledger`."""

        def leave(brake: HostBrake, _: float) -> tuple[HostBrake, bool]:
            return brake.leave(attempt, reply, now, pace_of(host)), True

        if not self._braked(host, leave):
            raise LedgerConflictError(f"the brake of {host} changes all the time")

    def save_honoured(self, workspace: str, honoured: Honoured) -> None:
        """Remember what the service honours of the account list; see `Ledger`."""
        always = "attribute_exists(pk) OR attribute_not_exists(pk)"
        self._changed(_key("HONOURED", workspace), asdict(honoured), always, {})

    def index(self, workspace: str) -> AccountIndex:
        """Return the account index of a workspace; see `Ledger`."""
        return self._index_of(self._item(_key("INDEX", workspace), consistent=True))

    def lease_index(self, workspace: str, now: float, until: float) -> AccountIndex | None:
        """Become the one who changes the account index; see `Ledger`."""
        key = _key("INDEX", workspace)
        change = {"lease_until": until, "expires_at": self._expiry()}
        free = "attribute_not_exists(pk) OR lease_until <= :now"
        if not self._changed(key, change, free, {"now": now}):
            return None
        return self.index(workspace)

    def save_index(self, workspace: str, index: AccountIndex) -> None:
        """Replace the account index; see `Ledger`."""
        saved = replace(index, version=index.version + 1)
        self._change(
            _key("INDEX", workspace),
            {"index": saved.dumped(), "version": saved.version, "lease_until": 0},
            "attribute_not_exists(version) OR version = :seen",
            {"seen": index.version},
        )

    def _index_of(self, item: Mapping[str, Any]) -> AccountIndex:
        """Read an index; without its accounts once their files may have expired."""
        if "index" not in item:
            return AccountIndex()
        index = AccountIndex.loaded(item["index"])
        if index.packed_at and time.time() > index.packed_at + self._retention - _EXPIRES_EARLY:
            return AccountIndex(version=index.version)
        return index

    def deliver(self, imported: Import, now: float, until: float) -> str | None:
        """Take the lease in order to write the answer; see `Ledger`."""
        token = uuid.uuid4().hex
        taken = self._changed(
            _key("IMPORT", imported.id),
            {"state": ImportState.DELIVERING, "lease_until": until, "lease_token": token},
            "lease_until <= :now AND #state <> :notified AND began_at = :seen",
            {"now": now, "notified": ImportState.NOTIFIED, "seen": imported.began_at},
        )
        return token if taken else None

    def notified(self, import_id: str, lease: str) -> bool:
        """Remember that the message was sent; see `Ledger`."""
        return self._changed(
            _key("IMPORT", import_id),
            {"state": ImportState.NOTIFIED, "lease_until": 0},
            "#state = :delivering AND lease_token = :lease",
            {"delivering": ImportState.DELIVERING, "lease": lease},
        )

    def restart(self, import_id: str, now: float, deadline: float) -> bool:
        """Restart an import that was answered; see `Ledger`.

        Its batches come first: a crash between leaves an import that can be restarted.
        """
        imported = self.get(import_id)
        if imported.state is not ImportState.NOTIFIED:
            return False
        for batch in self.batches(import_id):
            if (reopened := batch.reopened(now)) != batch:
                self.save(import_id, batch, reopened)
        return self._changed(
            _key("IMPORT", import_id),
            {
                "state": ImportState.PLANNED,
                "began_at": now,
                "deadline": deadline,
                "lease_until": 0,
                "attempts": 0,
                "resumed": imported.resumed + 1,
                "stopped": "",
                "reason_code": "",
                "expires_at": self._import_expiry(),
            },
            "#state = :notified AND began_at = :seen",
            {"notified": ImportState.NOTIFIED, "seen": imported.began_at},
        )

    def _braked(
        self, host: str, change: Callable[[HostBrake, float], tuple[HostBrake, _Result]]
    ) -> _Result | None:
        """Change the brake of a host, which expires."""
        expires_at = self._expiry()
        return self._swapped(_key("HOST", host), "brake", HostBrake, change, expires_at=expires_at)

    def _swapped(
        self,
        key: dict[str, Any],
        name: str,
        kind: type[_State],
        change: Callable[[_State, float], tuple[_State, _Result]],
        **others: object,
    ) -> _Result | None:
        """Change a state under a version number: of two callers at once, one has to retry.

        `change` also gets the seconds since the call. None where others were quicker each time.
        """
        began = time.monotonic()
        for _ in range(_TRIES):
            item = self._item(key, consistent=True)
            before = kind.loaded(item[name]) if item else kind()
            after, result = change(before, time.monotonic() - began)
            version = int(item.get("version", 0))
            if after == before or self._changed(
                key,
                {name: after.dumped(), "version": version + 1, **others},
                "attribute_not_exists(version) OR version = :seen",
                {"seen": version},
            ):
                return result
            time.sleep(random.uniform(0, _PAUSE))  # noqa: S311  spreads takers, hides nothing
        return None

    def _expiry(self) -> int:
        return int(time.time() + self._retention)

    def _import_expiry(self) -> int:
        return int(time.time() + max(self._retention, _EXECUTION_NAMES_KEPT))

    def _write(self, requests: Iterator[dict[str, Any]]) -> None:
        while chunk := list(islice(requests, _BATCH_WRITE)):
            left: Any = {self._table: chunk}
            pause = _PAUSE
            while left := self._client.batch_write_item(RequestItems=left)["UnprocessedItems"]:
                time.sleep(random.uniform(0, pause))  # noqa: S311  spreads writers, hides nothing
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _change_received(self, import_id: str, lease: str, change: Mapping[str, object]) -> None:
        """Change an import that has not been read yet, under the lease of its reader."""
        self._change(
            _key("IMPORT", import_id),
            change,
            "#state = :received AND lease_token = :lease",
            {"received": ImportState.RECEIVED, "lease": lease},
        )

    def _change(
        self,
        key: dict[str, Any],
        change: Mapping[str, object],
        condition: str,
        values: Mapping[str, object],
        *,
        revision: str = "",
    ) -> None:
        if not self._changed(key, change, condition, values, revision=revision):
            raise LedgerConflictError(f"{key['pk']['S']} {key['sk']['S']} has changed meanwhile")

    def _changed(  # noqa: PLR0913  the parts of one request
        self,
        key: dict[str, Any],
        change: Mapping[str, object],
        condition: str,
        values: Mapping[str, object],
        *,
        add: Mapping[str, object] | None = None,
        revision: str = "",
    ) -> bool:
        """Change an item under a condition; False where it does not hold.

        Each write leaves its revision. A write whose answer was lost is repeated and finds its
        own: that is no conflict.
        """
        change = {**change, "revision": revision or uuid.uuid4().hex}
        names = {f"#{name}": name for name in change}
        added = "".join(f" ADD {name} :add_{name}" for name in add or {})
        if "#state" in condition:
            names["#state"] = "state"
        try:
            self._client.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression="SET "
                + ", ".join(f"#{name} = :new_{name}" for name in change)
                + added,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=_marshalled(
                    {f":new_{name}": value for name, value in change.items()}
                    | {f":{name}": value for name, value in values.items()}
                    | {f":add_{name}": value for name, value in (add or {}).items()}
                ),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            found = _unmarshalled(_refused_by(error))
            return bool(found.get("revision") == change["revision"])
        return True


def _refused_by(error: ClientError) -> Mapping[str, Any]:
    """Return the item that a condition did not hold for; empty where there is none."""
    response: Mapping[str, Any] = error.response
    return dict(response.get("Item", {}))


def _kept(columns: Sequence[str]) -> list[str]:
    """Return the first columns, and how many more there are."""
    kept = [within(column, _LONGEST_COLUMN) for column in columns[:_COLUMNS_KEPT]]
    more = len(columns) - len(kept)
    return [*kept, f"{more:,} more"] if more else kept


def _key(kind: str, name: str) -> dict[str, Any]:
    return {"pk": {"S": f"{kind}#{name}"}, "sk": {"S": kind}}


def _batch_key(import_id: str, number: int) -> dict[str, Any]:
    """Return the key of a batch; keys sort as numbers do, those of seven digits included."""
    digits = f"{number:06d}" if number < _SEVEN_DIGITS else f"~{number}"
    return _key("IMPORT", import_id) | {"sk": {"S": f"BATCH#{digits}"}}


def _batch_item(import_id: str, batch: BatchRange, expires_at: int) -> dict[str, Any]:
    return _batch_key(import_id, batch.number) | _marshalled(
        {
            "number": batch.number,
            "first_row": batch.first_row,
            "last_row": batch.last_row,
            "accounts": batch.accounts,
            "state": BatchState.PLANNED,
            "expires_at": expires_at,
        }
    )


def _import_of(item: Mapping[str, Any]) -> Import:
    return Import(
        id=item["pk"].removeprefix("IMPORT#"),
        upload=Upload(
            item["bucket"], item["key"], item["version"], int(item["size"]), item["uploaded_at"]
        ),
        state=ImportState(item["state"]),
        received_at=item["received_at"],
        began_at=item["began_at"],
        deadline=item["deadline"],
        lease_until=item["lease_until"],
        resumed=int(item.get("resumed", 0)),
        refusal=item.get("refusal", ""),
        stopped=item.get("stopped", ""),
        reason_code=_reason_code(item),
        attempts=int(item.get("attempts", 0)),
        batches=int(item.get("batches", 0)),
        rows=int(item.get("rows", 0)),
        accepted=int(item.get("accepted", 0)),
        rejected=int(item.get("rejected", 0)),
        duplicates=int(item.get("duplicates", 0)),
        unknown_columns=tuple(item.get("unknown_columns", ())),
        expected_end=item.get("expected_end", 0.0),
    )


def _reason_code(item: Mapping[str, Any]) -> ReasonCode | None:
    """Read a code; none where the item has none, or one of a later version."""
    return next((code for code in ReasonCode if code == item.get("reason_code")), None)


def _batch_of(item: Mapping[str, Any]) -> Batch:
    """Read a batch; `look_at` and `listing` are the names that 0.1 gave attributes."""
    return Batch(
        range=BatchRange(
            int(item["number"]),
            int(item["first_row"]),
            int(item["last_row"]),
            int(item["accounts"]),
        ),
        state=BatchState(item["state"]),
        request_id=item.get("request_id", ""),
        sent=int(item.get("sent", 0)),
        sent_at=item.get("sent_at", 0.0),
        next_poll_at=item.get("next_poll_at", item.get("look_at", 0.0)),
        changed_at=item.get("changed_at", 0.0),
        reason=item.get("reason", ""),
        reason_code=_reason_code(item),
        reports_missed=int(item.get("reports_missed", 0)),
        report=item.get("report", False),
        reconciliation=item.get("reconciliation", item.get("listing", False)),
        sign_in=SignInState(item.get("sign_in", "")),
        sign_ins=SignIns(*map(int, item.get("sign_ins", ()))),
        revision=item.get("revision", ""),
    )


def _marshalled(values: Mapping[str, object]) -> dict[str, Any]:
    return {name: _attribute(value) for name, value in values.items()}


def _attribute(value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": repr(value)}
        case str():
            return {"S": str(value)}
        case list():
            return {"L": [_attribute(item) for item in value]}
    raise TypeError(f"no attribute type for {type(value).__name__}")


def _unmarshalled(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(attribute) for name, attribute in item.items()}


def _value(attribute: Mapping[str, Any]) -> Any:  # noqa: ANN401  an attribute holds any type
    kind, value = next(iter(attribute.items()))
    match kind:
        case "N":
            return float(value)
        case "L":
            return [_value(item) for item in value]
    return value
