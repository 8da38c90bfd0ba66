"""The stand-in's memory: accounts, requests, behaviour and calls in one SQLite file."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from local.standin.account import Account, sign_in
from local.standin.behaviour import Behaviour

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS behaviour (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    key_ok INTEGER NOT NULL,
    status INTEGER,
    accounts INTEGER,
    request_id TEXT
);
CREATE TABLE IF NOT EXISTS requests (
    id TEXT PRIMARY KEY,
    report_token TEXT NOT NULL UNIQUE,
    completes_at INTEGER NOT NULL,
    polls INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS attempts (
    request_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    fields TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (request_id, position)
);
CREATE TABLE IF NOT EXISTS accounts (
    number INTEGER PRIMARY KEY,
    address TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    times_sent INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    fields TEXT NOT NULL,
    status INTEGER,
    provider TEXT AS (json_extract(fields, '$.emailServiceProvider')) STORED,
    from_email TEXT AS (json_extract(fields, '$.smtpEmailAddress')) STORED,
    from_name TEXT AS (
        trim(json_extract(fields, '$.fromFirstName') || ' '
            || json_extract(fields, '$.fromLastName'))
    ) STORED
);
"""

LIST = """
SELECT id, from_name, from_email, status, created_at, provider FROM accounts
WHERE status IS NOT NULL
    AND (:status IS NULL OR status = :status)
    AND (:providers IS NULL OR provider IN (SELECT value FROM json_each(:providers)))
    AND (instr(lower(from_email), lower(:search)) OR instr(lower(from_name), lower(:search)))
ORDER BY {order}, number LIMIT :size OFFSET :offset
"""

SortKey = Literal["createdAt", "fromEmail", "fromName", "status"]
SORT_COLUMNS: dict[SortKey, str] = {
    "createdAt": "created_at",
    "fromEmail": "from_email",
    "fromName": "from_name",
    "status": "status",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was received; status is None while it is being answered."""

    number: int
    at: str
    method: str
    path: str
    key_ok: bool
    status: int | None
    accounts: int | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """One submission; times are in epoch milliseconds."""

    id: str
    report_token: str
    completes_at: int
    polls: int
    failures: int

    @property
    def is_completed(self) -> bool:
        """Whether every account has been tried."""
        return self.completes_at <= _now()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One account tried for a request; the reason is None when it was connected."""

    account: Account
    reason: str | None


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """An account of the service's list; status 1 is connected, 0 saved but not working."""

    id: str
    from_name: str
    from_email: str
    status: int
    created_at: str
    provider: str


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An address ever sent; its status is None until it has been tried."""

    address: str
    status: int | None
    times_sent: int
    request_id: str


class Store:
    """One connection used on one thread, so that a call's statements are never interleaved."""

    def __init__(self, path: Path) -> None:
        """Open the database, made readable by its owner alone because it holds passwords."""
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Write everything back into the one file."""
        self._db.close()

    def reset(self) -> None:
        """Forget everything."""
        with self._db:
            for table in ("behaviour", "calls", "requests", "attempts", "accounts"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 -- names from this line only

    def behaviour(self) -> Behaviour:
        """Return the behaviour last set, or the default."""
        row = self._db.execute("SELECT document FROM behaviour").fetchone()
        return Behaviour.model_validate_json(row[0]) if row else Behaviour()

    def set_behaviour(self, behaviour: Behaviour) -> None:
        """Behave like this from the next call on."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO behaviour VALUES (1, ?)", (behaviour.model_dump_json(),)
            )

    def begin_call(self, method: str, path: str, *, key_ok: bool) -> int:
        """Record a call on its arrival and return its number."""
        with self._db:
            cursor = self._db.execute(
                "INSERT INTO calls (at, method, path, key_ok) VALUES (?, ?, ?, ?)",
                (_iso(_now()), method, path, key_ok),
            )
        number = cursor.lastrowid
        if number is None:
            msg = "a call was recorded without a number"
            raise RuntimeError(msg)
        return number

    def end_call(
        self, number: int, status: int, accounts: int | None, request_id: str | None
    ) -> None:
        """Complete the record of a call with its answer."""
        with self._db:
            self._db.execute(
                "UPDATE calls SET status = ?, accounts = ?, request_id = ? WHERE number = ?",
                (status, accounts, request_id, number),
            )

    def calls(self) -> list[Call]:
        """Return every call in the order of arrival."""
        rows = self._db.execute(
            "SELECT number, at, method, path, key_ok, status, accounts, request_id"
            " FROM calls ORDER BY number"
        )
        return [
            Call(number, at, method, path, bool(key_ok), status, accounts, request_id)
            for number, at, method, path, key_ok, status, accounts, request_id in rows
        ]

    def forget_calls(self) -> None:
        """Forget the calls; their numbers go on, so that a call under way keeps its own."""
        with self._db:
            self._db.execute("DELETE FROM calls")

    def submit(self, accounts: Sequence[Account], seconds: float) -> str:
        """Take accounts that will have been tried after so many seconds; return the request id."""
        with self._db:
            request_id = self._open_request(accounts, seconds)
            created_at = _iso(_now())
            self._db.executemany(
                "INSERT INTO accounts (address, id, created_at, times_sent, request_id, fields)"
                " VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT (address)"
                " DO UPDATE SET times_sent = times_sent + 1, request_id = excluded.request_id",
                [
                    (one.address, secrets.token_hex(5), created_at, request_id, _dump(one))
                    for one in accounts
                ],
            )
        return request_id

    def retry(self, account_ids: Sequence[str], seconds: float) -> str | None:
        """Try listed accounts again; return the request id, None when an id is not listed."""
        self._settle()
        rows = self._db.execute(
            "SELECT id, fields FROM accounts WHERE status IS NOT NULL"
            " AND id IN (SELECT value FROM json_each(?))",
            (json.dumps(account_ids),),
        )
        listed = dict(rows.fetchall())
        if not listed.keys() >= set(account_ids):
            return None
        accounts = [Account.model_validate_json(listed[one]) for one in account_ids]
        with self._db:
            request_id = self._open_request(accounts, seconds)
            self._db.executemany(
                "UPDATE accounts SET request_id = ? WHERE id = ?",
                [(request_id, one) for one in account_ids],
            )
        return request_id

    def look_at(self, request_id: str) -> Request | None:
        """Count one look at a request and return it, None when there is no such request."""
        with self._db:
            self._db.execute("UPDATE requests SET polls = polls + 1 WHERE id = ?", (request_id,))
        row = self._db.execute(
            "SELECT id, report_token, completes_at, polls,"
            " (SELECT count(reason) FROM attempts WHERE request_id = requests.id)"
            " FROM requests WHERE id = ?",
            (request_id,),
        ).fetchone()
        return Request(*row) if row else None

    def reported(self, token: str) -> tuple[str, list[Attempt]] | None:
        """Return the request id and attempts behind a report's token, None when unknown."""
        found = self._db.execute(
            "SELECT id FROM requests WHERE report_token = ?", (token,)
        ).fetchone()
        if found is None:
            return None
        rows = self._db.execute(
            "SELECT fields, reason FROM attempts WHERE request_id = ? ORDER BY position", found
        )
        return found[0], [
            Attempt(Account.model_validate_json(fields), reason) for fields, reason in rows
        ]

    def account_id(self, address: str) -> str | None:
        """Return the id under which an address is listed, None when it is not."""
        self._settle()
        row = self._db.execute(
            "SELECT id FROM accounts WHERE address = ? AND status IS NOT NULL", (address,)
        ).fetchone()
        return row[0] if row else None

    def listed(
        self, where: dict[str, str | int | None], sort_key: SortKey, sort: Literal["asc", "desc"]
    ) -> list[ListedAccount]:
        """Return one page of the list; `where` has search, status, providers, size, offset."""
        self._settle()
        statement = LIST.format(order=f"{SORT_COLUMNS[sort_key]} {sort}")
        return [ListedAccount(*row) for row in self._db.execute(statement, where)]

    def known(self) -> list[KnownAccount]:
        """Return every address ever sent, the first one first."""
        self._settle()
        rows = self._db.execute(
            "SELECT address, status, times_sent, request_id FROM accounts ORDER BY number"
        )
        return [KnownAccount(*row) for row in rows]

    def _open_request(self, accounts: Sequence[Account], seconds: float) -> str:
        request_id = secrets.token_hex(5)
        self._db.execute(
            "INSERT INTO requests (id, report_token, completes_at) VALUES (?, ?, ?)",
            (request_id, secrets.token_urlsafe(24), _now() + round(seconds * 1000)),
        )
        self._db.executemany(
            "INSERT INTO attempts VALUES (?, ?, ?, ?, ?)",
            [
                (request_id, position, one.address, _dump(one), sign_in(one).reason)
                for position, one in enumerate(accounts)
            ],
        )
        return request_id

    def _settle(self) -> None:
        """Bring what requests completed since the last look have changed into the list."""
        due = self._db.execute(
            "SELECT id FROM requests WHERE NOT settled AND completes_at <= ?"
            " ORDER BY completes_at, rowid",
            (_now(),),
        ).fetchall()
        with self._db:
            for request in due:
                attempts = self._db.execute(
                    "SELECT fields, reason IS NULL, address FROM attempts WHERE request_id = ?"
                    " ORDER BY position",
                    request,
                )
                self._db.executemany(
                    "UPDATE accounts SET fields = ?, status = ? WHERE address = ?", attempts
                )
                self._db.execute("UPDATE requests SET settled = 1 WHERE id = ?", request)


def _dump(account: Account) -> str:
    return account.model_dump_json(by_alias=True)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
