"""The sign-in check on the local cloud: mail servers that misbehave, and what the result says."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Literal

import pytest

from email_accounts.sign_in.findings import Verdict
from local.echoes import ECHOES
from local.faults import Rule
from local.mail_servers import DOMAIN, MailServers, Manner
from tests.support.cloud import QUICK, LocalCloud, listening, wait_until
from tests.support.faults import crash_at, kill_workers, timeout
from tests.support.files import PASSWORD, accounts_file, row
from tests.support.leaks import searched
from tests.support.mail import FAULTS, Fault, mail_servers

pytestmark = pytest.mark.e2e

GOOD = Manner("good")
KINDS = (
    "wrong",
    "starttls",
    "app-password",
    "imap-off",
    "locked",
    "oauth",
    "clear",
    "later",
    "expired",
    "hangs-up",
)
ECHOING = [
    Manner(
        f"echo-{number}", smtp=f"535 5.7.8 {{{way}}}", imap=f"NO [AUTHENTICATIONFAILED] {{{way}}}"
    )
    for number, way in enumerate(ECHOES)
]
_REPEATS = "{as it is} {base64} {SASL PLAIN}"
ECHO = Fault(
    Manner("echo", smtp=f"535 5.7.8 {_REPEATS}", imap=f"NO [AUTHENTICATIONFAILED] {_REPEATS}"),
    Verdict.REFUSED,
    "wrong_password",
    password=PASSWORD,
    certain=True,
)
"""What it repeats is hunted for at the end."""
CHOSEN = [*(fault for fault in FAULTS if fault.manner.name in KINDS), ECHO]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServers]:
    """Run the mail servers in this process."""
    folder = tmp_path_factory.mktemp("mail")
    with mail_servers(folder, GOOD, *(one.manner for one in CHOSEN), *ECHOING) as servers:
        yield servers


@pytest.fixture(scope="module")
def cloud(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Run a cloud whose functions trust these servers."""
    cloud = LocalCloud(tmp_path_factory.mktemp("cloud") / "state")
    chosen = ("--parameter", "SignInCheck=strict", "--parameter", f"TrustedMailHosts={DOMAIN}")
    try:
        cloud.up(*QUICK, *chosen, SSL_CERT_FILE=str(servers.ca_file))
        cloud.behave()
        yield cloud
        searched(cloud)
    finally:
        cloud.command("down")


def rows(
    servers: MailServers, fault: Fault | None, count: int, host: str = "{}.mail.test"
) -> Iterator[dict[str, str]]:
    """Yield so many rows of mailboxes at a server with this fault, or without one.

    The server has any name below `mail.test`, so also one whose brake knows nothing yet.
    """
    name = fault.manner.name if fault else "good"
    server = servers[name]
    for number in range(count):
        yield row(
            f"{name}{number}@reach.example",
            emailServiceProvider="other",
            **{
                f"{side}{field}": value
                for side in ("smtp", "imap")
                for field, value in (
                    ("Host", host.format(name, number % 8)),
                    ("Port", str(server.ports[side])),
                    ("Encryption", fault.encryption if fault else "ssl"),
                    ("Password", fault.password if fault else GOOD.right),
                )
            },
        )


@pytest.mark.parametrize("check", ["strict", "warn"])
def test_a_file_with_ten_kinds_of_fault_and_an_echo(
    cloud: LocalCloud, servers: MailServers, check: str
) -> None:
    """Strict rejects what is proven, in the server's words; warn sends all of it."""
    before = Counter({name: one.tried("smtp") for name, one in servers.by_name.items()})
    content = accounts_file(
        *(one for fault in CHOSEN for one in rows(servers, fault, 2, f"{check}-{{}}.{DOMAIN}")),
        *rows(servers, None, 78, f"{check}-{{}}{{}}.{DOMAIN}"),
    )
    with (
        listening(cloud, {"detail-type": ["Email Accounts Sign-Ins Checked"]}) as events,
        cloud.environment_of("check_sign_in", SIGN_IN_CHECK=check),
        cloud.environment_of("submit_accounts", SIGN_IN_CHECK=check),
    ):
        began = time.monotonic()
        identity = cloud.upload(f"uploads/{check}.csv", content)
        wait_until(lambda: bool(events()))
        assert time.monotonic() - began < 60
        event, *_ = events()
        cloud.wait_for_end(identity)
    counts = event["detail"]["counts"]
    told = cloud.outcomes(identity)
    assert len(told) == 100
    proven = {fault.manner.name for fault in CHOSEN if fault.certain}
    for one in told:
        name = one["address"].partition("@")[0].rstrip("0123456789")
        is_held = name in proven and check == "strict"
        if is_held:
            assert one["outcome"] == "rejected", one
            assert one["evidence"] == "sign-in"
            assert one["what to do"]
        else:
            assert one["outcome"] in ("connected", "failed"), one
    held = sum(one["outcome"] == "rejected" for one in told)
    assert (event["detail"]["importId"], counts["accounts"]) == (identity, 100)
    assert (counts["signed_in"], counts["proven"]) == (78, 2 * len(proven))
    assert held == (2 * len(proven) if check == "strict" else 0)
    tried = {name: one.tried("smtp") - before[name] for name, one in servers.by_name.items()}
    assert all(count <= 4 for name, count in tried.items() if name != "good")
    assert tried["good"] == 78


def test_each_way_of_writing_a_password(cloud: LocalCloud, servers: MailServers) -> None:
    """Each server repeats what it was sent in another way, and it is nowhere afterwards."""
    faults = [Fault(one, Verdict.REFUSED, "", password=PASSWORD) for one in ECHOING]
    content = accounts_file(*(one for fault in faults for one in rows(servers, fault, 1)))
    identity = cloud.upload("uploads/ways.csv", content)
    cloud.wait_for_end(identity)
    assert all(servers[one.name].tried("smtp") == 1 for one in ECHOING)
    for one in cloud.outcomes(identity):
        assert (one["outcome"], one["evidence"]) == ("rejected", "sign-in")
        assert "***" in one["reason"]


@pytest.mark.parametrize(
    ("point", "how"),
    [
        ("ledger.get", "raise"),
        ("ledger.enter_host", "kill"),
        ("ledger.leave_host", "kill"),
        ("reports.writer", "kill"),
        ("ledger.enter_host", "hang"),
    ],
)
def test_a_check_that_fails_stops_no_import(
    cloud: LocalCloud, servers: MailServers, point: str, how: Literal["raise", "kill", "hang"]
) -> None:
    """Before, during or after the attempts, each time: all is sent, nothing is tried twice."""
    server = servers["good"]
    server.attempts.clear()
    rule = Rule("check_sign_in", point, "before", how, times=20)
    # Longer than a batch needs at least; what hangs is ended by it.
    with timeout(cloud, "check_sign_in", 302), crash_at(cloud, rule) as laid:
        identity = cloud.upload(f"uploads/{how}.csv", accounts_file(*rows(servers, None, 5)))
        if how == "hang":
            wait_until(lambda: laid.fired() > 0)
            kill_workers(cloud, "check_sign_in")
        cloud.wait_for_end(identity)
    assert {one["outcome"] for one in cloud.outcomes(identity)} == {"connected"}
    assert all(
        "sent without a sign-in check" in one["warnings"] for one in cloud.outcomes(identity)
    )
    assert set(server.attempts.values()) <= {1}
