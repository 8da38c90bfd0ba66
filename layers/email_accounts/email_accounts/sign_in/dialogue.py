"""Signs in to one side of a mailbox and out again. Nothing is sent or read.

One attempt with one mechanism, under TLS only. `login` of smtplib and imaplib is not used: it tries
one mechanism after the other, so that a wrong password counts twice at the server, and breaks on
passwords that are not ASCII.
"""

import imaplib
import re
import smtplib
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, cast

from email_accounts.models.account import Server
from email_accounts.models.causes import BLOCKED_HERE, SIGN_IN_HELD, TOO_MANY, cause_of
from email_accounts.sign_in.findings import Finding, Verdict
from email_accounts.sign_in.wire import EndedError, Wire, ended
from email_accounts.text.display import one_line
from email_accounts.text.secret import HIDDEN, Redactor, Secret

if TYPE_CHECKING:
    import ssl

_LONGEST_SAID = 500
_LATER = (BLOCKED_HERE, SIGN_IN_HELD, TOO_MANY)
_OWN_NAME = "[127.0.0.1]"
_NO_STARTTLS = "the server offers no STARTTLS at this port"
_READY, _GREETED, _SIGNED_IN, _CHALLENGE, _PERMANENT = 220, 250, 235, 334, range(500, 600)
_PERSONAL_LINK = re.compile(
    r"(?<=\[WEBALERT) [^\]]*|https?://accounts\.google\.com/\S*", re.IGNORECASE
)
_CODES = re.compile(r"(?:[2-5]\d\d|NO|BAD|BYE)(?:[ -][245]\.\d{1,3}\.\d{1,3}| \[[A-Z]{3,30}\])?")


def sign_in(side: str, server: Server, address: str, secrets: Iterable[Secret]) -> Finding:
    """Try once to sign in to a server at an address; `secrets` are kept out of what is returned."""
    dialogue = _smtp if side == "smtp" else _imap

    def carried_out() -> tuple[Verdict, str]:
        with closing(Wire(server.host, server.port, address)) as wire:
            if server.encryption == "ssl":
                wire.start_tls()
            else:
                wire.expect_greeting()
            return dialogue(wire, server)

    verdict, said = ended(carried_out)
    said = _cleaned(said, Redactor(secrets))
    if verdict in (Verdict.REFUSED, Verdict.MISMATCH) and cause_of(said, ()) in _LATER:
        verdict = Verdict.LATER
    return Finding(side, verdict, said)


def _cleaned(said: str, redactor: Redactor) -> str:
    """Remove passwords and personal links; where nothing else is left, keep the codes."""
    said = _PERSONAL_LINK.sub("", said)
    if redactor.finds_in(said):
        codes = _CODES.match(said)
        kept = codes[0] if codes and not redactor.finds_in(codes[0]) else ""
        return f"{kept} {HIDDEN}".strip()
    return one_line(" ".join(said.split()), _LONGEST_SAID)


def _smtp(wire: Wire, server: Server) -> tuple[Verdict, str]:
    smtp = smtplib.SMTP(local_hostname=_OWN_NAME)
    smtp.sock = wire  # type: ignore[assignment]  # it has what is used of one
    code, text = smtp.getreply()
    if code != _READY:
        verdict = Verdict.LATER if code in range(400, 600) else Verdict.MISMATCH
        raise EndedError(verdict, _words(code, text))
    _wanted(_GREETED, *smtp.ehlo())
    if server.encryption != "ssl":
        if not smtp.has_extn("starttls"):
            raise EndedError(Verdict.MISMATCH, _NO_STARTTLS)
        try:
            smtp.starttls(context=cast("ssl.SSLContext", wire))
        except smtplib.SMTPResponseException as error:
            raise EndedError(Verdict.LATER, _words(error.smtp_code, error.smtp_error)) from None
        _wanted(_GREETED, *smtp.ehlo())
    offered = smtp.esmtp_features.get("auth", "").upper().split()
    user, password = server.user_name.encode(), server.password.reveal().encode()
    if "PLAIN" in offered:
        answers = ["AUTH PLAIN " + _base64(b"\0" + user + b"\0" + password)]
    elif "LOGIN" in offered:
        answers = ["AUTH LOGIN", _base64(user), _base64(password)]
    else:
        raise EndedError(Verdict.NO_PASSWORDS, _offers(offered))
    code, text = smtp.docmd(answers.pop(0))
    while code == _CHALLENGE:
        more = bool(answers)
        code, text = smtp.docmd(answers.pop(0) if more else "*")
        if not more:
            break
    if code == _SIGNED_IN:
        wire.sendall(b"QUIT\r\n")
        return Verdict.SIGNED_IN, ""
    return Verdict.REFUSED if code in _PERMANENT else Verdict.LATER, _words(code, text)


def _wanted(wanted: int, code: int, text: bytes) -> None:
    if code != wanted:
        raise EndedError(Verdict.LATER, _words(code, text))


def _words(code: int, text: bytes | str) -> str:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {said}"


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _offers(offered: Iterable[str]) -> str:
    return f"it takes {', '.join(sorted(offered)) or 'no sign-in with a password'}"


class _Imap(imaplib.IMAP4):
    """IMAP over a connection that is open already."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        super().__init__()

    def open(self, *_: object, **__: object) -> None:
        self.host = ""
        self.sock = self._wire  # type: ignore[assignment]  # it has what is used of one

    def read(self, size: int) -> bytes:
        return self._wire.read(size)

    def readline(self) -> bytes:
        return self._wire.readline()

    def shutdown(self) -> None:
        self._wire.close()


def _imap(wire: Wire, server: Server) -> tuple[Verdict, str]:
    try:
        imap = _Imap(wire)
    except imaplib.IMAP4.error as error:
        said = _text(error).removeprefix("* ")
        refused = said.startswith(("BYE", "NO", "BAD"))
        raise EndedError(Verdict.LATER if refused else Verdict.MISMATCH, said) from None
    try:
        if server.encryption != "ssl":
            if "STARTTLS" not in imap.capabilities:
                raise EndedError(Verdict.MISMATCH, _NO_STARTTLS)
            imap.starttls(cast("ssl.SSLContext", wire))
        if imap.state != "NONAUTH":
            raise EndedError(Verdict.MISMATCH, "the server offers no sign-in at this port")
        _attempt(imap, server)
    except imaplib.IMAP4.abort as error:
        if "BYE" in imap.untagged_responses:
            raise EndedError(Verdict.LATER, _alerts(imap, f"BYE {_text(error)}")) from None
        raise EndedError(Verdict.NO_ANSWER, _text(error)) from None
    except imaplib.IMAP4.error as error:
        return Verdict.REFUSED, _alerts(imap, f"NO {_text(error)}")
    wire.sendall(b"out LOGOUT\r\n")
    return Verdict.SIGNED_IN, ""


def _attempt(imap: _Imap, server: Server) -> None:
    """Sign in; IMAP4.error with the server's words where it refuses."""
    offered = imap.capabilities
    user, password = server.user_name.encode(), server.password.reveal().encode()
    if "AUTH=PLAIN" in offered:
        imap.authenticate("PLAIN", _answering(b"\0" + user + b"\0" + password))
    elif "AUTH=LOGIN" in offered:
        imap.authenticate("LOGIN", _answering(user, password))
    elif "LOGINDISABLED" in offered or {"AUTH=XOAUTH2", "AUTH=OAUTHBEARER"} & {*offered}:
        raise EndedError(
            Verdict.NO_PASSWORDS,
            _offers(one.removeprefix("AUTH=") for one in offered if one.startswith("AUTH=")),
        )
    else:
        # Not by `login`, which takes ASCII alone.
        credentials = cast("list[str]", [_quoted(user), _quoted(password)])  # bytes are sent as is
        status, text = imap.xatom("LOGIN", *credentials)
        if status != "OK":
            raise imap.error(text[-1])


def _answering(*answers: bytes) -> Callable[[bytes], bytes | None]:
    """Answer each challenge once; break off where the server asks for more."""
    left = list(answers)
    return lambda _: left.pop(0) if left else None


def _quoted(data: bytes) -> bytes:
    return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _text(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _alerts(imap: _Imap, said: str) -> str:
    """Return what the server said, with what it said before for people to read."""
    before = imap.untagged_responses.get("NO", []) + imap.untagged_responses.get("BAD", [])
    texts = [one.decode("utf-8", "replace") for one in before if isinstance(one, bytes)]
    return " ".join([said, *texts])
