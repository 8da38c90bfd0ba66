"""The settings of the functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from email_accounts.models.policy import Policy, SignInCheck

_HOUR = 3600.0
_DAY = 86400.0
_MEGABYTE = 1_000_000
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a function; its names are those of template.yaml."""

    api_base_url: str
    workspaces: str
    data_key: str
    ledger_table: str
    event_bus: str
    notification_topic: str
    reports_bucket: str
    state_machine: str
    trusted_report_hosts: frozenset[str]
    trusted_mail_hosts: frozenset[str]
    retention: float
    report_link: float
    find_servers: bool
    name_server: str
    policy: Policy

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings; KeyError and ValueError name what is missing or no number."""

        def number(name: str) -> float:
            try:
                return float(environment[name])
            except ValueError:
                raise ValueError(f"{name} is no number") from None

        def hosts(name: str) -> frozenset[str]:
            found = environment[name].lower().split(",")
            return frozenset(filter(None, map(str.strip, found)))

        return cls(
            api_base_url=_address(environment["API_BASE_URL"]),
            workspaces=environment["WORKSPACES"],
            data_key=environment["DATA_KEY"],
            ledger_table=environment["LEDGER_TABLE"],
            event_bus=environment["EVENT_BUS"],
            notification_topic=environment["NOTIFICATION_TOPIC"],
            reports_bucket=environment["REPORTS_BUCKET"],
            state_machine=environment["STATE_MACHINE"],
            trusted_report_hosts=hosts("TRUSTED_REPORT_HOSTS"),
            trusted_mail_hosts=hosts("TRUSTED_MAIL_HOSTS"),
            retention=number("RETENTION_DAYS") * _DAY,
            report_link=number("PRESIGNED_REPORT_HOURS") * _HOUR,
            find_servers=environment["FIND_SERVERS"] == "on",
            name_server=_name_server(environment["NAME_SERVER"]),
            policy=Policy(
                batch_size=int(number("BATCH_SIZE")),
                calls_per_minute=int(number("CALLS_PER_MINUTE")),
                initial_poll_delay=number("INITIAL_POLL_DELAY_SECONDS"),
                max_poll_interval=number("MAX_POLL_INTERVAL_SECONDS"),
                deadline=number("DEADLINE_HOURS") * _HOUR,
                grace=number("GRACE_SECONDS"),
                skip_connected=environment["SKIP_CONNECTED"] == "true",
                verify_connected=environment["VERIFY_CONNECTED"] == "true",
                settle=number("SETTLE_SECONDS"),
                largest_file=int(number("MAX_FILE_MEGABYTES") * _MEGABYTE),
                sign_in_check=SignInCheck(environment["SIGN_IN_CHECK"]),
            ),
        )


def _name_server(value: str) -> str:
    """Return a name server as `address:port`, or ""; ValueError for one of another computer."""
    parts = urlsplit(f"//{value}")
    if value and not (parts.hostname in _LOOPBACK and parts.port):
        raise ValueError("NAME_SERVER must be empty, or a port of this computer")
    return value


def _address(value: str) -> str:
    """Return an address that passwords may be sent to; ValueError for another one."""
    parts = urlsplit(value)
    encrypted = parts.scheme == "https" and parts.hostname
    if encrypted or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return value
    raise ValueError("API_BASE_URL must be https; http is for this computer alone")
