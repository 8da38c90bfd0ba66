"""The ledger in one DynamoDB table.

Items, by their keys:
  IMPORT#<import id> / IMPORT            the import
  IMPORT#<import id> / BATCH#<number>    one batch, the number with six digits
  BUDGET#<workspace> / BUDGET            calls of the last minute and promised turns, as JSON
  WALK#<workspace or import id> / WALK   how far the account list has been read

The index imports-by-day holds the imports alone, by the day on which they were taken on.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from email_accounts.errors import ImporterError, LedgerConflictError
from email_accounts.models.imports import (
    FINAL,
    AccountScan,
    Batch,
    BatchRange,
    BatchState,
    Import,
    ImportState,
    Plan,
)
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.budget import Budget

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_INDEX = "imports-by-day"
_COLUMNS_KEPT = 20
_LONGEST_COLUMN = 100
_BATCH_WRITE = 25
_BATCHES_AT_ONCE = 250
"""Batches in one answer: the megabyte that DynamoDB would send takes thirty to take apart."""
_TRIES = 20
_PAUSE = 0.1
_CROWDED = 1.0
"""Seconds to come again after, where others were quicker each time."""


class LedgerReader:
    """What the ledger holds of imports and batches, for functions, command line and demo."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Use a table; nothing is called yet."""
        self._client = client
        self._table = table

    def find(self, import_id: str) -> Import | None:
        """Return the import, or None where the ledger does not know it."""
        found = self._client.get_item(
            TableName=self._table, Key=_import_key(import_id), ConsistentRead=True
        )
        return _import_of(_unmarshalled(found["Item"])) if "Item" in found else None

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
                ":pk": _import_key(import_id)["pk"],
                ":batch": {"S": "BATCH#"},
            },
            ConsistentRead=True,
            PaginationConfig={"PageSize": _BATCHES_AT_ONCE},
        )
        for page in pages:
            yield from (_batch_of(_unmarshalled(item)) for item in page["Items"])

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


class DynamoLedger(LedgerReader):
    """The ledger; an entry expires `retention` seconds after it was made."""

    def __init__(self, client: "DynamoDBClient", table: str, retention: float) -> None:
        """Use a table; nothing is called yet."""
        super().__init__(client, table)
        self._retention = retention

    def claim(self, upload: Upload, now: float, deadline: float, lease_until: float) -> bool:
        """Take an upload on, or take it over; see `Ledger`."""
        item = {
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
            "lease_until": lease_until,
            "expires_at": self._expiry(),
        }
        try:
            self._client.put_item(
                TableName=self._table,
                Item=_import_key(upload.import_id) | _marshalled(item),
                ConditionExpression="attribute_not_exists(pk)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return self.lease(upload.import_id, now, lease_until)
        return True

    def lease(self, import_id: str, now: float, lease_until: float) -> bool:
        """Become the one who submits; see `Ledger`."""
        return self._changed(
            _import_key(import_id),
            {"lease_until": lease_until},
            "lease_until <= :now AND NOT #state IN (:delivering, :notified)",
            {
                "now": now,
                "delivering": ImportState.DELIVERING,
                "notified": ImportState.NOTIFIED,
            },
        )

    def release(self, import_id: str) -> None:
        """Let the next submitter begin at once."""
        self._change(_import_key(import_id), {"lease_until": 0})

    def refuse(self, import_id: str, refusal: str) -> None:
        """Remember that the file as a whole is refused."""
        change = {"state": ImportState.REFUSED, "refusal": refusal}
        self._change(_import_key(import_id), change, from_states=[ImportState.RECEIVED])

    def plan(self, import_id: str, plan: Plan, unknown_columns: Sequence[str]) -> None:
        """Remember the batches, then that the import is planned."""
        if self.get(import_id).state is not ImportState.RECEIVED:
            raise LedgerConflictError(f"import {import_id} has been planned before")
        expires_at = self._expiry()
        self._write(_batch_item(import_id, batch, expires_at) for batch in plan.batches)
        change = {
            "state": ImportState.PLANNED,
            "rows": plan.rows,
            "accepted": plan.accepted,
            "rejected": plan.rejected,
            "duplicates": plan.duplicates,
            "batches": len(plan.batches),
            "unknown_columns": [
                column[:_LONGEST_COLUMN] for column in unknown_columns[:_COLUMNS_KEPT]
            ],
        }
        self._change(_import_key(import_id), change, from_states=[ImportState.RECEIVED])

    def stop(self, import_id: str, reason: str) -> None:
        """Remember that nothing more is to be sent, and why."""
        self._change(_import_key(import_id), {"stopped": reason})

    def intend(self, import_id: str, number: int, now: float, *, reconciliation: bool) -> bool:
        """Remember, before a request, that it is being sent; see `Ledger`."""
        return self._changed(
            _batch_key(import_id, number),
            {
                "state": BatchState.SENDING,
                "sent_at": now,
                "changed_at": now,
                "reason": "",
                "reconciliation": reconciliation,
            },
            "#state = :planned",
            {"planned": BatchState.PLANNED},
            add={"sent": 1},
        )

    def withdraw(self, import_id: str, number: int) -> None:
        """Remember that a request was not carried out: it is planned again; see `Ledger`."""
        key, change = _batch_key(import_id, number), {"state": BatchState.PLANNED}
        sending = {"sending": BatchState.SENDING}
        if not self._changed(key, change, "#state = :sending", sending, add={"sent": -1}):
            self._change(key, change, from_states=[BatchState.UNCONFIRMED])

    def submitted(
        self, import_id: str, number: int, request_id: str, now: float, next_poll_at: float
    ) -> None:
        """Remember the request id of a request being sent, and when to look at it."""
        self._change(
            _batch_key(import_id, number),
            {
                "state": BatchState.SUBMITTED,
                "request_id": request_id,
                "changed_at": now,
                "next_poll_at": next_poll_at,
            },
            from_states=[BatchState.SENDING],
        )

    def unconfirmed(
        self, import_id: str, number: int, reason: str, now: float, next_poll_at: float
    ) -> None:
        """Remember that it is not known what became of a batch, and when to look for it."""
        self._change(
            _batch_key(import_id, number),
            {
                "state": BatchState.UNCONFIRMED,
                "reason": reason,
                "changed_at": now,
                "next_poll_at": next_poll_at,
            },
            from_states=[BatchState.SENDING, BatchState.SUBMITTED],
        )

    def polled(
        self, import_id: str, number: int, next_poll_at: float, *, reports_missed: int = 0
    ) -> None:
        """Remember when to look at a batch again."""
        self._change(
            _batch_key(import_id, number),
            {"next_poll_at": next_poll_at, "reports_missed": reports_missed},
            from_states=[BatchState.SUBMITTED, BatchState.UNCONFIRMED],
        )

    def settle(  # noqa: PLR0913  what is not named stays as it is usual
        self,
        import_id: str,
        number: int,
        state: BatchState,
        now: float,
        *,
        reason: str = "",
        report: bool = False,
        reconciliation: bool | None = None,
    ) -> None:
        """Remember how a batch ended, wherever it stood before its end."""
        change = {"state": state, "reason": reason, "report": report, "changed_at": now}
        if reconciliation is not None:
            change["reconciliation"] = reconciliation
        open_states = [one for one in BatchState if one not in FINAL]
        self._change(_batch_key(import_id, number), change, from_states=open_states)

    def take_call(
        self, workspace: str, holder: str, wanted: int, now: float, calls_per_minute: int
    ) -> float:
        """Take one call out of the budget, or a turn for up to so many; see `Ledger`."""
        return self._budgeted(
            workspace,
            lambda budget, late: budget.take(holder, wanted, now + late, calls_per_minute),
        )

    def close_budget(self, workspace: str, now: float, until: float) -> None:
        """Let nobody call before a time, because the remote said so."""
        self._budgeted(workspace, lambda budget, late: (budget.closed(now + late, until), 0.0))

    def scan(self, owner: str) -> AccountScan | None:
        """Return the last walk through the account list for a workspace or an import."""
        found = self._client.get_item(
            TableName=self._table, Key=_scan_key(owner), ConsistentRead=True
        )
        if "Item" not in found:
            return None
        item = _unmarshalled(found["Item"])
        parts = tuple(int(part) for part in item["parts"])
        return AccountScan(item["began_at"], item["since"], parts, item["done"])

    def lease_scan(
        self,
        owner: str,
        seen: AccountScan | None,
        scan: AccountScan,
        now: float,
        lease_until: float,
    ) -> bool:
        """Become the one who goes on with a walk, or begins one; see `Ledger`."""
        condition, values = "attribute_not_exists(pk)", {}
        if seen:
            condition = "began_at = :began_at AND pages = :pages AND lease_until <= :now"
            values = {"began_at": seen.began_at, "pages": seen.pages, "now": now}
        change = _scan_change(scan) | {"lease_until": lease_until, "expires_at": self._expiry()}
        return self._changed(_scan_key(owner), change, condition, values)

    def save_scan(self, owner: str, scan: AccountScan) -> None:
        """Remember how far a walk has come, and let the next one go on."""
        self._change(_scan_key(owner), _scan_change(scan) | {"lease_until": 0})

    def deliver(self, import_id: str, now: float, lease_until: float, *, best_effort: bool) -> bool:
        """Have nothing more sent, because the answer is written now; see `Ledger`."""
        may = "#state = :refused OR (lease_until <= :now AND #state <> :notified)"
        known = {"now": now, "refused": ImportState.REFUSED, "notified": ImportState.NOTIFIED}
        if not best_effort:
            may += " OR (#state = :delivering AND last_resort = :no)"
            known |= {"delivering": ImportState.DELIVERING, "no": False}
        change = {
            "state": ImportState.DELIVERING,
            "lease_until": lease_until,
            "last_resort": best_effort,
        }
        return self._changed(_import_key(import_id), change, may, known)

    def notified(self, import_id: str) -> bool:
        """Remember that the message was sent; see `Ledger`."""
        return self._changed(
            _import_key(import_id),
            {"state": ImportState.NOTIFIED, "lease_until": 0},
            "#state <> :notified",
            {"notified": ImportState.NOTIFIED},
        )

    def restart(self, import_id: str, now: float, deadline: float) -> bool:
        """Take an import up again that was answered; see `Ledger`.

        Its batches come first: a crash between leaves an import that can be reopened.
        """
        imported = self.get(import_id)
        if imported.state is not ImportState.NOTIFIED:
            return False
        for batch in self.batches(import_id):
            if batch.state in (BatchState.RECONCILED, BatchState.UNCONFIRMED):
                state = BatchState.SUBMITTED if batch.request_id else BatchState.UNCONFIRMED
                change = {"state": state, "next_poll_at": now, "reports_missed": 0}
                self._change(_batch_key(import_id, batch.number), change)
        return self._changed(
            _import_key(import_id),
            {
                "state": ImportState.PLANNED,
                "began_at": now,
                "deadline": deadline,
                "lease_until": 0,
                "resumed": imported.resumed + 1,
                "stopped": "",
            },
            "#state = :notified AND began_at = :seen",
            {"notified": ImportState.NOTIFIED, "seen": imported.began_at},
        )

    def _budgeted(
        self, workspace: str, change: Callable[[Budget, float], tuple[Budget, float]]
    ) -> float:
        """Change the budget under a version number, which tells two takers at once apart."""
        key = {"pk": {"S": f"BUDGET#{workspace}"}, "sk": {"S": "BUDGET"}}
        began = time.monotonic()
        for _ in range(_TRIES):
            found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
            item = _unmarshalled(found.get("Item", {}))
            before = Budget.loaded(item["budget"]) if item else Budget()
            after, wait = change(before, time.monotonic() - began)
            version = int(item.get("version", 0))
            if after == before or self._changed(
                key,
                {"budget": after.dumped(), "version": version + 1},
                "attribute_not_exists(version) OR version = :seen",
                {"seen": version},
            ):
                return wait
            time.sleep(random.uniform(0, _PAUSE))  # noqa: S311  spreads takers, hides nothing
        return _CROWDED

    def _expiry(self) -> int:
        return int(time.time() + self._retention)

    def _write(self, items: Iterator[dict[str, Any]]) -> None:
        while chunk := list(islice(items, _BATCH_WRITE)):
            left: Any = {self._table: [{"PutRequest": {"Item": item}} for item in chunk]}
            while left:
                left = self._client.batch_write_item(RequestItems=left)["UnprocessedItems"]

    def _change(
        self, key: dict[str, Any], change: Mapping[str, object], *, from_states: Sequence[str] = ()
    ) -> None:
        """Change an item that exists, in one of the states where any are given."""
        names = [f"from{at}" for at in range(len(from_states))]
        condition = "attribute_exists(pk)"
        if names:
            condition += f" AND #state IN ({', '.join(f':{name}' for name in names)})"
        values = dict(zip(names, from_states, strict=True))
        if not self._changed(key, change, condition, values):
            wanted = " or ".join(from_states) or "there"
            raise LedgerConflictError(f"{key['pk']['S']} {key['sk']['S']} is not {wanted}")

    def _changed(
        self,
        key: dict[str, Any],
        change: Mapping[str, object],
        condition: str,
        values: Mapping[str, object],
        *,
        add: Mapping[str, object] | None = None,
    ) -> bool:
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
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _import_key(import_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"IMPORT#{import_id}"}, "sk": {"S": "IMPORT"}}


def _batch_key(import_id: str, number: int) -> dict[str, Any]:
    return {"pk": {"S": f"IMPORT#{import_id}"}, "sk": {"S": f"BATCH#{number:06d}"}}


def _scan_key(owner: str) -> dict[str, Any]:
    return {"pk": {"S": f"WALK#{owner}"}, "sk": {"S": "WALK"}}


def _scan_change(scan: AccountScan) -> dict[str, object]:
    return {
        "began_at": scan.began_at,
        "since": scan.since,
        "parts": list(scan.parts),
        "pages": scan.pages,
        "done": scan.done,
    }


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
            item["bucket"],
            item["key"],
            item["version"],
            int(item["size"]),
            item["uploaded_at"],
        ),
        state=ImportState(item["state"]),
        received_at=item["received_at"],
        began_at=item["began_at"],
        deadline=item["deadline"],
        lease_until=item["lease_until"],
        resumed=int(item.get("resumed", 0)),
        refusal=item.get("refusal", ""),
        stopped=item.get("stopped", ""),
        batches=int(item.get("batches", 0)),
        rows=int(item.get("rows", 0)),
        accepted=int(item.get("accepted", 0)),
        rejected=int(item.get("rejected", 0)),
        duplicates=int(item.get("duplicates", 0)),
        unknown_columns=tuple(item.get("unknown_columns", ())),
    )


def _batch_of(item: Mapping[str, Any]) -> Batch:
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
        next_poll_at=item.get("next_poll_at", 0.0),
        changed_at=item.get("changed_at", 0.0),
        reason=item.get("reason", ""),
        reports_missed=int(item.get("reports_missed", 0)),
        report=item.get("report", False),
        reconciliation=item.get("reconciliation", False),
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
