"""Real Dovecot and Postfix answer a sign-in as the tests' servers do. Run by `make mail`.

Their packages are downloaded and unpacked below `.local`. Dovecot runs as the user of the tests;
Postfix insists on root, and runs from a queue and a configuration of its own, with Dovecot's
passwords.
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
from email_accounts.sign_in.findings import Finding, Verdict
from email_accounts.text.secret import Secret
from local.mail_servers import DOMAIN, MailServers, Manner
from tests.support.mail import mail_servers, try_once
from tests.support.service import closed_port

pytestmark = pytest.mark.long

UNPACKED = Path(__file__).parents[2] / ".local/mail"
PACKAGES = ("dovecot-core", "dovecot-imapd", "dovecot-submissiond", "postfix")
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
service auth {{
  unix_listener {auth} {{
    mode = 0666
  }}
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


MAIN = """
compatibility_level = 3.7
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {unpacked}/usr/lib/postfix/sbin
command_directory = {unpacked}/usr/sbin
shlib_directory = {unpacked}/usr/lib/postfix
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
mail_owner = daemon
setgid_group = mail
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.{domain}
alias_maps =
alias_database =
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {certificate}
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth}
"""
MASTER = """
127.0.0.1:{postfix_tls} inet n - n - - smtpd
127.0.0.1:{postfix_ssl} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Running:
    """Real servers: their ports by server or side and encryption, and Dovecot's passwords."""

    ports: dict[str, int]
    auth: Path

    def tried(self, side: str, encryption: str, user: str, password: str) -> Finding:
        """Try to sign in."""
        port = self.ports[f"{side}_{encryption}"]
        server = Server(user, user, Secret(password), f"real.{DOMAIN}", port, encryption)
        return try_once("imap" if side == "imap" else "smtp", server)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServers]:
    """Run what Dovecot relays to, which has the certificates as well."""
    with mail_servers(tmp_path_factory.mktemp("mail"), Manner("relay", implicit=False)) as servers:
        yield servers


@pytest.fixture
def dovecot(servers: MailServers) -> Iterator[Running]:
    """Run Dovecot again: it remembers who was refused."""
    unpacked = _unpacked(UNPACKED)
    # Not where pytest keeps files: its folders are for their owner alone.
    folder = Path(tempfile.mkdtemp(prefix="d", dir="/tmp"))
    folder.chmod(0o755)
    ports = {f"{side}_{one}": closed_port() for side in ("smtp", "imap") for one in ("ssl", "tls")}
    user = getpass.getuser()
    if os.getuid() == 0:
        user = "nobody"
        shutil.chown(folder, user)
    known = pwd.getpwnam(user)
    group = grp.getgrgid(known.pw_gid).gr_name
    (folder / "users").write_text(USERS, "utf-8")
    configuration = CONFIGURATION.format(
        run=folder / "run",
        folder=folder,
        unpacked=unpacked,
        user=user,
        group=group,
        uid=known.pw_uid,
        gid=known.pw_gid,
        certificate=servers.ca_file.with_name("good.pem"),
        relay=servers["relay"].ports["smtp"],
        auth=folder / "auth",
        name=f"dovecot.{DOMAIN}",
        **ports,
    )
    file = folder / "dovecot.conf"
    file.write_text(configuration, "utf-8")
    library = f"{unpacked}/usr/lib/dovecot:{unpacked}/usr/lib/dovecot/modules/old-stats"
    _find_modules(unpacked, folder / "m")
    said = folder / "said"
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
                last = (said.read_text() + _log(folder))[-500:]
                pytest.skip(f"Dovecot does not run here: {last}")
            yield Running(ports, folder / "auth")
        finally:
            process.terminate()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postfix(dovecot: Running, servers: MailServers) -> Iterator[Running]:
    """Run Postfix beside Dovecot."""
    if os.getuid() != 0:
        pytest.skip("Postfix runs as root alone")
    folder = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
    folder.chmod(0o755)
    ports = {f"postfix_{one}": closed_port() for one in ("ssl", "tls")}
    for name in ("queue", "queue/pid", "queue/public", "queue/private", "data", "conf"):
        (folder / name).mkdir()
    for name in ("queue/public", "queue/private", "data"):
        shutil.chown(folder / name, "daemon")
    configuration = MAIN.format(
        folder=folder,
        unpacked=UNPACKED,
        domain=DOMAIN,
        certificate=servers.ca_file.with_name("good.pem"),
        auth=dovecot.auth,
    )
    (folder / "conf/main.cf").write_text(configuration, "utf-8")
    (folder / "conf/master.cf").write_text(MASTER.format(**ports), "utf-8")
    command = [f"{UNPACKED}/usr/lib/postfix/sbin/master", "-c", f"{folder}/conf", "-d"]
    environment = os.environ | {"LD_LIBRARY_PATH": str(UNPACKED / "usr/lib/postfix")}
    said = folder / "said"
    with (
        said.open("wb") as output,
        subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            if not all(map(_listens, ports.values())):
                last = (said.read_text() + _log(folder))[-500:]
                pytest.skip(f"Postfix does not run here: {last}")
            yield Running(dovecot.ports | ports, dovecot.auth)
        finally:
            process.terminate()
    shutil.rmtree(folder, ignore_errors=True)


def _unpacked(folder: Path) -> Path:
    """Download and unpack the packages once; skip where that is not possible."""
    get, unpack = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if not get or not unpack:
        pytest.skip("there is no apt-get or dpkg-deb here, which get the packages")
    if not (folder / "usr/sbin/dovecot").exists():
        folder.mkdir(parents=True, exist_ok=True)
        got = subprocess.run(
            [get, "download", *PACKAGES], cwd=folder, capture_output=True, check=False
        )
        if got.returncode:
            pytest.skip(f"The packages cannot be downloaded: {got.stderr.decode()[-300:]}")
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
    dovecot: Running, side: str, encryption: str
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


def test_a_right_password_waits_for_the_penalty_and_signs_in(dovecot: Running) -> None:
    """Dovecot delays every sign-in from an address that was refused."""
    for number in range(3):
        dovecot.tried("imap", "ssl", "good", f"wrong-{number}")
    began = time.monotonic()
    assert dovecot.tried("imap", "ssl", "good", RIGHT).verdict is Verdict.SIGNED_IN
    assert time.monotonic() - began > 4


@pytest.mark.parametrize("encryption", ["ssl", "tls"])
def test_the_verdicts_of_postfix_are_the_same(postfix: Running, encryption: str) -> None:
    """A right password, and a wrong one after it."""
    signed_in = Finding("smtp", Verdict.SIGNED_IN, "")
    assert postfix.tried("postfix", encryption, "good", RIGHT) == signed_in
    found = postfix.tried("postfix", encryption, "good", "wrong-password")
    cause = cause_of(found.said, ())
    assert (found.verdict, cause.code) == (Verdict.REFUSED, "wrong_password"), found.said
    assert cause.certain
