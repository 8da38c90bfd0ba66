"""The providers of mailboxes: their names, servers and sign-in rules.

Everything that depends on a provider reads it here. To add one, add an entry to PROVIDER_TABLE:
with a code that the service knows, or with the code `other` for its servers alone.
Sources: docs/account-files.md.
"""

import re
from dataclasses import dataclass
from functools import cache

OTHER = "other"
SSL_PORTS = frozenset({"465", "993", "2465"})
TLS_PORTS = frozenset({"587", "143", "25", "2525", "2587"})


@dataclass(frozen=True, slots=True)
class ServerPreset:
    """One side (SMTP or IMAP) of a provider's servers: a port per encryption, the usual first."""

    host: str = ""
    ports: tuple[tuple[str, str], ...] = ()

    def port(self, encryption: str) -> str:
        """Return the port for an encryption, else the usual one; "" where none is known."""
        return dict(self.ports).get(encryption) or next((port for _, port in self.ports), "")


@dataclass(frozen=True, slots=True)
class SignIn:
    """What it means when a provider refuses a sign-in: a stable code, the reason and the fix."""

    code: str
    title: str
    explanation: str
    fix: str


@dataclass(frozen=True, slots=True)
class Family:
    """Providers that sign in alike. `hosts` is a pattern for the names of their servers."""

    name: str
    hosts: str
    sign_in: SignIn | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider.

    `code` is the service's, `name` is for people. `aliases` are words that mean it, in letters
    and digits alone. `domains` are those of its personal addresses. `personal` is the code that a
    personal address has instead. `user_name` is the SMTP user name where it is always the same.
    `mx` are the domains of the servers that receive mail for its customers' own domains.
    """

    code: str
    name: str
    family: Family
    aliases: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    smtp: ServerPreset = ServerPreset()
    imap: ServerPreset = ServerPreset()
    personal: str = ""
    user_name: str = ""
    mx: tuple[str, ...] = ()

    @property
    def sends_only(self) -> bool:
        """Whether it has no mailboxes to read."""
        return bool(self.smtp.host and not self.imap.host)


GOOGLE = Family(
    "google",
    r"(?:gmail|googlemail|google)\.com",
    SignIn(
        "google_app_password",
        "Google requires an app password",
        "Google refuses the mailbox's own password when a program signs in. It accepts an app "
        "password, which exists only with 2-Step Verification on.",
        "Turn on 2-Step Verification, create an app password (16 letters) at "
        "https://myaccount.google.com/apppasswords and put it into the password column.",
    ),
)
MICROSOFT = Family(
    "microsoft",
    r"(?:office365|outlook)\.com",
    SignIn(
        "microsoft_sign_in",
        "Microsoft requires OAuth sign-in",
        "Microsoft 365 and Outlook refuse passwords: for IMAP since 2022, and for SMTP where the "
        "organization or Microsoft switched them off.",
        "Connect each mailbox in Saleshandy with the Microsoft button, which signs in on "
        "Microsoft's page. A file cannot do it.",
    ),
)
_YAHOO = Family(
    "yahoo",
    r"(?:yahoo|yahoodns)\.(?:com?\.)?\w+",
    SignIn(
        "yahoo_app_password",
        "Yahoo requires an app password",
        "Yahoo refuses the mailbox's own password when a program signs in.",
        "Create an app password at https://login.yahoo.com/account/security and put it into the "
        "password column.",
    ),
)
_ZOHO = Family(
    "zoho",
    r"zoho\w*\.(?:com?\.)?\w+",
    SignIn(
        "zoho_app_password",
        "Zoho refused the password",
        "With two-factor sign-in Zoho requires an app password. Each region has servers of its "
        "own: an account of zoho.eu is unknown at zoho.com.",
        "Create an app password at https://accounts.zoho.com (Security, App Passwords), and check "
        "that the hosts end as the account's region does (.com, .eu, .in, .com.au, .jp).",
    ),
)
_YANDEX = Family(
    "yandex",
    r"yandex\.(?:com?\.)?\w+",
    SignIn(
        "yandex_app_password",
        "Yandex requires an app password",
        "Yandex refuses the mailbox's own password when a program signs in.",
        "Allow mail programs in the settings of Yandex Mail, and create an app password for mail "
        "at https://id.yandex.com/security/app-passwords.",
    ),
)
_SENDGRID = Family(
    "sendgrid",
    r"sendgrid\.net",
    SignIn(
        "sendgrid_key",
        "SendGrid refused the API key",
        "SendGrid takes the user name apikey, to the letter, and an API key as the password.",
        "Create a key with the permission Mail Send at https://app.sendgrid.com/settings/api_keys "
        "and put it into the SMTP password column.",
    ),
)
_GODADDY = Family("godaddy", r"secureserver\.net")
_NO_FAMILY = Family("", r"(?!)")

_SSL_OR_TLS = (("ssl", "465"), ("tls", "587"))
_IMAP_SSL = (("ssl", "993"),)


def _zoho(region: str) -> Provider:
    """Return Zoho's servers for organizations in a region: those of persons refuse them."""
    return Provider(
        "zoho",
        f"Zoho Mail ({region})",
        _ZOHO,
        smtp=ServerPreset(f"smtppro.{region}", _SSL_OR_TLS),
        imap=ServerPreset(f"imappro.{region}", _IMAP_SSL),
        mx=(region,),
    )


def _ionos(country: str, *mx: str) -> Provider:
    name = "IONOS" if country == "com" else f"IONOS (ionos.{country})"
    return _servers(
        name, f"smtp.ionos.{country}", f"imap.ionos.{country}", mx=(f"ionos.{country}", *mx)
    )


def _servers(  # noqa: PLR0913  one per column
    name: str,
    smtp: str,
    imap: str,
    ports: tuple[tuple[str, str], ...] = _SSL_OR_TLS,
    *,
    mx: tuple[str, ...],
    domains: tuple[str, ...] = (),
) -> Provider:
    """Return a provider that the service has no code for."""
    return Provider(
        OTHER,
        name,
        _NO_FAMILY,
        domains=domains,
        smtp=ServerPreset(smtp, ports),
        imap=ServerPreset(imap, _IMAP_SSL),
        mx=mx,
    )


PROVIDER_TABLE: tuple[Provider, ...] = (
    Provider(
        "gmail",
        "Gmail",
        GOOGLE,
        domains=("gmail.com", "googlemail.com"),
        smtp=ServerPreset("smtp.gmail.com", _SSL_OR_TLS),
        imap=ServerPreset("imap.gmail.com", _IMAP_SSL),
    ),
    Provider(
        "gsuite",
        "Google Workspace",
        GOOGLE,
        aliases=("google", "gmail", "googlemail", "gsuite", "gapps", "workspace", "2"),
        smtp=ServerPreset("smtp.gmail.com", _SSL_OR_TLS),
        imap=ServerPreset("imap.gmail.com", _IMAP_SSL),
        personal="gmail",
        mx=("google.com", "googlemail.com"),
    ),
    Provider(
        "microsoft",
        "Outlook.com",
        MICROSOFT,
        domains=("outlook.com", "hotmail.com", "live.com", "msn.com"),
        smtp=ServerPreset("smtp-mail.outlook.com", (("tls", "587"),)),
        imap=ServerPreset("outlook.office365.com", _IMAP_SSL),
    ),
    Provider(
        "o365",
        "Microsoft 365",
        MICROSOFT,
        aliases=(
            *("microsoft", "outlook", "office", "office365", "microsoft365", "outlook365", "365"),
            *("m365", "o365", "ms365", "exchange", "hotmail", "3"),
        ),
        smtp=ServerPreset("smtp.office365.com", (("tls", "587"),)),
        imap=ServerPreset("outlook.office365.com", _IMAP_SSL),
        personal="microsoft",
        mx=("mail.protection.outlook.com", "mx.microsoft"),
    ),
    Provider(
        "yahoo",
        "Yahoo",
        _YAHOO,
        aliases=("yahoo", "ymail"),
        domains=("yahoo.com", "ymail.com"),
        smtp=ServerPreset("smtp.mail.yahoo.com", _SSL_OR_TLS),
        imap=ServerPreset("imap.mail.yahoo.com", _IMAP_SSL),
        mx=("yahoodns.net",),
    ),
    Provider(
        "zoho",
        "Zoho",
        _ZOHO,
        aliases=("zoho", "zohomail"),
        domains=("zoho.com", "zohomail.com"),
        smtp=ServerPreset("smtp.zoho.com", _SSL_OR_TLS),
        imap=ServerPreset("imap.zoho.com", _IMAP_SSL),
    ),
    *map(
        _zoho,
        (
            *("zoho.com", "zoho.eu", "zoho.in", "zoho.com.au", "zoho.jp", "zohocloud.ca"),
            *("zoho.sa", "zoho.com.cn"),
        ),
    ),
    Provider(
        "godaddy",
        "GoDaddy",
        _GODADDY,
        aliases=("godaddy",),
        smtp=ServerPreset("smtpout.secureserver.net", _SSL_OR_TLS),
        imap=ServerPreset("imap.secureserver.net", _IMAP_SSL),
        mx=("secureserver.net",),
    ),
    Provider(
        "yandex",
        "Yandex",
        _YANDEX,
        aliases=("yandex",),
        domains=("yandex.com",),
        smtp=ServerPreset("smtp.yandex.com", (("ssl", "465"),)),
        imap=ServerPreset("imap.yandex.com", _IMAP_SSL),
        mx=("mx.yandex.net", "mx.yandex.ru"),
    ),
    Provider(
        "sendgrid",
        "SendGrid",
        _SENDGRID,
        aliases=("sendgrid",),
        smtp=ServerPreset("smtp.sendgrid.net", (("tls", "587"), ("ssl", "465"))),
        user_name="apikey",
    ),
    Provider(
        OTHER,
        "Other servers",
        _NO_FAMILY,
        aliases=("other", "custom", "any", "smtp", "imap", "1", "4"),
    ),
    _servers("Titan", "smtp.titan.email", "imap.titan.email", mx=("titan.email",)),
    _servers(
        "Private Email",
        "mail.privateemail.com",
        "mail.privateemail.com",
        mx=("privateemail.com",),
    ),
    _ionos("com", "perfora.net", "1and1.com"),
    _ionos("de", "kundenserver.de", "1and1.de"),
    _ionos("co.uk", "1and1.co.uk"),
    _ionos("fr", "1and1.fr"),
    _ionos("es", "1and1.es"),
    _ionos("it", "1and1.it"),
    _servers("Hostinger", "smtp.hostinger.com", "imap.hostinger.com", mx=("hostinger.com",)),
    _servers("Rackspace", "secure.emailsrvr.com", "secure.emailsrvr.com", mx=("emailsrvr.com",)),
    _servers(
        "Fastmail",
        "smtp.fastmail.com",
        "imap.fastmail.com",
        mx=("messagingengine.com",),
        domains=("fastmail.com", "fastmail.fm"),
    ),
    _servers(
        "Mail.ru",
        "smtp.mail.ru",
        "imap.mail.ru",
        (("ssl", "465"),),
        mx=("mail.ru",),
        domains=("mail.ru", "bk.ru", "inbox.ru", "list.ru", "internet.ru"),
    ),
    _servers(
        "iCloud Mail",
        "smtp.mail.me.com",
        "imap.mail.me.com",
        (("tls", "587"),),
        mx=("mail.icloud.com",),
        domains=("icloud.com", "me.com", "mac.com"),
    ),
    _servers(
        "AOL",
        "smtp.aol.com",
        "imap.aol.com",
        mx=("mx-aol.mail.gm0.yahoodns.net",),
        domains=("aol.com",),
    ),
)
"""In the service's order. Of two entries for one host, the later one is the usual; of several
with one code, the first is the usual. The digits among the aliases are the codes of Instantly."""

_NOISE = frozenset(
    (
        *("mail", "email", "business", "online", "account", "mailbox", "provider", "server"),
        *("com", "ms", "inc", "llc", "corp", "corporation", "apps", "eu", "legacy", "custom"),
        *("smtp", "imap"),
    )
)
"""Words next to a provider's name that change nothing."""

_WORD = re.compile("[a-z0-9]+")


@cache
def providers() -> dict[str, Provider]:
    """Return the providers by their codes."""
    return {one.code: one for one in reversed(PROVIDER_TABLE)}


def provider_named(text: str) -> Provider | None:
    """Understand what people call a provider; None where it is not sure whom they mean.

    Of a provider for companies and one for persons it is the first: the address decides.
    """
    by_alias = _by_alias()
    words = _WORD.findall(text.lower())
    whole = by_alias.get("".join(words))
    if whole:
        return whole
    meant = [word for word in _joined(words) if word not in _NOISE]
    found = {by_alias.get(word) for word in meant}
    return found.pop() if len(found) == 1 else None


def provider_of_domain(domain: str) -> Provider | None:
    """Return the provider of personal addresses at a domain in lower case."""
    return _by_domain().get(domain)


def provider_of_host(host: str) -> Provider | None:
    """Return the provider whose server this is."""
    return _by_host().get(host.lower())


def provider_of_mx(server: str) -> Provider | None:
    """Return the provider whose server receives mail under this name, in lower case.

    Whole labels are compared: only Google has names below `google.com`.
    """
    labels = server.split(".")
    names = (".".join(labels[at:]) for at in range(len(labels)))
    return next((found for name in names if (found := _by_mx().get(name))), None)


def preset_of_host(host: str, side: str = "smtp") -> ServerPreset:
    """Return the preset of a known server; an empty one for any other.

    `side` is smtp or imap: what counts where one server is for both.
    """
    provider = provider_of_host(host)
    if not provider:
        return ServerPreset()
    presets = (provider.smtp, provider.imap)
    first, second = presets if side == "smtp" else presets[::-1]
    return first if first.host == host.lower() else second


def is_mismatched(port: str, encryption: str) -> bool:
    """Say whether a port requires the other encryption."""
    return port in (TLS_PORTS if encryption == "ssl" else SSL_PORTS)


def family_of(provider: str, *hosts: str) -> Family:
    """Return the family of a provider's code; that of the hosts where the code is `other`."""
    known = providers().get(provider)
    if known and known.code != OTHER:
        return known.family
    found = (
        family
        for host in hosts
        for family in families()
        if re.search(rf"(?:^|\.)(?:{family.hosts})\.?$", host, re.IGNORECASE)
    )
    return next(found, _NO_FAMILY)


@cache
def families() -> tuple[Family, ...]:
    """Return each family once."""
    return tuple(dict.fromkeys(one.family for one in PROVIDER_TABLE))


def _joined(words: list[str]) -> list[str]:
    """Join what belongs together: `g suite`, `office 365`, `o 365`."""
    by_alias, joined = _by_alias(), list[str]()
    for word in words:
        if joined and joined[-1] + word in by_alias:
            joined[-1] += word
        else:
            joined.append(word)
    return joined


@cache
def _by_alias() -> dict[str, Provider]:
    names: dict[str, Provider] = {}
    company = {one.personal: one for one in PROVIDER_TABLE}
    for one in PROVIDER_TABLE:
        meant = company.get(one.code, one)
        names["".join(_WORD.findall(one.name.lower()))] = meant
        names.setdefault(one.code, meant)
    return names | {alias: one for one in PROVIDER_TABLE for alias in one.aliases}


@cache
def _by_domain() -> dict[str, Provider]:
    return {domain: one for one in PROVIDER_TABLE for domain in one.domains}


@cache
def _by_mx() -> dict[str, Provider]:
    return {name: one for one in PROVIDER_TABLE for name in one.mx}


@cache
def _by_host() -> dict[str, Provider]:
    sides = ((one, side) for one in PROVIDER_TABLE for side in (one.smtp, one.imap))
    return {side.host: one for one, side in sides if side.host}
