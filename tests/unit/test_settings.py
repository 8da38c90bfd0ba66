"""The settings of an account, from what people write to what Saleshandy takes."""

import pytest

from email_accounts.intake.settings import ENCRYPTION_NAMES, Settings, SettingsReader
from email_accounts.models.account import ENCRYPTIONS, PROVIDERS, SETTINGS
from email_accounts.models.providers import provider_of_domain, providers

Side = tuple[str, str, str]
PRESETS = {one.code: one for one in providers().values() if one.smtp.host}
PROVIDER_NAMES = {alias: one.code for one in providers().values() for alias in one.aliases}
PROVIDER_OF_DOMAIN = {
    f"@{domain}": provider_of_domain(domain).code  # type: ignore[union-attr]  # it is one's own
    for one in providers().values()
    for domain in one.domains
}
OWN_IMAP = ("imap.north.example", "993", "ssl")
OWN_SMTP = ("smtp.north.example", "587", "tls")
NOTHING = ("", "", "")

SMTP_OF = {
    "gmail": {"ssl": ("smtp.gmail.com", "465"), "tls": ("smtp.gmail.com", "587")},
    "gsuite": {"ssl": ("smtp.gmail.com", "465"), "tls": ("smtp.gmail.com", "587")},
    "o365": {"tls": ("smtp.office365.com", "587")},
    "microsoft": {"tls": ("smtp-mail.outlook.com", "587")},
    "yahoo": {"ssl": ("smtp.mail.yahoo.com", "465"), "tls": ("smtp.mail.yahoo.com", "587")},
    "zoho": {"ssl": ("smtp.zoho.com", "465"), "tls": ("smtp.zoho.com", "587")},
    "godaddy": {
        "ssl": ("smtpout.secureserver.net", "465"),
        "tls": ("smtpout.secureserver.net", "587"),
    },
    "yandex": {"ssl": ("smtp.yandex.com", "465")},
    "sendgrid": {"tls": ("smtp.sendgrid.net", "587"), "ssl": ("smtp.sendgrid.net", "465")},
}
"""The SMTP servers of each provider by encryption, the usual one first."""

IMAP_OF = {
    "gmail": "imap.gmail.com",
    "gsuite": "imap.gmail.com",
    "o365": "outlook.office365.com",
    "microsoft": "outlook.office365.com",
    "yahoo": "imap.mail.yahoo.com",
    "zoho": "imap.zoho.com",
    "godaddy": "imap.secureserver.net",
    "yandex": "imap.yandex.com",
}
ADDRESS_OF = {"gmail": "@gmail.com", "microsoft": "@outlook.com"}
"""Personal mailboxes have providers of their own, which are known by the address."""

WITH_SMTP = [(provider, encryption) for provider, sides in SMTP_OF.items() for encryption in sides]


def read(raw: tuple[str, ...], domain: str) -> Settings:
    """Read the cells of the settings of a row whose address ends so."""
    return SettingsReader(str).read(raw, domain.removeprefix("@"))


def settings_of(raw: tuple[str, ...], domain: str) -> tuple[str, ...]:
    """Return the values."""
    return read(raw, domain).values


def settings(
    provider: str = "", smtp: Side = OWN_SMTP, imap: Side = OWN_IMAP, domain: str = "@north.example"
) -> dict[str, str]:
    """Return the settings by their fields."""
    return dict(zip(SETTINGS, settings_of((provider, *smtp, *imap), domain), strict=True))


def smtp_of(*smtp: str, provider: str = "other", domain: str = "@north.example") -> Side:
    """Return the SMTP side of settings."""
    host, port, encryption = smtp
    made = settings(provider, (host, port, encryption), OWN_IMAP, domain)
    return made["smtpHost"], made["smtpPort"], made["smtpEncryption"]


def imap_of(*imap: str, provider: str = "other", domain: str = "@north.example") -> Side:
    """Return the IMAP side of settings."""
    host, port, encryption = imap
    made = settings(provider, OWN_SMTP, (host, port, encryption), domain)
    return made["imapHost"], made["imapPort"], made["imapEncryption"]


# Presets.


def test_every_provider_but_one_has_servers() -> None:
    """The tables of this test and of the code speak of the same providers."""
    assert {*PRESETS} == {*SMTP_OF} == {*PROVIDERS} - {"other"}


@pytest.mark.parametrize("provider", SMTP_OF)
def test_a_provider_alone_gives_both_servers(provider: str) -> None:
    """Blank hosts, ports and encryptions are those of the provider."""
    usual = next(iter(SMTP_OF[provider]))
    imap = (IMAP_OF[provider], "993", "ssl") if provider in IMAP_OF else NOTHING
    made = settings_of((provider, *NOTHING, *NOTHING), ADDRESS_OF.get(provider, ""))
    assert made == (provider, *SMTP_OF[provider][usual], usual, *imap)


@pytest.mark.parametrize(("provider", "encryption"), WITH_SMTP)
def test_an_encryption_chooses_the_port_of_a_provider(provider: str, encryption: str) -> None:
    """A blank port follows the encryption, where the provider takes both."""
    domain = ADDRESS_OF.get(provider, "@north.example")
    expected = (*SMTP_OF[provider][encryption], encryption)
    assert smtp_of("", "", encryption, provider=provider, domain=domain) == expected
    host, port = SMTP_OF[provider][encryption]
    assert smtp_of(host, "", encryption, provider=provider, domain=domain) == expected
    assert smtp_of("", port, "", provider=provider, domain=domain) == expected
    assert smtp_of(host.upper(), port, "", domain=domain) == (host.upper(), port, encryption)


@pytest.mark.parametrize("provider", SMTP_OF)
@pytest.mark.parametrize("answer", ["true", "false"])
def test_yes_and_no_never_go_against_the_port_of_a_provider(provider: str, answer: str) -> None:
    """A column 'secure' is ambiguous; what the provider's port wants is not."""
    domain = ADDRESS_OF.get(provider, "@north.example")
    host, port, encryption = smtp_of("", "", answer, provider=provider, domain=domain)
    assert SMTP_OF[provider][encryption] == (host, port)


@pytest.mark.parametrize(
    "host", sorted({side[0] for of in SMTP_OF.values() for side in of.values()})
)
def test_a_known_host_without_a_port_gets_its_own(host: str) -> None:
    """The host decides, whatever the address is."""
    known = {
        (port, encryption)
        for sides in SMTP_OF.values()
        for encryption, (name, port) in sides.items()
        if name == host
    }
    for domain in ("@north.example", "@outlook.com", "@gmail.com"):
        name, *rest = smtp_of(host, "", "", provider="", domain=domain)
        assert name == host
        assert tuple(rest) in known


def test_without_a_provider_nothing_is_filled_in() -> None:
    """Servers that nobody knows have to be named."""
    assert settings_of(("", *NOTHING, *NOTHING), "@north.example") == ("other", *NOTHING, *NOTHING)
    assert settings_of(("other", *NOTHING, *NOTHING), "@gmail.com") == ("other", *NOTHING, *NOTHING)


# What is given is kept.


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("domain", ["@north.example", "@gmail.com", "@outlook.com"])
def test_what_is_given_is_never_overwritten(provider: str, domain: str) -> None:
    """A host, port or encryption of the file is sent, whatever the provider's are."""
    own = ("Mail.North.example", "2465", "ssl")
    other = ("mx.north.example", "1143", "tls")
    made = settings_of((provider, *own, *other), domain)
    assert made[1:] == (*own, *other)


@pytest.mark.parametrize(("provider", "encryption"), WITH_SMTP)
def test_a_port_against_the_encryption_is_kept(provider: str, encryption: str) -> None:
    """It is warned about elsewhere; who wrote both may know why."""
    other = {"ssl": "587", "tls": "465"}[encryption]
    assert smtp_of("", other, encryption, provider=provider)[1:] == (other, encryption)


def test_a_host_of_ones_own_gets_no_port_of_the_provider() -> None:
    """Its port is not known, and a wrong one looks like a server that does not answer."""
    assert smtp_of("mail.north.example", "", "", provider="gsuite") == (
        "mail.north.example",
        "",
        "",
    )


def test_blanks_around_settings_go() -> None:
    """They are pasted along, no-break spaces among them."""
    raw = (" Google\t", " smtp.north.example ", "\xa0465 ", " SSL ", "", " 993", "")
    assert settings_of(raw, "@north.example") == (
        "gsuite",
        "smtp.north.example",
        "465",
        "ssl",
        "imap.gmail.com",
        "993",
        "ssl",
    )


# Providers.


@pytest.mark.parametrize(
    ("names", "provider"),
    [
        (["google", "Gmail", "g suite", "G-Suite", "GSUITE", "workspace", "2"], "gsuite"),
        (["Google Workspace"], "gsuite"),
        (["microsoft", "Outlook", "office", "Office365", "Office 365", "M365", "3"], "o365"),
        (["exchange", "Microsoft 365", "o365"], "o365"),
        (["Yahoo"], "yahoo"),
        (["ZOHO"], "zoho"),
        (["GoDaddy"], "godaddy"),
        (["yandex"], "yandex"),
        (["SendGrid"], "sendgrid"),
        (["Other", "1", "custom", "SMTP", "imap"], "other"),
    ],
)
def test_a_provider_may_be_called_as_people_do(names: list[str], provider: str) -> None:
    """Names in any case and with any signs between; digits are the codes of Instantly."""
    assert {settings(name)["emailServiceProvider"] for name in names} == {provider}


def test_every_name_leads_to_a_provider_of_the_service() -> None:
    """No name of the table is refused afterwards, and each is written as it is compared."""
    assert {*PROVIDER_NAMES.values(), *PROVIDER_OF_DOMAIN.values()} == {*PROVIDERS}
    for name, provider in PROVIDER_NAMES.items():
        assert settings(f" {name.upper()} ")["emailServiceProvider"] == provider


@pytest.mark.parametrize(
    ("domain", "provider"),
    [
        ("@gmail.com", "gmail"),
        ("@googlemail.com", "gmail"),
        ("@outlook.com", "microsoft"),
        ("@hotmail.com", "microsoft"),
        ("@live.com", "microsoft"),
        ("@msn.com", "microsoft"),
        ("@yahoo.com", "yahoo"),
        ("@ymail.com", "yahoo"),
        ("@zoho.com", "zoho"),
        ("@zohomail.com", "zoho"),
        ("@yandex.com", "yandex"),
    ],
)
def test_the_domain_of_an_address_tells_the_provider(domain: str, provider: str) -> None:
    """Where neither provider nor host is given, the address is enough."""
    made = settings("", NOTHING, NOTHING, domain)
    usual = next(iter(SMTP_OF[provider]))
    assert tuple(made.values()) == (
        provider,
        *SMTP_OF[provider][usual],
        usual,
        IMAP_OF[provider],
        "993",
        "ssl",
    )


@pytest.mark.parametrize(
    ("given", "domain", "provider"),
    [
        ("google", "@gmail.com", "gmail"),
        ("gmail", "@north.example", "gsuite"),
        ("gsuite", "@outlook.com", "gsuite"),
        ("o365", "@hotmail.com", "microsoft"),
        ("microsoft", "@north.example", "o365"),
        ("office", "@gmail.com", "o365"),
        ("yahoo", "@gmail.com", "yahoo"),
        ("other", "@gmail.com", "other"),
        ("zoho", "@yandex.com", "zoho"),
    ],
)
def test_a_given_provider_is_kept_but_for_personal_addresses(
    given: str, domain: str, provider: str
) -> None:
    """Google and Microsoft have one provider for people and one for companies."""
    assert settings(given, domain=domain)["emailServiceProvider"] == provider


@pytest.mark.parametrize("provider", SMTP_OF)
def test_a_blank_provider_is_known_by_either_host(provider: str) -> None:
    """The servers of Google and Microsoft are the same for people and companies: see above."""
    (smtp, _), *_ = SMTP_OF[provider].values()
    by_smtp = settings("", (smtp.upper(), "587", "tls"))["emailServiceProvider"]
    assert by_smtp == {"gmail": "gsuite"}.get(provider, provider)
    if provider in IMAP_OF:
        by_imap = settings("", imap=(IMAP_OF[provider], "993", "ssl"))["emailServiceProvider"]
        assert by_imap == {"gmail": "gsuite", "microsoft": "o365"}.get(provider, provider)


def test_hosts_nobody_knows_are_of_another_provider() -> None:
    """A mailbox at a server of one's own is `other`, also when its address is at Gmail."""
    assert settings()["emailServiceProvider"] == "other"
    assert settings(domain="@gmail.com")["emailServiceProvider"] == "other"


# Ports and encryptions.


@pytest.mark.parametrize(
    ("written", "port"),
    [("465", "465"), ("465.0", "465"), ("465.00", "465"), ("0465", "465"), ("00465.0", "465")],
)
def test_a_port_may_be_written_as_spreadsheets_do(written: str, port: str) -> None:
    """A whole number is a port, also with decimals behind it or noughts before it."""
    assert smtp_of("smtp.north.example", written, "") == ("smtp.north.example", port, "ssl")
    assert imap_of("imap.north.example", written, "ssl") == ("imap.north.example", port, "ssl")


@pytest.mark.parametrize("written", ["465.5", "465.", ".465", "+465", "4 65", "1e3", "smtp", "٤٦٥"])
def test_what_is_no_port_is_kept_for_the_rules(written: str) -> None:
    """It is not taken for blank, which would hide it."""
    assert smtp_of("", written, "ssl", provider="gsuite")[1] == written


@pytest.mark.parametrize(
    ("names", "encryption"),
    [
        (["ssl", "SSL", "ssl/tls", "SSL/TLS", "implicit", "SMTPS"], "ssl"),
        (["tls", "TLS", "starttls", "STARTTLS", "Start TLS", "explicit"], "tls"),
    ],
)
@pytest.mark.parametrize("port", ["", "25", "465", "587"])
def test_an_encryption_may_be_called_as_people_do(
    names: list[str], encryption: str, port: str
) -> None:
    """What is named is kept, also against the port."""
    assert {smtp_of("smtp.north.example", port, name)[2] for name in names} == {encryption}
    assert {imap_of("imap.north.example", port, name)[2] for name in names} == {encryption}


def test_every_name_leads_to_an_encryption_of_the_service() -> None:
    """No name of the table is refused afterwards, and each is written as it is compared."""
    assert {*ENCRYPTION_NAMES} == {*ENCRYPTIONS}
    for encryption, names in ENCRYPTION_NAMES.items():
        for name in names:
            assert smtp_of("smtp.north.example", "25", name.upper())[2] == encryption


@pytest.mark.parametrize(
    "answer", ["", "true", "FALSE", "yes", "No", "1", "0", "y", "n", "on", "off"]
)
@pytest.mark.parametrize(
    ("port", "encryption"),
    [("465", "ssl"), ("993", "ssl"), ("587", "tls"), ("143", "tls"), ("2525", "tls")],
)
def test_a_known_port_wins_over_blank_yes_and_no(answer: str, port: str, encryption: str) -> None:
    """Such a port has one encryption."""
    assert smtp_of("smtp.north.example", port, answer)[2] == encryption
    assert imap_of("imap.north.example", f"{port}.0", answer)[2] == encryption


@pytest.mark.parametrize("port", ["", "2526", "8465"])
def test_at_another_port_yes_is_ssl_and_no_is_tls(port: str) -> None:
    """Without a port nothing is said yet; a port that tells nothing gets the API's example."""
    host = "smtp.north.example"
    assert {smtp_of(host, port, yes)[2] for yes in ("true", "Yes", "1", "y", "ON")} == {"ssl"}
    assert {smtp_of(host, port, no)[2] for no in ("false", "No", "0", "n", "OFF")} == {"tls"}
    assert smtp_of(host, port, "")[2] == ("ssl" if port else "")


@pytest.mark.parametrize("word", ["rot13", "none", "secure", "verschlüsselt", "TSL", "?"])
@pytest.mark.parametrize(
    ("port", "encryption"),
    [
        *(("465", "ssl"), ("993", "ssl"), ("2465", "ssl"), ("8465", "ssl")),
        *(("587", "tls"), ("143", "tls"), ("25", "tls"), ("2525", "tls"), ("2587", "tls")),
    ],
)
def test_an_encryption_that_nobody_knows_costs_no_row(
    word: str, port: str, encryption: str
) -> None:
    """The port tells it, and the row is warned of."""
    host, raw = "smtp.north.example", ("other", "smtp.north.example", port, word, *OWN_IMAP)
    made = read(raw, "@north.example")
    assert (made.values[1:4], made.problems) == ((host, port, encryption), ())
    said = [one.code for one in made.warnings]
    assert said == ([] if word == "?" and port != "8465" else ["encryption_unknown"])
