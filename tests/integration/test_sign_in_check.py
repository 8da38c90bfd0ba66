"""The sign-in check of whole imports: real servers, the pace of hosts, and the outcome of rows."""

import json
import socket
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from email_accounts.errors import ImporterError
from email_accounts.models.account import Account
from email_accounts.models.host_brake import Pace
from email_accounts.models.imports import SignInState
from email_accounts.models.messages import SIGN_INS_CHECKED
from email_accounts.models.policy import Policy, SignInCheck
from email_accounts.models.service import AccountStatus, ListedAccount
from email_accounts.models.steps import NextAction
from email_accounts.models.upload import Upload
from email_accounts.sign_in import gate, wire
from email_accounts.sign_in.checker import SignInChecker
from email_accounts.sign_in.findings import MailboxFindings, Verdict
from email_accounts_cli.main import commands
from email_accounts_cli.sign_in import try_sign_ins
from local.mail_servers import MailServers, Manner
from tests.support.fakes import Killed, World
from tests.support.files import accounts_file, row
from tests.support.mail import FAULTS, RIGHT, TRUSTED, WRONG, account_at, mail_servers
from tools.docs.examples import DOCS

GOOD = Manner("good")
TIME = 900.0


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[MailServers]:
    """Run every server again, so that attempts are counted from 0."""
    with mail_servers(tmp_path, GOOD, *(fault.manner for fault in FAULTS)) as servers:
        yield servers


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Make a world in which nobody waits long for a server."""
    monkeypatch.setattr(wire, "SECONDS", 3.0)
    world = World()
    world.policy = _changed(world, SignInCheck.STRICT, batch_size=100)
    return world


def _changed(world: World, check: SignInCheck, **changed: Any) -> Policy:  # noqa: ANN401  of a policy
    return replace(world.policy, sign_in_check=check, **changed)


def at(
    servers: MailServers, name: str, user: str, password: str = RIGHT, encryption: str = "ssl"
) -> dict[str, str]:
    """Return a row whose mailbox is at a server."""
    server = servers[name]
    both = {
        f"{side}{field}": value
        for side in ("smtp", "imap")
        for field, value in (
            ("Host", server.manner.host),
            ("Port", str(server.ports[side])),
            ("Encryption", encryption),
            ("Password", password),
        )
    }
    return row(f"{user}@reach.example", emailServiceProvider="other", **both)


def checker(world: World, trusted: frozenset[str] = TRUSTED) -> SignInChecker:
    """Make what tries sign-ins; while it waits, the time of the world continues."""
    began = time.monotonic()

    def now() -> float:
        return world.clock() + time.monotonic() - began

    def try_all(accounts: Sequence[Account], until: float) -> Generator[dict[str, MailboxFindings]]:
        return gate.Gate(world.ledger, now, until, trusted).check_all(accounts)

    return replace(world.sign_in_checker(try_all), now=now)


def submitted(world: World, *rows: dict[str, str]) -> Upload:
    """Drop a file; its batches wait for the check."""
    upload = world.uploads.put("uploads/accounts.csv", accounts_file(*rows))
    world.receive(upload, lambda: TIME)
    return upload


def checked_at_once(
    world: World, *files: list[dict[str, str]], trusted: frozenset[str] = TRUSTED
) -> list[Upload]:
    """Drop files, and check all of them at one time."""
    uploads = [submitted(world, *rows) for rows in files]
    threads = [
        threading.Thread(target=checker(world, trusted).check, args=[one.import_id, lambda: TIME])
        for one in uploads
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return uploads


def outcomes(world: World, upload: Upload) -> list[dict[str, str]]:
    """Submit what is left, deliver, and return the rows of the result."""
    import_id = upload.import_id
    result = world.submitter().submit(import_id, lambda: TIME, skip_sign_in=True)
    while result.next is not NextAction.DELIVER:
        world.clock.advance(60)
        result = world.poller().poll(import_id, lambda: TIME)
    assert world.deliverer().deliver(import_id)
    return world.outcome(upload)


@pytest.mark.parametrize("check", [SignInCheck.STRICT, SignInCheck.WARN])
def test_each_fault_in_one_file(world: World, servers: MailServers, check: SignInCheck) -> None:
    """Strict sends no row that is proven not to work; warn gives failed rows their cause."""
    world.policy = _changed(world, check)
    rows = [
        at(servers, one.manner.name, f"{one.manner.name}", one.password, one.encryption)
        for one in FAULTS
    ]
    for one in FAULTS:
        world.saleshandy.failing[f"{one.manner.name}@reach.example"] = "something went wrong"
    upload = submitted(world, *rows, at(servers, "good", "good"))
    assert "connect" not in world.journal.names()
    assert checker(world).check(upload.import_id, lambda: TIME).next is NextAction.SUBMIT
    told = {one["address"].partition("@")[0]: one for one in outcomes(world, upload)}
    sent = {one for request in world.saleshandy.requests.values() for one in request}
    assert told.pop("good")["outcome"] == "connected"
    for fault in FAULTS:
        told_row = told[fault.manner.name]
        is_held = fault.certain and check is SignInCheck.STRICT
        assert told_row["outcome"] == ("rejected" if is_held else "failed"), told_row
        assert (f"{fault.manner.name}@reach.example" in sent) is not is_held
        assert told_row["evidence"] == ("sign-in" if is_held else "report")
        assert "the sign-in check: SMTP: " in told_row["reason"]
        assert servers[fault.manner.name].tried("smtp") <= 1
        assert servers[fault.manner.name].tried("imap") <= 1
        assert not {RIGHT, WRONG} & {*told_row["reason"].split()}
    assert len(told) == len(FAULTS)


def test_a_host_with_many_wrong_rows_is_spared(world: World, servers: MailServers) -> None:
    """Forty wrong passwords, in two imports at once: the host sees four attempts at most."""
    rows = [at(servers, "wrong", f"m{number}", WRONG) for number in range(40)]
    uploads = checked_at_once(world, rows[:20], rows[20:])
    assert 3 <= servers["wrong"].tried("smtp") <= 4
    assert servers["wrong"].tried("imap") == 0
    told = [one for upload in uploads for one in outcomes(world, upload)]
    assert 3 <= [one["outcome"] for one in told].count("rejected") <= 4
    untried = [one for one in told if "sent without a sign-in check" in one["warnings"]]
    assert len(untried) + servers["wrong"].tried("smtp") == 40


@pytest.mark.parametrize(
    ("smtp", "imap"),
    [("smtp.mail.test", "imap.mail.test"), ("m{}.mail.test", "m{}.mail.test")],
    ids=["two names of one host", "many hosts on one machine"],
)
def test_a_machine_is_spared_whatever_names_it_has(
    world: World,
    servers: MailServers,
    monkeypatch: pytest.MonkeyPatch,
    smtp: str,
    imap: str,
) -> None:
    """Both sides count, also where each has its own password, so that one may be right."""
    ports = {465: servers["wrong"].ports["smtp"], 993: servers["wrong"].ports["imap"]}
    connect = socket.create_connection

    def redirect(to: tuple[str, int], **options: Any) -> socket.socket:  # noqa: ANN401  passed on
        assert to[0] == "93.184.216.34"
        return connect(("127.0.0.1", ports[to[1]]), **options)

    monkeypatch.setattr(wire, "resolve", lambda *_: ["93.184.216.35", "93.184.216.34"])
    monkeypatch.setattr(socket, "create_connection", redirect)
    rows = [
        row(
            f"m{number}@reach.example",
            emailServiceProvider="other",
            smtpHost=smtp.format(number),
            imapHost=imap.format(number),
            smtpPassword=WRONG,
            imapPassword=f"{WRONG}-too",
        )
        for number in range(40)
    ]
    checked_at_once(world, rows[:20], rows[20:], trusted=frozenset())
    tried = {side: servers["wrong"].tried(side) for side in ("smtp", "imap")}
    assert 3 <= sum(tried.values()) <= 4
    assert max(servers["wrong"].attempts.values()) == 1


def test_what_was_found_before_a_kill_is_known(
    world: World, servers: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the batch that was tried then: what is proven is held back, the rest is sent untried."""
    monkeypatch.setattr(gate, "_SLICE", 2.0)
    upload = submitted(
        world,
        at(servers, "wrong", "a", WRONG),
        at(servers, "good", "b"),
        at(servers, "silent", "c"),
    )

    writer, written = type(world.reports).writer, list[object]()

    def killed_at_last(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  passed on
        if written:
            raise Killed
        written.append(arguments)
        return writer(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(type(world.reports), "writer", killed_at_last)
        with pytest.raises(Killed):
            checker(world).check(upload.import_id, lambda: TIME)
    assert world.events.of(SIGN_INS_CHECKED) == []
    tried = {name: server.connections for name, server in servers.by_name.items()}
    assert checker(world).check(upload.import_id, lambda: TIME).next is NextAction.SUBMIT
    assert tried == {name: server.connections for name, server in servers.by_name.items()}
    (event,) = world.events.of(SIGN_INS_CHECKED)
    assert json.loads(event.document)["counts"] == {
        "accounts": 3,
        "signed_in": 1,
        "proven": 1,
        "unproven": 0,
        "not_tried": 1,
    }
    told = outcomes(world, upload)
    assert [one["outcome"] for one in told] == ["rejected", "connected", "connected"]
    assert [one["warnings"] for one in told] == [
        "",
        "",
        "sent without a sign-in check: the check was interrupted",
    ]


@pytest.mark.parametrize("when", ["before it is sent", "before it is told"])
def test_findings_that_expired_do_not_end_an_import(
    world: World, servers: MailServers, when: str
) -> None:
    """The reports bucket expires what is old; an import may be resumed after that."""
    upload = submitted(world, at(servers, "wrong", "a", WRONG), at(servers, "good", "b"))
    import_id = upload.import_id
    checker(world).check(import_id, lambda: TIME)
    if when == "before it is told":
        world.submitter().submit(import_id, lambda: TIME)
    del world.reports.texts[import_id, "signin/batch-000001.csv"]
    told = outcomes(world, upload)
    held = when == "before it is told"
    assert [one["outcome"] for one in told] == ["rejected" if held else "connected", "connected"]
    assert [one["evidence"] for one in told] == ["sign-in" if held else "report", "report"]
    assert told[1]["warnings"] == "what the sign-in check found is no longer kept"


def test_the_event_tells_early_what_was_found(world: World, servers: MailServers) -> None:
    """Before anything is sent, once; without it the import continues."""
    rows = [at(servers, "wrong", "a", WRONG), at(servers, "good", "b"), at(servers, "later", "c")]
    upload = submitted(world, *rows)
    checker(world).check(upload.import_id, lambda: TIME)
    assert "connect" not in world.journal.names()
    (event,) = world.events.of(SIGN_INS_CHECKED)
    assert event.kind == "Email Accounts Sign-Ins Checked"
    schema = json.loads((DOCS / "sign-ins.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    document = json.loads(event.document)
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    assert document["importId"] == upload.import_id
    assert (document["check"], document["findings"]) == (
        "strict",
        world.reports.address(upload.import_id, "signin/"),
    )
    assert list(document["counts"].items()) == [
        ("accounts", 3),
        ("signed_in", 1),
        ("proven", 1),
        ("unproven", 1),
        ("not_tried", 0),
    ]


def test_an_event_that_is_not_taken_does_not_end_an_import(
    world: World, servers: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus may refuse it."""
    upload = submitted(world, at(servers, "good", "a"))

    def refuse(*_: object) -> None:
        raise ImporterError("no")

    monkeypatch.setattr(type(world.events), "put", refuse)
    assert checker(world).check(upload.import_id, lambda: TIME).next is NextAction.SUBMIT
    (batch,) = world.ledger.batches(upload.import_id)
    assert batch.sign_in is SignInState.CHECKED


def test_what_is_connected_already_is_not_tried(world: World, servers: MailServers) -> None:
    """The account list comes first."""
    world.policy = _changed(world, SignInCheck.STRICT, skip_connected=True)
    known = ListedAccount("a@reach.example", AccountStatus.ACTIVE, world.clock())
    world.saleshandy.accounts.append(known)
    upload = submitted(world, at(servers, "wrong", "a", WRONG), at(servers, "good", "b"))
    checker(world).check(upload.import_id, lambda: TIME)
    assert servers["wrong"].tried("smtp") == 0
    assert servers["good"].tried("smtp") == 1
    told = outcomes(world, upload)
    assert [one["outcome"] for one in told] == ["already_connected", "connected"]


def test_off_means_off(world: World, servers: MailServers) -> None:
    """Nothing waits for the check, and no mail host gets a byte."""
    world.policy = _changed(world, SignInCheck.OFF)
    upload = submitted(world, at(servers, "wrong", "a", WRONG))
    checker(world).check(upload.import_id, lambda: TIME)
    assert "connect" in world.journal.names()
    assert servers["wrong"].connections == 0
    assert outcomes(world, upload)[0]["warnings"] == ""


def test_what_the_time_does_not_allow_is_sent_and_says_so(
    world: World, servers: MailServers
) -> None:
    """Half an hour after the import began no sign-in is tried any more."""
    upload = submitted(world, at(servers, "wrong", "a", WRONG))
    world.clock.advance(1801)
    assert checker(world).check(upload.import_id, lambda: TIME).next is NextAction.SUBMIT
    assert servers["wrong"].connections == 0
    submit = world.submitter().submit(upload.import_id, lambda: TIME)
    assert submit.next is NextAction.CHECK
    (batch,) = world.ledger.batches(upload.import_id)
    assert batch.sign_in is SignInState.SKIPPED
    assert "sent without a sign-in check" in outcomes(world, upload)[0]["warnings"]


def test_when_the_time_is_over_no_name_is_looked_up(
    servers: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that does not answer would take longer than the function may run."""
    looked_up: list[str] = []
    monkeypatch.setattr(gate, "locate", lambda _side, host, *_: looked_up.append(host))
    account = account_at(servers, "good", "good")
    (found,) = gate.Gate(gate.LocalBrakes(), time.time, time.time()).check_all([account])
    assert [one.smtp.verdict for one in found.values()] == [Verdict.NOT_TRIED]
    assert looked_up == []


def test_a_check_that_has_no_time_left_comes_again(world: World, servers: MailServers) -> None:
    """The state machine runs it again; nothing was tried so far."""
    upload = submitted(world, at(servers, "wrong", "a", WRONG))
    assert checker(world).check(upload.import_id, lambda: 60.0).next is NextAction.SIGN_IN
    assert servers["wrong"].connections == 0


def test_a_batch_of_which_all_is_held_back_is_not_sent(world: World, servers: MailServers) -> None:
    """A request without accounts would be refused."""
    upload = submitted(world, at(servers, "wrong", "a", WRONG))
    checker(world).check(upload.import_id, lambda: TIME)
    assert [one["outcome"] for one in outcomes(world, upload)] == ["rejected"]
    assert "connect" not in world.journal.names()


def test_the_same_settings_are_tried_once_where_all_would_hear_the_same(
    world: World, servers: MailServers
) -> None:
    """A port that speaks in the clear does so for every mailbox."""
    upload = submitted(world, *(at(servers, "clear", f"m{number}") for number in range(20)))
    checker(world).check(upload.import_id, lambda: TIME)
    assert servers["clear"].connections <= 2 * Pace(2, 0.5, 3).at_once
    assert {one["outcome"] for one in outcomes(world, upload)} == {"rejected"}


# From the command line


def test_the_command_line_finds_the_same(
    servers: MailServers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a person and for a program, without a password."""
    file = tmp_path / "accounts.csv"
    rows = [at(servers, "good", "a"), at(servers, "wrong", "b", WRONG), at(servers, "oauth", "c")]
    file.write_bytes(accounts_file(*rows))
    assert not try_sign_ins(str(file), 3, None, as_json=True, trusted_hosts=TRUSTED)
    document = json.loads(capsys.readouterr().out)
    assert document["signIns"] == 3
    assert [(one["row"], one["cause"], one["certain"]) for one in document["findings"]] == [
        (3, "wrong_password", True),
        (4, "no_sign_in", True),
    ]
    assert not try_sign_ins(str(file), 3, None, as_json=False, trusted_hosts=TRUSTED)
    shown = capsys.readouterr().out
    assert "535 5.7.8 Error: authentication failed" in shown
    assert "3 sign-ins, 2 failed" in shown
    assert WRONG not in shown


@pytest.mark.parametrize(("sample", "tried"), [(1, 1), (3, 3), (7, 7), (99, 10)])
def test_a_sample_is_spread_over_the_file(
    servers: MailServers, tmp_path: Path, sample: int, tried: int
) -> None:
    """As many are tried as were asked for, or all."""
    file = tmp_path / "accounts.csv"
    file.write_bytes(accounts_file(*(at(servers, "good", f"m{n}") for n in range(10))))
    assert try_sign_ins(str(file), 10, sample, as_json=True, trusted_hosts=TRUSTED)
    assert servers["good"].tried("smtp") == tried


def test_the_command_signs_in_only_when_it_is_asked_to(tmp_path: Path) -> None:
    """A sample without it is a mistake; a host with no public address is not tried."""
    file = tmp_path / "accounts.csv"
    hosts = {"smtpHost": "a.localhost", "imapHost": "a.localhost", "smtpPort": "25"}
    file.write_bytes(accounts_file(row("a@reach.example", emailServiceProvider="other", **hosts)))
    run = CliRunner().invoke
    assert run(commands, ["check", "--sample", "1", str(file)]).exit_code == 2
    assert "sign-in" not in run(commands, ["check", str(file)]).output
    told = run(commands, ["check", "--sign-in", str(file)])
    assert "not tried: port 25 is not a usual port of mail programs" in told.output
