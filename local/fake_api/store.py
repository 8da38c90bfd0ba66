"""The fake API's memory: everything it received, in one SQLite file.

The result of an account is decided when it is sent and shows when its time has come, so that
nothing has to be brought up to date later. Times are epoch milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from local.fake_api.account import Account, failure
from local.fake_api.behaviour import Behaviour
from local.fake_api.faults import Operation, Rule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS behaviour (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS rules (
    number INTEGER PRIMARY KEY,
    document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS rule_calls (
    rule INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (rule, request_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tenants (
    tenant INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    operation TEXT,
    tenant INTEGER,
    key_ok INTEGER NOT NULL,
    fault TEXT,
    status INTEGER,
    accounts INTEGER,
    request_id TEXT
);
CREATE INDEX IF NOT EXISTS calls_of_tenant ON calls (tenant, at);
CREATE TABLE IF NOT EXISTS requests (
    number INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    report_token TEXT NOT NULL UNIQUE,
    completes_at INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    polls INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS accounts (
    number INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    address TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    saved_at INTEGER NOT NULL,
    listed_at INTEGER NOT NULL,
    times_sent INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    UNIQUE (tenant, address)
);
CREATE INDEX IF NOT EXISTS accounts_by_age ON accounts (tenant, created_at, number, listed_at);
-- An attempt without an account changed nothing in the list. A silent one failed, and no report
-- reports it.
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER PRIMARY KEY,
    request INTEGER NOT NULL,
    account INTEGER,
    completes_at INTEGER NOT NULL,
    fields TEXT NOT NULL,
    reason TEXT,
    silent INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS attempts_of_request ON attempts (request);
CREATE INDEX IF NOT EXISTS attempts_of_account ON attempts (account);
"""

LAST_ATTEMPT = """(
    SELECT number FROM attempts WHERE account = accounts.number
    ORDER BY completes_at <= :now DESC, completes_at DESC, number DESC LIMIT 1
)"""
OF_LAST_ATTEMPT = f"(SELECT {{}} FROM attempts WHERE number = {LAST_ATTEMPT})"  # noqa: S608  names from this module only
STATUS = OF_LAST_ATTEMPT.format("completes_at <= :now AND reason IS NULL AND NOT silent")
PROVIDER = OF_LAST_ATTEMPT.format("json_extract(fields, '$.emailServiceProvider')")

SortKey = Literal["created-date", "health-score", "remaining-quota", "clientFirstName"]
SORT_COLUMNS: dict[SortKey, str] = {
    "created-date": "created_at",
    "health-score": STATUS,
    "remaining-quota": "NULL",
    "clientFirstName": "NULL",
}
NARROWED = {
    "search": "(instr(address, lower(:search)) OR instr(name, lower(:search)))",
    "status": f"{STATUS} = :status",
    "nobody": ":nobody IS NULL",
    "providers": f"{PROVIDER} IN (SELECT value FROM json_each(:providers))",  # noqa: S608  names from this module only
}
ALREADY_EXISTS = "Email account already exists"
RATE_LIMITED = "rate_limit"
MAPPED_BYTES = 1 << 31


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it was received, at epoch seconds; status is None while or if unanswered."""

    number: int
    at: float
    method: str
    path: str
    operation: Operation | None
    tenant: int | None
    key_ok: bool
    fault: str | None
    status: int | None
    accounts: int | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Rate:
    """The most calls of one tenant in one window, which ends with a call at epoch seconds."""

    tenant: int
    calls: int
    until: float


@dataclass(frozen=True, slots=True)
class Total:
    """How many addresses a tenant sent, how often in all, and how often the most frequent one."""

    tenant: int
    accounts: int
    times_sent: int
    most_times_sent: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many calls a tenant may still make, and the seconds until it may make more."""

    remaining: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """One submission of a tenant."""

    id: str
    tenant: int
    report_token: str
    completes_at: int
    failures: int
    polls: int

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
    """An account of the service's list; status 1 is connected, 0 saved but not working.

    It was created at epoch seconds.
    """

    id: str
    account: Account
    status: int
    created_at: float


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An address a tenant ever sent; its status is None until it has been tried."""

    tenant: int
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
        # Safe if the process dies; only a failing computer could lose something.
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Write everything back into the one file."""
        self._db.close()

    def reset(self) -> None:
        """Forget everything but the first API key."""
        with self._db:
            for table in (
                *("behaviour", "rules", "rule_calls", "calls"),
                *("requests", "accounts", "attempts"),
            ):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608  names from this line only
            self._db.execute("DELETE FROM tenants WHERE tenant > 1")

    # Tenants

    def set_first_key(self, key: str) -> None:
        """Make this the key of tenant 1."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO tenants VALUES (1, ?)", (_digest(key),))

    def add_key(self, key: str) -> int:
        """Accept this key, too, and return its tenant."""
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO tenants (digest) VALUES (?)", (_digest(key),))
        found = self._db.execute("SELECT tenant FROM tenants WHERE digest = ?", (_digest(key),))
        return int(found.fetchone()[0])

    def tenant_of(self, key: str) -> int | None:
        """Return the tenant of a key; None if there is none."""
        found = self._one("SELECT tenant FROM tenants WHERE digest = ?", _digest(key))
        return found[0] if found else None

    def tenants(self) -> list[int]:
        """Return every tenant, the first one first."""
        return [one for (one,) in self._db.execute("SELECT tenant FROM tenants ORDER BY tenant")]

    # Its switches

    def behaviour(self) -> Behaviour:
        """Return the behaviour last set, or the default."""
        row = self._one("SELECT document FROM behaviour")
        return Behaviour.model_validate_json(row[0]) if row else Behaviour()

    def set_behaviour(self, behaviour: Behaviour) -> None:
        """Behave like this from the next call on."""
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO behaviour VALUES (1, ?)", (behaviour.model_dump_json(),)
            )

    def add_rules(self, rules: Sequence[Rule]) -> None:
        """Let calls run into these faults, too, after those of earlier rules."""
        with self._db:
            self._db.executemany(
                "INSERT INTO rules (document) VALUES (?)",
                [(one.model_dump_json(),) for one in rules],
            )

    def rules(self) -> list[Rule]:
        """Return what is left of each rule that is not used up."""
        rows = self._db.execute(
            "SELECT document, coalesce(calls, 0) FROM rules"
            " LEFT JOIN rule_calls ON rule = number AND request_id = '' ORDER BY number"
        )
        left = (_left(Rule.model_validate_json(document), calls) for document, calls in rows)
        return [one for one in left if one is not None]

    def forget_rules(self) -> None:
        """Let no call run into a fault."""
        with self._db:
            self._db.execute("DELETE FROM rules")
            self._db.execute("DELETE FROM rule_calls")

    def take_rule(self, operation: Operation | None, request: Request | None) -> Rule | None:
        """Return the first rule that applies now; count the call at each matching rule."""
        with self._db:
            for number, document in self._db.execute(
                "SELECT number, document FROM rules ORDER BY number"
            ).fetchall():
                rule = Rule.model_validate_json(document)
                if not _concerns(rule, operation, request):
                    continue
                counted = number, (request.id if request and rule.per_request else "")
                self._db.execute(
                    "INSERT INTO rule_calls VALUES (?, ?, 1)"
                    " ON CONFLICT DO UPDATE SET calls = calls + 1",
                    counted,
                )
                row = self._one(
                    "SELECT calls FROM rule_calls WHERE rule = ? AND request_id = ?", *counted
                )
                nth = row[0] - rule.skip if row else 0
                if nth >= 1 and (rule.times is None or nth <= rule.times):
                    return rule
        return None

    # Calls

    def begin_call(  # noqa: PLR0913  the columns known on arrival
        self,
        method: str,
        path: str,
        operation: Operation | None,
        tenant: int | None,
        *,
        key_ok: bool,
        request_id: str | None,
    ) -> int:
        """Record a call on its arrival and return its number."""
        with self._db:
            (number,) = self._db.execute(
                "INSERT INTO calls (at, method, path, operation, tenant, key_ok, request_id)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number",
                (_now(), method, path, operation, tenant, key_ok, request_id),
            ).fetchone()
        return int(number)

    def mark_call(self, number: int, fault: str) -> None:
        """Record the fault that a call runs into."""
        with self._db:
            self._db.execute("UPDATE calls SET fault = ? WHERE number = ?", (fault, number))

    def end_call(
        self, number: int, status: int | None, accounts: int | None, request_id: str | None
    ) -> None:
        """Complete the record of a call with its answer; status is None when it gets none."""
        with self._db:
            self._db.execute(
                "UPDATE calls SET status = ?, accounts = ?, request_id = ? WHERE number = ?",
                (status, accounts, request_id, number),
            )

    def calls(self) -> list[Call]:
        """Return every call in the order of arrival."""
        rows = self._db.execute(
            "SELECT number, at, method, path, operation, tenant, key_ok, fault, status, accounts,"
            " request_id FROM calls ORDER BY number"
        )
        return [
            Call(number, at / 1000, method, path, operation, tenant, bool(key_ok), *rest)
            for number, at, method, path, operation, tenant, key_ok, *rest in rows
        ]

    def forget_calls(self) -> None:
        """Forget the calls; their numbers go on, so that a call under way keeps its own."""
        with self._db:
            self._db.execute("DELETE FROM calls")

    def rates(self, seconds: float) -> list[Rate]:
        """Return for each tenant the most calls that arrived in any so many seconds.

        A window holds its end and not its beginning; fetching a report is no call of a tenant.
        """
        rows = self._db.execute(
            "SELECT tenant, max(calls), at FROM ("
            " SELECT tenant, at, count(*) OVER ("
            " PARTITION BY tenant ORDER BY at RANGE ? PRECEDING"
            " ) AS calls FROM calls WHERE tenant IS NOT NULL AND operation IS NOT 'report'"
            ") GROUP BY tenant ORDER BY tenant",
            (round(seconds * 1000) - 1,),
        )
        return [Rate(tenant, calls, at / 1000) for tenant, calls, at in rows]

    def allowance(self, number: int, tenant: int, calls: int, seconds: float) -> Allowance:
        """Return what the rate limit leaves to a call that was recorded with this number."""
        now, window = _now(), round(seconds * 1000)
        taken = self._db.execute(
            "SELECT at FROM calls WHERE tenant = ? AND at > ? AND number < ?"
            " AND operation IS NOT 'report' AND fault IS NOT ?"
            " ORDER BY at DESC, number DESC LIMIT ?",
            (tenant, now - window, number, RATE_LIMITED, calls),
        ).fetchall()
        oldest = taken[-1][0] if taken else now
        return Allowance(calls - len(taken), (oldest + window - now) / 1000)

    # Accounts

    def submit(self, tenant: int, accounts: Sequence[Account], behaviour: Behaviour) -> str:
        """Take accounts to be tried as the behaviour says; return the request id."""
        now, every = _now(), behaviour.silent_failure_every
        completes_at = now + round(behaviour.completion_seconds * 1000)
        saved_at = now if behaviour.listed_when == "accepted" else completes_at
        listed_at = saved_at + round(behaviour.listing_delay_seconds * 1000)
        refused = (
            self.saved(tenant, [one.address for one in accounts])
            if behaviour.already_listed == "reported"
            else set()
        )
        attempts = [
            (one, ALREADY_EXISTS if one.address in refused else failure(one)) for one in accounts
        ]
        failures = sum(reason is not None for _, reason in attempts)
        request_id = secrets.token_hex(5)
        with self._db:
            self._db.executemany(
                "INSERT INTO accounts (tenant, address, name, id, created_at, saved_at, listed_at,"
                " times_sent, request_id) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)"
                " ON CONFLICT (tenant, address) DO UPDATE SET times_sent = times_sent + 1,"
                " name = excluded.name, saved_at = min(saved_at, excluded.saved_at),"
                " listed_at = min(listed_at, excluded.listed_at), request_id = excluded.request_id",
                [
                    (
                        *(tenant, one.address, one.name.lower(), secrets.token_hex(8)),
                        *(now, saved_at, listed_at, request_id),
                    )
                    for one in accounts
                ],
            )
            number = self._db.execute(
                "INSERT INTO requests (tenant, id, report_token, completes_at, failures)"
                " VALUES (?, ?, ?, ?, ?)",
                (tenant, request_id, secrets.token_urlsafe(24), completes_at, failures),
            ).lastrowid
            self._db.executemany(
                "INSERT INTO attempts (request, account, completes_at, fields, reason, silent)"
                " VALUES (?, (SELECT number FROM accounts WHERE tenant = ? AND address = ?),"
                " ?, ?, ?, ?)",
                [
                    (
                        *(number, tenant, None if one.address in refused else one.address),
                        *(completes_at, one.model_dump_json(by_alias=True), reason),
                        every is not None and position % every == 0,
                    )
                    for position, (one, reason) in enumerate(attempts, start=1)
                ],
            )
        return request_id

    def request(self, tenant: int, request_id: str) -> Request | None:
        """Return a request of a tenant, None when it has no such request."""
        return self._request("tenant = ? AND id = ?", tenant, request_id)

    def poll(self, tenant: int, request_id: str) -> Request | None:
        """Count one status check of a tenant's request and return the request."""
        with self._db:
            self._db.execute(
                "UPDATE requests SET polls = polls + 1 WHERE tenant = ? AND id = ?",
                (tenant, request_id),
            )
        return self.request(tenant, request_id)

    def reported(self, token: str) -> Request | None:
        """Return the request behind a report's token, None when there is none."""
        return self._request("report_token = ?", token)

    def attempts(self, request_id: str) -> list[Attempt]:
        """Return what a request tried, in the order it was sent."""
        rows = self._db.execute(
            "SELECT fields, reason FROM attempts"
            " WHERE request = (SELECT number FROM requests WHERE id = ?) ORDER BY number",
            (request_id,),
        )
        return [Attempt(Account.model_validate_json(fields), reason) for fields, reason in rows]

    def last_sent(self, tenant: int | None) -> list[dict[str, Any]]:
        """Return the last accounts that a tenant sent, three at most, with all their fields."""
        rows = self._db.execute(
            "SELECT fields FROM attempts JOIN requests ON requests.number = request"
            " WHERE tenant = ? ORDER BY attempts.number DESC LIMIT 3",
            (tenant,),
        )
        return [json.loads(fields) for (fields,) in rows]

    def saved(self, tenant: int, addresses: Sequence[str]) -> set[str]:
        """Return which of these addresses the service has saved by now."""
        rows = self._db.execute(
            "SELECT address FROM accounts WHERE tenant = ? AND saved_at <= ?"
            " AND address IN (SELECT value FROM json_each(?))",
            (tenant, _now(), json.dumps(addresses)),
        )
        return {address for (address,) in rows}

    def listed(
        self,
        tenant: int,
        where: dict[str, str | int],
        order: str,
        lag_seconds: float,
    ) -> list[ListedAccount]:
        """Return one page of the list as it was so many seconds ago, in the order of an expression.

        `where` has size and offset, and may have search, status, providers and nobody.
        """
        values = where | {"tenant": tenant, "now": _now() - round(lag_seconds * 1000)}
        narrowed = "".join(f" AND {NARROWED[name]}" for name in NARROWED if name in where)
        rows = self._db.execute(
            f"SELECT id, created_at, {STATUS}, {OF_LAST_ATTEMPT.format('fields')} FROM accounts"  # noqa: S608  names from this module only
            f" WHERE tenant = :tenant AND listed_at <= :now{narrowed}"
            f" ORDER BY {order} LIMIT :size OFFSET :offset",
            values,
        )
        return [
            ListedAccount(one, Account.model_validate_json(fields), status, created_at / 1000)
            for one, created_at, status, fields in rows
        ]

    def known(self) -> list[KnownAccount]:
        """Return every address ever sent, the first one first."""
        tried = OF_LAST_ATTEMPT.format(
            "CASE WHEN completes_at <= :now THEN reason IS NULL AND NOT silent END"
        )
        rows = self._db.execute(
            f"SELECT tenant, address, {tried}, times_sent, request_id FROM accounts"  # noqa: S608  names from this module only
            " ORDER BY number",
            {"now": _now()},
        )
        return [KnownAccount(*row) for row in rows]

    def totals(self) -> list[Total]:
        """Return what each tenant sent."""
        rows = self._db.execute(
            "SELECT tenant, count(*), sum(times_sent), max(times_sent) FROM accounts"
            " GROUP BY tenant ORDER BY tenant"
        )
        return [Total(*row) for row in rows]

    def _request(self, condition: str, *values: Any) -> Request | None:  # noqa: ANN401  what SQLite takes
        row = self._one(
            "SELECT id, tenant, report_token, completes_at, failures, polls FROM requests"  # noqa: S608  conditions from this module only
            f" WHERE {condition}",
            *values,
        )
        return Request(*row) if row else None

    def _one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:  # noqa: ANN401  what SQLite takes
        row: tuple[Any, ...] | None = self._db.execute(statement, values).fetchone()
        return row


def _concerns(rule: Rule, operation: Operation | None, request: Request | None) -> bool:
    """Return whether a rule applies to a call; 'running' applies to checks of what is complete."""
    if rule.fault == "running" and not (request and request.is_completed):
        return False
    return rule.operation in ("any", operation)


def _left(rule: Rule, calls: int) -> Rule | None:
    """Return what so many calls leave of a rule, None when it is used up."""
    skip = max(0, rule.skip - calls)
    taken = max(0, calls - rule.skip)
    times = None if rule.times is None else rule.times - taken
    if times is not None and times <= 0:
        return None
    return rule.model_copy(update={"skip": skip, "times": times})


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _now() -> int:
    return time.time_ns() // 1_000_000
