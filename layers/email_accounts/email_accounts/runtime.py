"""What the three functions share: settings, logs, metrics, and the parts put together."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.config import Config
from botocore.session import Session

from email_accounts.aws.buckets import InboxBucket, OriginalsPrefix, ReportsBucket
from email_accounts.aws.ledger import DynamoLedger
from email_accounts.aws.services import EventBus, NotificationTopic, TrackImport, workspace_key
from email_accounts.listing import AccountList
from email_accounts.ports import Policy, Remotes

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from email_accounts.delivery import Deliverer
    from email_accounts.submission import Submitter
    from email_accounts.tracking import Tracker

logger = Logger()
metrics = Metrics()

_HOUR = 3600.0
_DAY = 86400.0
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a function; its names are those of template.yaml."""

    api_base_url: str
    workspaces: str
    ledger_table: str
    event_bus: str
    notification_topic: str
    reports_bucket: str
    state_machine: str
    trusted_report_hosts: frozenset[str]
    retention: float
    report_link: float
    keep_original_reports: bool
    policy: Policy

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings; KeyError and ValueError name what is missing or no number."""

        def number(name: str) -> float:
            try:
                return float(environment[name])
            except ValueError:
                raise ValueError(f"{name} is no number") from None

        hosts = environment["TRUSTED_REPORT_HOSTS"].lower().split(",")
        return cls(
            api_base_url=environment["API_BASE_URL"],
            workspaces=environment["WORKSPACES"],
            ledger_table=environment["LEDGER_TABLE"],
            event_bus=environment["EVENT_BUS"],
            notification_topic=environment["NOTIFICATION_TOPIC"],
            reports_bucket=environment["REPORTS_BUCKET"],
            state_machine=environment["STATE_MACHINE"],
            trusted_report_hosts=frozenset(filter(None, map(str.strip, hosts))),
            retention=number("RETENTION_DAYS") * _DAY,
            report_link=number("PRESIGNED_REPORT_HOURS") * _HOUR,
            keep_original_reports=environment["KEEP_ORIGINAL_REPORTS"] == "true",
            policy=Policy(
                batch_size=int(number("BATCH_SIZE")),
                calls_per_minute=int(number("CALLS_PER_MINUTE")),
                first_look=number("FIRST_LOOK_SECONDS"),
                longest_wait=number("LONGEST_WAIT_SECONDS"),
                deadline=number("DEADLINE_HOURS") * _HOUR,
                grace=number("GRACE_SECONDS"),
                skip_connected=environment["SKIP_CONNECTED"] == "true",
                largest_file=int(number("MAX_FILE_MEGABYTES") * _MEGABYTE),
            ),
        )


_Handler = Callable[[dict[str, Any], "LambdaContext"], dict[str, object] | None]


def observed(handle: _Handler) -> _Handler:
    """Make a function a handler: what fails is logged and raised, and metrics are told.

    What the domain logs gets the same keys, the import's id among them, and does not come a second
    time from the root logger, whose lines have none.
    """
    domain = logging.getLogger(__package__)
    domain.handlers, domain.propagate = logger.handlers, False
    domain.setLevel(logger.log_level)

    @logger.inject_lambda_context(clear_state=True)
    @wraps(handle)
    def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, object] | None:
        try:
            return handle(event, context)
        except Exception:
            # Lambda logs it as well, without the import's id.
            logger.exception("failed")
            raise
        finally:
            if metrics.metric_set:
                metrics.flush_metrics()

    return handler


def concerns(import_id: str) -> None:
    """Name the import in every line that is logged from now on, also in those of metrics."""
    logger.append_keys(import_id=import_id)
    metrics.add_metadata("import_id", import_id)


def count(name: str) -> None:
    """Add one to a metric, which is told at the end of the invocation."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)


class Parts:
    """Makes the use-cases out of the real parts, once per process and only what is used.

    What a function does not use it does not import either: that is a tenth of a cold start.
    """

    def __init__(self, settings: Settings) -> None:
        """Remember the settings; nothing is called yet."""
        self._settings = settings
        # boto3 would add a seventh to a cold start, and nothing that is used here.
        self._session = Session()
        self._config = Config(
            connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4}
        )
        s3 = self._client("s3")
        self._uploads = InboxBucket(s3)
        self._reports = ReportsBucket(s3, settings.reports_bucket)
        self._originals = OriginalsPrefix(s3, settings.reports_bucket)
        self._ledger = DynamoLedger(
            self._client("dynamodb"),
            settings.ledger_table,
            settings.retention,
        )
        self._account_list = AccountList(
            self._ledger, ReportsBucket(s3, settings.reports_bucket, "accounts"), time.time
        )

    def submitter(self) -> "Submitter":
        """Make what submits accounts."""
        from email_accounts.submission import Submitter  # noqa: PLC0415  see above

        states = self._client("stepfunctions")
        return Submitter(
            self._ledger,
            self._uploads,
            self._reports,
            self._account_list,
            self._remotes(),
            TrackImport(states, self._settings.state_machine),
            self._settings.policy,
            time.time,
        )

    def tracker(self) -> "Tracker":
        """Make what checks the status."""
        from email_accounts.tracking import Tracker  # noqa: PLC0415  see above

        return Tracker(
            self._ledger,
            self._uploads,
            self._reports,
            self._account_list,
            self._remotes(),
            self._settings.policy,
            time.time,
            self._originals if self._settings.keep_original_reports else None,
        )

    def deliverer(self) -> "Deliverer":
        """Make what delivers the report."""
        from email_accounts.delivery import Deliverer  # noqa: PLC0415  see above

        topic = NotificationTopic(self._client("sns"), self._settings.notification_topic)
        return Deliverer(
            self._ledger,
            self._uploads,
            self._reports,
            EventBus(self._client("events"), self._settings.event_bus),
            topic,
            time.time,
            self._settings.report_link,
        )

    def _client(self, service: str) -> Any:  # noqa: ANN401  one of botocore's many clients
        return self._session.create_client(service, config=self._config)

    def _remotes(self) -> Remotes:
        from email_accounts.remote import RemoteApi  # noqa: PLC0415  see above

        secrets = self._client("secretsmanager")
        settings = self._settings

        @cache
        def remote(workspace: str) -> RemoteApi:
            key = workspace_key(secrets, settings.workspaces, workspace)
            hosts = settings.trusted_report_hosts
            return RemoteApi(settings.api_base_url, key, hosts, time.time, count)

        return remote


@cache
def parts() -> Parts:
    """Return this process's parts; importing a handler needs neither settings nor AWS."""
    return Parts(Settings.read(os.environ))
