"""What mail servers, their clients and the service have been seen to say, and what it means."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from email_accounts.models.account import PROBLEMS, Problem, problem
from email_accounts.models.causes import (
    NOT_SENT,
    PLAN_LIMIT,
    REQUEST_REFUSED,
    ROW_UNREADABLE,
    UNKNOWN,
    WRONG_PASSWORD,
    Cause,
    cause_of,
    rejection,
)
from email_accounts.models.imports import ReasonCode

GOOGLE = ("gsuite", "smtp.gmail.com", "465", "ssl", "imap.gmail.com", "993", "ssl")
MICROSOFT = ("o365", "smtp.office365.com", "587", "tls", "outlook.office365.com", "993", "ssl")
YAHOO = ("yahoo", "smtp.mail.yahoo.com", "465", "ssl", "imap.mail.yahoo.com", "993", "ssl")
ZOHO = ("zoho", "smtp.zoho.com", "465", "ssl", "imap.zoho.com", "993", "ssl")
YANDEX = ("yandex", "smtp.yandex.com", "465", "ssl", "imap.yandex.com", "993", "ssl")
GODADDY = ("godaddy", "smtpout.secureserver.net", "465", "ssl", "imap.secureserver.net", "993", "")
SENDGRID = ("sendgrid", "smtp.sendgrid.net", "587", "tls", "imap.reach.example", "993", "ssl")
OTHER = ("other", "mail.reach.example", "465", "ssl", "mail.reach.example", "993", "ssl")
OTHER_AT_GOOGLE = ("other", "smtp.gmail.com", "465", "ssl", "imap.gmail.com", "993", "ssl")
OTHER_AT_ZOHO = ("other", "smtppro.zoho.eu", "465", "ssl", "imappro.zoho.eu", "993", "ssl")
MISMATCHED = ("other", "mail.reach.example", "587", "ssl", "mail.reach.example", "993", "ssl")
UNKNOWN_SETTINGS: tuple[str, ...] = ()

SAID: dict[str, list[tuple[tuple[str, ...], str]]] = {
    "google_app_password": [
        (GOOGLE, "535-5.7.8 Username and Password not accepted. For more information, go to"),
        (GOOGLE, "Invalid login: 534-5.7.9 Application-specific password required."),
        (GOOGLE, "[ALERT] Application-specific password required: support.google.com 185833"),
        (GOOGLE, "3 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"),
        (GOOGLE, "AuthenticationError: EAUTH InvalidSecondFactor"),
        (OTHER_AT_GOOGLE, "535 5.7.8 Username and Password not accepted"),
    ],
    "microsoft_sign_in": [
        (MICROSOFT, "550 5.7.30 Basic authentication is not supported for Client Submission"),
        (MICROSOFT, "535 5.7.3 Authentication unsuccessful [AM0PR01CA0094.eurprd01.prod]"),
        (MICROSOFT, "A1 NO AUTHENTICATE failed."),
        (MICROSOFT, "A01 NO LOGIN failed."),
        (OTHER, "535 5.7.139 basic authentication is disabled"),
        (UNKNOWN_SETTINGS, "NO Logon failure: BasicAuthBlocked"),
    ],
    "yahoo_app_password": [(YAHOO, "NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials")],
    "zoho_app_password": [
        (ZOHO, "535 Authentication Failed"),
        (ZOHO, "NO [ALERT] Invalid credentials(Failure)"),
        (OTHER_AT_ZOHO, "535 Authentication Failed"),
    ],
    "yandex_app_password": [(YANDEX, "535 5.7.8 Error: authentication failed: Invalid user")],
    "app_password": [(OTHER, "Please use an app password instead of your regular password")],
    "sendgrid_key": [(SENDGRID, "535 Authentication failed: Bad username / password")],
    "wrong_password": [
        (OTHER, "Sign-in refused: 535 5.7.8 Username and Password not accepted"),
        (GODADDY, "535 Authentication Failed for robin@reach.example"),
        (OTHER, "Invalid login"),
        (OTHER, "wrong user name or password"),
        (OTHER, "The password is incorrect"),
        (OTHER, "Unauthorized"),
        (UNKNOWN_SETTINGS, "535 authentication failed"),
    ],
    "sign_in_held": [
        (GOOGLE, "534-5.7.14 Please log in via your web browser and then try again."),
        (GOOGLE, "NO [WEBALERT] Web login required."),
    ],
    "imap_off": [
        (GOOGLE, "NO [ALERT] Your account is not enabled for IMAP use."),
        (OTHER, "IMAP access is switched off for this mailbox: NO [ALERT] IMAP access is disabled"),
        (ZOHO, "You are yet to enable IMAP for your account. Please contact your administrator"),
        (YANDEX, "535 5.7.8 This user does not have access rights to this service"),
    ],
    "mailbox_locked": [
        (OTHER, "535 5.7.1 Account is locked"),
        (OTHER, "NO user has been suspended"),
        (OTHER, "IMAP error: account disabled"),
    ],
    "too_many_attempts": [
        (GOOGLE, "454 4.7.0 Too many login attempts, please try again later."),
        (OTHER, "421 4.7.0 Try again later, closing connection."),
        (OTHER, "Maximum number of connections from user+IP exceeded"),
        (OTHER, "account temporarily locked"),
    ],
    "host_not_found": [
        (OTHER, "getaddrinfo ENOTFOUND smpt.reach.example"),
        (OTHER, "queryA EAI_AGAIN mail.reach.example"),
        (OTHER, "[Errno -2] Name or service not known"),
        (OTHER, "The host mail.reach.example could not be resolved"),
        (MISMATCHED, "Unknown host"),
    ],
    "encryption_and_port": [
        (OTHER, "ssl3_get_record:wrong version number"),
        (OTHER, "530 5.7.0 Must issue a STARTTLS command first"),
        (OTHER, "Greeting never received"),
        (MISMATCHED, "No answer from the SMTP server mail.reach.example:587: connection timed out"),
        (MISMATCHED, "connect ETIMEDOUT 203.0.113.9:587"),
        (MISMATCHED, "Unexpected socket close: unexpected end of file"),
    ],
    "certificate": [
        (OTHER, "self signed certificate in certificate chain"),
        (OTHER, "Hostname/IP does not match certificate's altnames"),
        (OTHER, "certificate has expired"),
    ],
    "no_answer": [
        (OTHER, "No answer from the SMTP server mail.reach.example:465: connection timed out"),
        (OTHER, "connect ECONNREFUSED 203.0.113.9:465"),
        (OTHER, "Connection refused"),
        (OTHER, "timeout"),
        (OTHER, "Failed to connect"),
        (GOOGLE, "socket hang up"),
    ],
    "plan_limit": [
        (OTHER, "Email account limit reached for your current plan"),
        (GOOGLE, "You have reached the limit of your plan. Upgrade to add more."),
        (GOOGLE, "Saleshandy refused the request: Your subscription has expired (HTTP 402)"),
        (OTHER, "Limit exceeded: you cannot add more email accounts"),
    ],
    "unknown": [
        (OTHER, "Something went wrong"),
        (GOOGLE, "Saleshandy gave no reason"),
        (OTHER, "Error 1535"),
        (OTHER, ""),
    ],
}


@pytest.mark.parametrize(
    ("code", "settings", "reason"),
    [(code, *one) for code, all_of_it in SAID.items() for one in all_of_it],
)
def test_what_was_said_is_understood(code: str, settings: tuple[str, ...], reason: str) -> None:
    """By its words, by the provider, and by whether encryption and port match."""
    assert cause_of(reason, settings).code == code
    assert cause_of(reason.upper(), settings).code == code


SERVER_TEXTS = json.loads(
    (Path(__file__).parents[1] / "samples/tables/server_texts.json").read_text("utf-8")
)


@pytest.mark.parametrize("one", SERVER_TEXTS, ids=lambda one: one["text"][:60])
def test_what_mail_servers_answer_to_a_sign_in_is_understood(one: dict[str, Any]) -> None:
    """Each text was seen at a live server, or follows from the software that it runs."""
    assert cause_of(one["text"], tuple(one["settings"])).code == one["wanted"]


POSSIBLY_ABOUT_US = (
    (GOOGLE, "534 5.7.14 Please log in via your web browser and then try again."),
    (GOOGLE, "454 4.7.0 Too many login attempts, please try again later."),
    (MICROSOFT, "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria"),
    (MICROSOFT, "535 5.7.139 Authentication unsuccessful, account locked."),
    (YAHOO, "535 5.7.0 (#AUTH005) Too many bad auth attempts."),
    (OTHER, "535 Incorrect authentication data"),
    (OTHER, "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using a list"),
    (OTHER, "the server offers no STARTTLS at this port"),
    (OTHER, "certificate has expired"),
    (OTHER, "connection timed out"),
    (MISMATCHED, "connection timed out"),
    (OTHER, "EAI_AGAIN: the name server did not answer"),
    (SENDGRID, "451 Authentication failed: Maximum credits exceeded"),
    (OTHER, "Something went wrong"),
)
PROVEN = (
    (GOOGLE, "535 5.7.8 Username and Password not accepted."),
    (GOOGLE, "NO [ALERT] IMAP access is disabled for your domain."),
    (MICROSOFT, "535 5.7.139 SmtpClientAuthentication is disabled for the Tenant."),
    (MICROSOFT, "535 5.7.139 user is locked by your organization's security defaults policy."),
    (YAHOO, "535 5.7.0 (#AUTH005)"),
    (OTHER, "535 5.7.8 Error: authentication failed: (reason unavailable)"),
    (OTHER, "NO [AUTHENTICATIONFAILED] Authentication failed."),
    (OTHER, "530 5.7.0 TLS required."),
    (OTHER, "TLS: WRONG_VERSION_NUMBER"),
    (OTHER, "525 5.7.13 User account disabled"),
    (OTHER, "getaddrinfo ENOTFOUND mail.reach.example"),
    (OTHER, "it takes XOAUTH2, OAUTHBEARER"),
)


@pytest.mark.parametrize(
    ("settings", "reason", "certain"),
    [*((*one, False) for one in POSSIBLY_ABOUT_US), *((*one, True) for one in PROVEN)],
)
def test_what_may_be_about_us_is_not_proven_about_the_mailbox(
    settings: tuple[str, ...], reason: str, *, certain: bool
) -> None:
    """What the sign-in check may hold a row back for, and what it may not."""
    assert cause_of(reason, settings).certain is certain


def test_what_the_importer_knows_itself_is_not_read_from_a_text() -> None:
    """A server's text that begins like one of ours is the server's."""
    refused = "Saleshandy refused the API key: 535 5.7.8 authentication failed"
    assert cause_of(f"not sent: {refused}", OTHER, ReasonCode.NOT_SENT) is NOT_SENT
    assert cause_of(f"not sent: {refused}", OTHER) is not NOT_SENT
    code = ReasonCode.REQUEST_REFUSED
    assert cause_of("0.smtpPort: no (HTTP 400)", OTHER, code) is REQUEST_REFUSED
    assert cause_of("Your subscription has expired (HTTP 402)", OTHER, code) is PLAN_LIMIT


def every_cause() -> list[Cause]:
    """Return the causes of the table and of rejections."""
    found = [
        cause_of(reason, settings) for all_of_it in SAID.values() for settings, reason in all_of_it
    ]
    return [
        *dict.fromkeys(
            [
                *found,
                NOT_SENT,
                REQUEST_REFUSED,
                *(cause_of(one["text"], tuple(one["settings"])) for one in SERVER_TEXTS),
                *(rejection(problem(code, "smtpHost")) for code in PROBLEMS),
            ]
        )
    ]


@pytest.mark.parametrize("cause", every_cause(), ids=lambda cause: f"{cause.title} {cause.certain}")
def test_a_cause_is_told_in_few_words_and_has_a_cure(cause: Cause) -> None:
    """A title fits on a phone; a fix is a sentence; codes are for machines."""
    assert re.fullmatch(r"[a-z_0-9]+", cause.code)
    assert 0 < len(cause.title) <= 100
    assert cause.fix.endswith(".")
    assert len(cause.fix) <= 260


def test_unreadable_rows_have_one_cause() -> None:
    """Whatever is said about each, they are counted together."""
    one = Problem("unreadable", "row_unreadable", "it continues over 12 lines", "Fix the row.")
    other = Problem("unreadable", "row_unreadable", "it continues over 13 lines", "Fix the row.")
    assert rejection(one) is rejection(other) is ROW_UNREADABLE


def test_a_long_text_is_searched_quickly() -> None:
    """What comes from outside cannot make a pattern run forever."""
    assert cause_of("imap plan limit host " * 200, OTHER).code == "plan_limit"
    assert cause_of("imap user host not " * 5000, OTHER).code in ("unknown", "host_not_found")


def test_an_address_or_an_id_tells_nothing_of_the_cause() -> None:
    """They are of one row; what stands beside them is understood."""
    assert cause_of("no luck with timeout@dns-auth.example", ()) is UNKNOWN
    said = "535-5.7.8 password not accepted for kim@x.example d9443c01a7336a9.56 - gsmtp"
    assert cause_of(said, ()) is WRONG_PASSWORD


def test_personal_gmail_is_not_told_to_turn_imap_on() -> None:
    """It has had no such switch since 2025; an organization's administrator has one."""
    said = "NO [ALERT] Your account is not enabled for IMAP use."
    google, other = (cause_of(said, settings) for settings in (GOOGLE, OTHER))
    assert google.code == other.code == "imap_off"
    assert "always on" in google.fix
    assert google.certain
    assert "Enable IMAP in the settings" in other.fix
