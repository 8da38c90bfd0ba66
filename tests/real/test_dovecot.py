"""Real Dovecot answers a sign-in as the mail servers of the tests do. Run by `make mail`.

Its packages are downloaded and unpacked below `.local`, and it runs as the user who runs the tests.
Postfix does not: it insists on root, on users of its own and on folders of the system.
"""

import getpass
import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from email_accounts.models.account import Server
from email_accounts.models.causes import cause_of
from email_accounts.sign_in.dialogue import sign_in
from email_accounts.sign_in.findings import Finding, Verdict
from email_accounts.text.secret import Secret
from local.mail_servers import DOMAIN, MailServers, Manner
from tests.support.mail import TRUSTED, mail_servers
from tests.support.service import closed_port

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
PACKAGES = ("dovecot-core", "dovecot-imapd", "dovecot-submissiond")
_MODULES = b"/usr/lib/dovecot/modules"
RIGHT = "right-pässword"
USERS = f"""
good:{{PLAIN}}{RIGHT}::::::
locked:{{PLAIN}}{RIGHT}::::::nologin=y reason=Account-disabled
"""
CONFIGURATION = """
base_dir = {run}
state_dir = {run}/state
log_path = {folder}/log
import_environment = TZ LD_LIBRARY_PATH
libexec_dir = {unpacked}/usr/lib/dovecot
mail_plugin_dir = {unpacked}/usr/lib/dovecot/modules
protocols = imap submission
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%u
ssl = required
ssl_cert = <{certificate}
ssl_key = <{certificate}
auth_mechanisms = plain login
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
hostname = {name}
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap_tls}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imap_ssl}
    ssl = yes
  }}
}}
service submission-login {{
  chroot =
  inet_listener submission {{
    address = 127.0.0.1
    port = {smtp_tls}
  }}
  inet_listener submissions {{
    address = 127.0.0.1
    port = {smtp_ssl}
    ssl = yes
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A running one: its ports by side and encryption."""

    ports: dict[str, int]

    def tried(self, side: str, encryption: str, user: str, password: str) -> Finding:
        """Try to sign in."""
        port = self.ports[f"{side}_{encryption}"]
        server = Server(user, user, Secret(password), f"dovecot.{DOMAIN}", port, encryption)
        return sign_in(side, server, [server.password], TRUSTED)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServers]:
    """Run what Dovecot relays to, which has the certificates as well."""
    with mail_servers(tmp_path_factory.mktemp("mail"), Manner("relay", implicit=False)) as servers:
        yield servers


@pytest.fixture
def dovecot(servers: MailServers, tmp_path: Path) -> Iterator[Dovecot]:
    """Run Dovecot again: it remembers who was refused."""
    unpacked = _unpacked(ROOT / ".local/dovecot")
    ports = {f"{side}_{one}": closed_port() for side in ("smtp", "imap") for one in ("ssl", "tls")}
    user = getpass.getuser()
    if os.getuid() == 0:
        user = "nobody"
        shutil.chown(tmp_path, user)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    known = pwd.getpwnam(user)
    group = grp.getgrgid(known.pw_gid).gr_name
    (tmp_path / "users").write_text(USERS, "utf-8")
    configuration = CONFIGURATION.format(
        run=tmp_path / "run",
        folder=tmp_path,
        unpacked=unpacked,
        user=user,
        group=group,
        uid=known.pw_uid,
        gid=known.pw_gid,
        certificate=servers.ca_file.with_name("good.pem"),
        relay=servers["relay"].ports["smtp"],
        name=f"dovecot.{DOMAIN}",
        **ports,
    )
    file = tmp_path / "dovecot.conf"
    file.write_text(configuration, "utf-8")
    library = f"{unpacked}/usr/lib/dovecot:{unpacked}/usr/lib/dovecot/modules/old-stats"
    short = Path(tempfile.mkdtemp(prefix="d", dir="/tmp"))
    short.chmod(0o755)
    _find_modules(unpacked, short / "m")
    said = tmp_path / "said"
    # As dovecot itself would begin, which looks for doveconf in the system.
    configured = ("-c", str(file))
    command = [
        *(f"{unpacked}/usr/bin/doveconf", "-f", "service=master", *configured, "-m", "master"),
        *("-e", f"{unpacked}/usr/sbin/dovecot", "-F", *configured),
    ]
    with (
        said.open("wb") as output,
        subprocess.Popen(
            command,
            env=os.environ | {"LD_LIBRARY_PATH": library},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            if not all(map(_listens, ports.values())):
                last = (said.read_text() + _log(tmp_path))[-500:]
                pytest.skip(f"Dovecot does not run here: {last}")
            yield Dovecot(ports)
        finally:
            process.terminate()
            shutil.rmtree(short)


def _unpacked(folder: Path) -> Path:
    """Download and unpack the packages once; skip where that is not possible."""
    get, unpack = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if not get or not unpack:
        pytest.skip("there is no apt-get or dpkg-deb here, which get Dovecot's packages")
    if not (folder / "usr/sbin/dovecot").exists():
        folder.mkdir(parents=True, exist_ok=True)
        got = subprocess.run(
            [get, "download", *PACKAGES], cwd=folder, capture_output=True, check=False
        )
        if got.returncode:
            pytest.skip(f"Dovecot's packages cannot be downloaded: {got.stderr.decode()[-300:]}")
        for package in folder.glob("*.deb"):
            subprocess.run([unpack, "-x", package, folder], check=True)
    return folder


def _find_modules(unpacked: Path, link: Path) -> None:
    """Have Dovecot look for its module of TLS at a short path instead of in the system."""
    library = unpacked / "usr/lib/dovecot/libdovecot.so.0.0.0"
    original = library.with_suffix(".original")
    if not original.exists():
        shutil.copy(library, original)
    link.symlink_to(unpacked / "usr/lib/dovecot/modules")
    path = f"{link}".encode().ljust(len(_MODULES), b"\0")
    if len(path) > len(_MODULES):
        pytest.skip(f"{link} is longer than the path that it replaces")
    library.write_bytes(original.read_bytes().replace(_MODULES + b"\0", path + b"\0"))


def _listens(port: int) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


def _log(folder: Path) -> str:
    log = folder / "log"
    return log.read_text("utf-8") if log.exists() else ""


@pytest.mark.parametrize("encryption", ["ssl", "tls"])
@pytest.mark.parametrize("side", ["smtp", "imap"])
def test_the_verdicts_are_those_of_the_other_servers(
    dovecot: Dovecot, side: str, encryption: str
) -> None:
    """A right password, a wrong one after it, and a locked mailbox."""
    assert dovecot.tried(side, encryption, "good", RIGHT) == Finding(side, Verdict.SIGNED_IN, "")
    for user, password, code in (
        ("good", "wrong-password", "wrong_password"),
        ("locked", RIGHT, "mailbox_locked"),
    ):
        found = dovecot.tried(side, encryption, user, password)
        cause = cause_of(found.said, ())
        assert (found.verdict, cause.code) == (Verdict.REFUSED, code), found.said
        assert cause.certain


def test_a_right_password_waits_for_the_penalty_and_signs_in(dovecot: Dovecot) -> None:
    """Dovecot delays every sign-in from an address that was refused."""
    for number in range(3):
        dovecot.tried("imap", "ssl", "good", f"wrong-{number}")
    began = time.monotonic()
    assert dovecot.tried("imap", "ssl", "good", RIGHT).verdict is Verdict.SIGNED_IN
    assert time.monotonic() - began > 4
