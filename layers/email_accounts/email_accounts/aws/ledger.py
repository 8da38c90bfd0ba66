"""The ledger in one DynamoDB table.

Items, by their keys:
  IMPORT#<import id> / IMPORT            the import
  IMPORT#<import id> / BATCH#<number>    one batch, the number with six digits
  BUDGET#<workspace> / BUDGET            the times of the calls of the last minute

The index `imports-by-day` has the imports by the day (UTC) and the time they were received at.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from email_accounts.batches import BatchRange, Plan
from email_accounts.errors import ImporterError, LedgerConflictError
from email_accounts.ledger import Batch, BatchState, Import, ImportState
from email_accounts.upload import Upload

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_MINUTE = 60.0
_COLUMNS_KEPT = 20
_LONGEST_COLUMN = 100
_BATCH_WRITE = 25
_TRIES = 20
_PAUSE = 0.05


class DynamoLedger:
    """The ledger; an entry expires `retention` seconds after it was made."""

    def __init__(self, client: "DynamoDBClient", table: str, retention: float) -> None:
        """Use a table; nothing is called yet."""
        self._client = client
        self._table = table
        self._retention = retention

    def claim(self, upload: Upload, now: float, deadline: float, lease_until: float) -> bool:
        """Take an upload on, or take it over; see `Ledger`."""
        item = {
            "bucket": upload.bucket,
            "key": upload.key,
            "version": upload.version,
            "size": upload.size,
            "state": ImportState.RECEIVED,
            "received_at": now,
            "day": datetime.fromtimestamp(now, UTC).date().isoformat(),
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
            "lease_until <= :now AND #state <> :notified",
            {"now": now, "notified": ImportState.NOTIFIED},
        )

    def release(self, import_id: str) -> None:
        """Let the next submitter begin at once."""
        self._change(_import_key(import_id), {"lease_until": 0})

    def get(self, import_id: str) -> Import:
        """Return the import."""
        found = self._client.get_item(
            TableName=self._table, Key=_import_key(import_id), ConsistentRead=True
        )
        if "Item" not in found:
            raise ImporterError(f"no import {import_id}")
        item = _unmarshalled(found["Item"])
        return Import(
            id=import_id,
            upload=Upload(item["bucket"], item["key"], item["version"], int(item["size"])),
            state=ImportState(item["state"]),
            received_at=item["received_at"],
            deadline=item["deadline"],
            lease_until=item["lease_until"],
            look_from=int(item.get("look_from", 1)),
            refusal=item.get("refusal", ""),
            stopped=item.get("stopped", ""),
            unknown_columns=tuple(item.get("unknown_columns", ())),
        )

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

    def look_from(self, import_id: str, number: int) -> None:
        """Remember with which batch the next look begins."""
        self._change(_import_key(import_id), {"look_from": number})

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
        )
        for page in pages:
            yield from (_batch_of(_unmarshalled(item)) for item in page["Items"])

    def intend(self, import_id: str, number: int, now: float) -> bool:
        """Remember, before a request, that it is being sent; see `Ledger`."""
        return self._changed(
            _batch_key(import_id, number),
            {"state": BatchState.SENDING, "sent_at": now},
            "#state = :planned",
            {"planned": BatchState.PLANNED},
        )

    def withdraw(self, import_id: str, number: int) -> None:
        """Remember that a request being sent was not carried out."""
        self._change(
            _batch_key(import_id, number),
            {"state": BatchState.PLANNED},
            from_states=[BatchState.SENDING],
        )

    def submitted(self, import_id: str, number: int, request_id: str) -> None:
        """Remember the request id of a request being sent."""
        self._change(
            _batch_key(import_id, number),
            {"state": BatchState.SUBMITTED, "request_id": request_id},
            from_states=[BatchState.SENDING],
        )

    def settle(
        self, import_id: str, number: int, state: BatchState, reason: str, *, report: bool
    ) -> None:
        """Remember how a batch ended."""
        self._change(
            _batch_key(import_id, number),
            {"state": state, "reason": reason, "report": report},
            from_states=[BatchState.SENDING, BatchState.SUBMITTED],
        )

    def take_call(self, workspace: str, now: float, calls_per_minute: int) -> float:
        """Take one call out of the budget; see `Ledger`.

        The times of the last minute's calls are kept, so that no minute, wherever it begins,
        holds more calls than allowed. Two takers at once are told apart by a version number.
        """
        key = {"pk": {"S": f"BUDGET#{workspace}"}, "sk": {"S": "BUDGET"}}
        began = time.monotonic()
        for _ in range(_TRIES):
            at = now + time.monotonic() - began
            found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
            item = _unmarshalled(found.get("Item", {}))
            calls: list[float] = [call for call in item.get("calls", []) if call > at - _MINUTE]
            if len(calls) >= calls_per_minute:
                return max(calls[-calls_per_minute] + _MINUTE - at, 0.001)
            version = int(item.get("version", 0))
            if self._changed(
                key,
                {"calls": [*calls, at], "version": version + 1},
                "attribute_not_exists(version) OR version = :seen",
                {"seen": version},
            ):
                return 0
            time.sleep(_PAUSE)
        return 1

    def notified(self, import_id: str) -> bool:
        """Remember that the message was sent; see `Ledger`."""
        return self._changed(
            _import_key(import_id),
            {"state": ImportState.NOTIFIED},
            "#state <> :notified",
            {"notified": ImportState.NOTIFIED},
        )

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
    ) -> bool:
        names = {f"#{name}": name for name in change}
        if "#state" in condition:
            names["#state"] = "state"
        try:
            self._client.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression="SET " + ", ".join(f"#{name} = :new_{name}" for name in change),
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=_marshalled(
                    {f":new_{name}": value for name, value in change.items()}
                    | {f":{name}": value for name, value in values.items()}
                ),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _import_key(import_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"IMPORT#{import_id}"}, "sk": {"S": "IMPORT"}}


def _batch_key(import_id: str, number: int) -> dict[str, Any]:
    return {"pk": {"S": f"IMPORT#{import_id}"}, "sk": {"S": f"BATCH#{number:06d}"}}


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
        sent_at=item.get("sent_at", 0.0),
        reason=item.get("reason", ""),
        report=item.get("report", False),
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
