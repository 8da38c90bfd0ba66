"""Why a row was not connected: the reason as quoted, the cause and the fix.

One table for reports, page, mail and JSON. Its patterns match texts that mail servers and their
clients are known to send.
"""

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from email_accounts.models.account import Problem
from email_accounts.models.imports import ReasonCode
from email_accounts.models.providers import families, family_of, is_mismatched


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for failure: its stable code, a title, an explanation and the fix.

    `certain` means that a server's words prove it about the mailbox. Otherwise they may be about
    the client that signed in: the place, the address or the rate.
    """

    code: str
    title: str
    explanation: str
    fix: str
    certain: bool = False


def _sign_in(family: str) -> Cause:
    """Return the cause that a refused sign-in has at the providers of a family."""
    sign_in = next(one.sign_in for one in families() if one.name == family)
    assert sign_in, family  # noqa: S101  the table has it, or nothing here can be imported
    return Cause(sign_in.code, sign_in.title, sign_in.explanation, sign_in.fix, certain=True)


GOOGLE_APP_PASSWORD = _sign_in("google")
YAHOO_APP_PASSWORD = _sign_in("yahoo")
ZOHO_APP_PASSWORD = _sign_in("zoho")
YANDEX_APP_PASSWORD = _sign_in("yandex")
APP_PASSWORD = Cause(
    "app_password",
    "An app password is required",
    "With two-step verification on, programs cannot sign in with the mailbox's own password.",
    "Create an app password in the security settings of the mailbox and put it into the password "
    "column.",
    certain=True,
)
MICROSOFT_SIGN_IN = _sign_in("microsoft")
MICROSOFT_SMTP_OFF = Cause(
    "microsoft_smtp_off",
    "SMTP sign-in is disabled at Microsoft",
    "An administrator of the organization, or Microsoft, switched off SMTP sign-in with passwords. "
    "IMAP does not accept passwords either.",
    "Connect each mailbox in Saleshandy with the Microsoft button. For SMTP alone, an "
    "administrator can allow Authenticated SMTP for the mailbox.",
    certain=True,
)
MICROSOFT_POLICY = Cause(
    "microsoft_policy",
    "A Microsoft policy blocks the sign-in",
    "Security defaults or Conditional Access of the organization forbid it. Such a rule may depend "
    "on the place of the program that signs in.",
    "Ask the administrator of the organization, or connect each mailbox in Saleshandy with the "
    "Microsoft button.",
)
PLAN_OF_PROVIDER = Cause(
    "plan_of_provider",
    "The provider's quota is used up",
    "The plan of this account at the mail provider allows no more mail for now.",
    "Wait until the quota is renewed, or upgrade the plan at the provider.",
)
NO_SIGN_IN = Cause(
    "no_sign_in",
    "The server accepts no passwords at this port",
    "It offers no sign-in with a password: it requires OAuth, or the port is for other servers.",
    "Use port 587 or 465 for SMTP and 993 for IMAP. If the provider requires OAuth, connect each "
    "mailbox in Saleshandy.",
    certain=True,
)
BLOCKED_HERE = Cause(
    "blocked_here",
    "The mail server blocks our address",
    "It refuses connections from this network, for example because of a block list.",
    "The row may be correct. Connect one mailbox in Saleshandy to find out.",
)
SENDGRID_KEY = _sign_in("sendgrid")
WRONG_PASSWORD = Cause(
    "wrong_password",
    "Wrong user name or password",
    "The mail server was reached and refused the sign-in.",
    "Sign in at the provider's webmail with this user name and password. If that works, ask the "
    "provider whether programs need an app password or another user name.",
    certain=True,
)
SIGN_IN_HELD = Cause(
    "sign_in_held",
    "Sign-in blocked: verification required",
    "The provider found a sign-in from a new place suspicious and blocked it.",
    "Sign in to the mailbox in a browser, confirm that it was you, and try again a day later.",
)
IMAP_OFF = Cause(
    "imap_off",
    "IMAP access is disabled",
    "The mailbox, or the organization it belongs to, does not let programs read it.",
    "Enable IMAP in the settings of the mailbox. In an organization, ask the administrator.",
    certain=True,
)
LOCKED = Cause(
    "mailbox_locked",
    "The mailbox is locked",
    "The provider has suspended or disabled it.",
    "Sign in at the provider's webmail and follow its instructions.",
    certain=True,
)
TOO_MANY = Cause(
    "too_many_attempts",
    "Too many sign-in attempts",
    "The mail server refuses sign-ins for a while. The row may be correct.",
    "Wait a few hours, then try again.",
)
HOST_NOT_FOUND = Cause(
    "host_not_found",
    "Mail server not found",
    "The host name does not exist: it is misspelled, or the domain has expired.",
    "Look up the host names in the provider's help and correct them.",
    certain=True,
)
TLS_AND_PORT = Cause(
    "encryption_and_port",
    "Encryption and port do not match",
    "The server expects another kind of encryption at this port. Often it then does not answer.",
    "Use ssl with the ports 465 and 993, and tls with 587, 143, 25 and 2525.",
    certain=True,
)
CERTIFICATE = Cause(
    "certificate",
    "The mail server's certificate is not valid",
    "It has expired, is self-signed, or belongs to another host name.",
    "Use the host name in the certificate, usually the provider's own, or have the certificate "
    "renewed.",
)
UNREACHABLE = Cause(
    "no_answer",
    "The mail server does not answer",
    "The host or the port is wrong, or the server refuses connections from outside.",
    "Compare host and port with the provider's help.",
)
PLAN_LIMIT = Cause(
    "plan_limit",
    "The limit of the Saleshandy plan is reached",
    "The plan allows no more mailboxes.",
    "Remove unused mailboxes in Saleshandy, or upgrade your plan. Then upload every row with this "
    "cause again.",
)
REQUEST_REFUSED = Cause(
    "request_refused",
    "Saleshandy refused the whole request",
    "It connected none of the accounts in the request, often because of one value in one row.",
    "Fix the value that the reason names, then upload every row with this cause again.",
)
NOT_SENT = Cause(
    "not_sent",
    "Not sent: the import ended early",
    "The row never reached Saleshandy.",
    "Resume the import: it sends the rest. If its file was deleted, upload the rest again.",
)
UNCONFIRMED = Cause(
    "unconfirmed",
    "Status unknown",
    "The row was sent, but neither a report nor the account list shows its result.",
    "Resume the import to check again. Or look up each address in Saleshandy, and upload it again "
    "only if it is missing there.",
)
NOT_WORKING = Cause(
    "not_working",
    "Saved in Saleshandy, but not connected",
    "The account list shows the account as inactive, and no report gives a reason.",
    "Reconnect one mailbox by hand in Saleshandy, and fix the problem that it shows.",
)
SUSPENDED = Cause(
    "suspended",
    "Suspended in Saleshandy",
    "The account list shows the account as suspended.",
    "Open the account in Saleshandy, find out why it is suspended, and reactivate it there.",
)
OTHER_WORKSPACE = Cause(
    "other_workspace",
    "Connected in another Saleshandy account",
    "Saleshandy reports that the address exists, but this account's list does not show it.",
    "Disconnect it in the other Saleshandy account, or use it there.",
)
ROW_UNREADABLE = Cause(
    "row_unreadable",
    "The row cannot be read",
    "Its cells do not match the columns, or a quote is in the wrong place.",
    "Fix the row: one cell per column, and quotes in pairs.",
)
DUPLICATE = Cause(
    "duplicate",
    "The address appears earlier in the file",
    "Each address is sent once: its first valid row.",
    "No action needed. To send this row instead, delete the other one.",
)
UNKNOWN = Cause(
    "unknown",
    "Other reason",
    "The importer does not recognize the reason.",
    "Read the reason. If it does not help, connect one mailbox by hand in Saleshandy, which shows "
    "more details.",
)


@dataclass(frozen=True, slots=True)
class _Sign:
    """By which words a cause is known, if need be only at one provider."""

    cause: Cause
    words: str
    family: str = ""

    def is_in(self, reason: str) -> bool:
        """Say whether a reason, in lower case, has the words."""
        return bool(_pattern(self.words).search(reason))


@cache
def _pattern(words: str) -> re.Pattern[str]:
    """Compile on first use: all of them are a fiftieth of a cold start."""
    return re.compile(words, re.VERBOSE | re.DOTALL)


def _possibly(cause: Cause) -> Cause:
    return replace(cause, certain=False)


_REFUSED_SIGN_IN = r"""
    \b53[45]\b | authenticat\w*\ (?:has\ )?(?:failed|failure|unsuccessful|error|rejected)
    | authenticationfailed | \beauth\b | \bbadcredentials | log-?in\ (?:failed|denied|refused|error)
    | sign-?in\ (?:failed|denied|refused) | (?:access|permission)\ denied | unauthori[sz]ed
    | (?:invalid|incorrect|wrong|bad)\ (?:\w+\ ){0,2}(?:credentials?|log-?in|user\ ?name|password)
    | (?:credentials?|user\ ?name|password)\b.{0,30}
      \b(?:not\ accepted|incorrect|invalid|wrong|rejected|not\ match|mismatch)
"""
_NO_CONNECTION = r"""
    time[ds]?[- ]?out | e(?:socket)?timedout | econn\w* | esocket | e(?:host|net)unreach
    | unreachable | not\ reachable | no\ (?:answer|response|route)
    | connection\b.{0,20}\b(?:refused|reset|closed|aborted|failed|lost) | refused\ .{0,10}connection
    | (?:could\ not|cannot|can't|unable\ to|failed\ to)\ (?:be\ )?(?:connect|reach)
    | socket\ hang\ up
"""
_ACCESS_OFF = r"""
    \b(?:imap|pop3?|smtp)\b(?:(?!account|mailbox|user).){0,40}
      \b(?:disabled|deactivated|off|not\ (?:enabled|allowed))\b
    | \b(?:enabled?|activate|turn\ on|switch\ on)\b.{0,40}\bimap\b
    | access\ rights\ to\ this\ service
"""
_MISMATCHED = (
    _Sign(_possibly(TLS_AND_PORT), _NO_CONNECTION),
    _Sign(_possibly(TLS_AND_PORT), r"unexpected\ (?:eof|end|close)|greeting"),
)
"""Patterns that mean encryption and port only if these do not match in the row."""

_PLAN_LIMIT = _Sign(
    PLAN_LIMIT,
    r"""\b(?:plan|subscription)\b.{0,60}\b(?:limit|allow|exceed|upgrade|expired|ended)
    | \b(?:limit|upgrade|exceed|reached)\w*\b.{0,60}\b(?:plan|subscription)\b
    | (?<!rate\ )\blimit\w*\b.{0,40}\b(?:e-?mail|sending|sender)\ accounts?
    | \b(?:e-?mail|sending|sender)\ accounts?\b.{0,20}\blimit | payment\ required""",
)
_APP_PASSWORDS = (
    (GOOGLE_APP_PASSWORD, "google"),
    (YAHOO_APP_PASSWORD, "yahoo"),
    (ZOHO_APP_PASSWORD, "zoho"),
    (YANDEX_APP_PASSWORD, "yandex"),
)
_SIGNS = (
    _PLAN_LIMIT,
    _Sign(PLAN_OF_PROVIDER, r"maximum\ credits\ exceeded"),
    _Sign(MICROSOFT_SMTP_OFF, r"smtpclientauth\w*\ is\ disabled | smtp_auth_disabled"),
    _Sign(replace(MICROSOFT_POLICY, certain=True), r"security\ defaults\ policy"),
    _Sign(MICROSOFT_POLICY, r"did\ not\ meet\ the\ criteria"),
    _Sign(_possibly(LOCKED), r"\b5\.7\.139\b.*\baccount\ (?:is\ )?locked"),
    _Sign(IMAP_OFF, r"authenticated\ but\ not\ connected"),
    _Sign(
        MICROSOFT_SIGN_IN,
        r"""\b5\.7\.(?:139|30)\b | basicauthblocked
        | basic\ ?auth(?:entication)?\b.{0,40}\b(?:disabled|blocked|not\ supported)""",
    ),
    _Sign(MICROSOFT_SIGN_IN, r"\b5\.7\.(?:4|57)\b | \btakes\b.{0,200}\bxoauth2\b", "microsoft"),
    _Sign(_possibly(YAHOO_APP_PASSWORD), r"\bauth005\b.*\btoo\ many"),
    _Sign(YAHOO_APP_PASSWORD, r"\bauth005\b"),
    _Sign(YANDEX_APP_PASSWORD, r"invalid\ credentials\ or\ imap\ is\ disabled", "yandex"),
    _Sign(
        NO_SIGN_IN,
        r"""authentication\ not\ enabled | \btakes\ no\ sign-in
        | \btakes\b.{0,200}\b(?:xoauth2|oauthbearer)\b""",
    ),
    _Sign(BLOCKED_HERE, r"client\ host\b.{0,80}\bblocked | \bblocked\ using\b"),
    _Sign(LOCKED, r"\b525\ 5\.7\.13\b | \[contactadmin\]"),
    # Codes: "(reason unavailable)" is what Postfix says of a wrong password.
    _Sign(
        TOO_MANY,
        r"""\[(?:unavailable|inuse|limit|serverbug|overquota)\] | \b4(?:21|32)\ 4\.3\.2\b""",
    ),
    _Sign(WRONG_PASSWORD, r"\[expired\]"),
    _Sign(_possibly(TLS_AND_PORT), r"\bno\ starttls\b | \bbetween\ starttls\b"),
    _Sign(
        TLS_AND_PORT,
        r"""\[privacyrequired\] | \btls\ required\b | \btls\ from\ the\ start\b
        | plaintext\ authentication\ (?:disallowed|not\ allowed)""",
    ),
    _Sign(APP_PASSWORD, r"enter\ your\ authori[sz]ation\ code"),
    _Sign(
        SIGN_IN_HELD, r"\b5\.7\.14\b | web\ (?:browser|login) | suspicious | unusual\ (?:sign|log)"
    ),
    *(
        _Sign(
            cause,
            r"app(?:lication)?(?:[- ]specific)?[- ]?password | \b5\.7\.9\b | invalidsecondfactor"
            r"| less\ secure | two-?\ ?(?:factor|step) | 2-?step | \b2fa\b",
            family,
        )
        for cause, family in (*_APP_PASSWORDS, (APP_PASSWORD, ""))
    ),
    _Sign(
        replace(
            IMAP_OFF,
            fix="In Google Workspace, an administrator turns it on in the Admin console: Apps, "
            "Google Workspace, Gmail, End User Access, POP and IMAP access. Personal Gmail has no "
            "such switch, IMAP is always on there: create a new app password.",
        ),
        _ACCESS_OFF,
        "google",
    ),
    _Sign(IMAP_OFF, _ACCESS_OFF),
    _Sign(
        TOO_MANY,
        r"""too\ many | rate\ ?limit | \b4(?:21|54)\b.{0,3}\b4\.7\.\d+ | throttl
        | try\ (?:again|it)\ later | temporar\w+\ (?:blocked|locked|unavailable|deferred|error)
        | maximum\ number\ of\ connections""",
    ),
    _Sign(
        LOCKED,
        r"""\b(?:account|mailbox|user)\b.{0,20}
        \b(?:disabled|suspended|locked|blocked|deactivated|closed)\b""",
    ),
    _Sign(_possibly(HOST_NOT_FOUND), r"eai_again"),
    _Sign(
        HOST_NOT_FOUND,
        r"""enotfound | \bedns\b | getaddrinfo | nxdomain | nodename\ nor\ servname
        | (?:no\ such|unknown)\ host | host\b.{0,80}\bnot\ (?:found|exist)
        | name\ or\ service\ not\ known | (?:not|n't)\ (?:be\ )?resolved? | \bdns\b""",
    ),
    _Sign(CERTIFICATE, r"certificate | self[- ]signed | altname"),
    _Sign(
        TLS_AND_PORT,
        r"wrong[ _]version[ _]number | ssl3_get_record | packet\ length\ too\ long | starttls",
    ),
    _Sign(
        _possibly(TLS_AND_PORT),
        r"""eproto | greeting\ never\ received
        | (?:ssl|tls)\b.{0,30}\b(?:handshake|routines|alert)""",
    ),
    _Sign(UNREACHABLE, _NO_CONNECTION),
    # Exim says the same while it blocks the address of who signs in.
    _Sign(_possibly(WRONG_PASSWORD), r"incorrect\ authentication\ data"),
    *(
        _Sign(cause, _REFUSED_SIGN_IN, family)
        for cause, family in (
            *_APP_PASSWORDS,
            (MICROSOFT_SIGN_IN, "microsoft"),
            (SENDGRID_KEY, "sendgrid"),
            (WRONG_PASSWORD, ""),
        )
    ),
)
"""First match wins; specific patterns precede ambiguous ones."""

_OF_ONE_ROW = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b(?=[a-z]*\d)[a-z0-9]{12,}(?:[.-][a-z0-9]+)*|\b\d{4,}\b"
)
"""Addresses, ids and long numbers: they say nothing about the cause, and make each reason unique.
"""


def cause_of(reason: str, settings: tuple[str, ...], code: ReasonCode | None = None) -> Cause:
    """Understand why an account failed.

    `reason` is Saleshandy's own text, or a mail server's; `settings` are the account's, as
    account.SETTINGS lists them, or empty where they are not known. `code` is what the importer
    itself knows of it, which no text outdoes.
    """
    if code is ReasonCode.NOT_SENT:
        return NOT_SENT
    reason = reason.lower()
    if code is ReasonCode.REQUEST_REFUSED:
        return PLAN_LIMIT if _PLAN_LIMIT.is_in(reason) else REQUEST_REFUSED
    return _known_cause(_OF_ONE_ROW.sub("#", reason), settings)


@lru_cache(maxsize=1024)
def _known_cause(reason: str, settings: tuple[str, ...]) -> Cause:
    family, signs = "", _SIGNS
    if settings:
        provider, smtp_host, smtp_port, smtp_encryption, *imap = settings
        imap_host, imap_port, imap_encryption = imap
        family = family_of(provider, smtp_host, imap_host).name
        if is_mismatched(smtp_port, smtp_encryption) or is_mismatched(imap_port, imap_encryption):
            signs = (*_MISMATCHED, *_SIGNS)
    for sign in signs:
        if sign.family in ("", family) and sign.is_in(reason):
            return sign.cause
    return UNKNOWN


def rejection(problem: Problem) -> Cause:
    """Return the cause that a problem of a row is."""
    if problem.code == ROW_UNREADABLE.code:
        return ROW_UNREADABLE
    name = problem.column or problem.field
    return Cause(problem.code, f"{name}: {problem.message}", "", problem.fix)
