"""Puts the use cases together out of the real parts."""

import os
import time
from functools import cache, partial
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from email_accounts.aws.dynamodb import DynamoLedger
from email_accounts.aws.messaging import EventBus, NotificationTopic
from email_accounts.aws.s3 import LINKS, InboxBucket, ReportsBucket
from email_accounts.aws.secrets_manager import workspace_key
from email_accounts.aws.step_functions import TrackImport
from email_accounts.lambda_runtime.observability import count
from email_accounts.lambda_runtime.settings import Settings
from email_accounts.ports import ClientFactory

if TYPE_CHECKING:
    from email_accounts.delivery.deliverer import Deliverer
    from email_accounts.saleshandy.account_list import AccountList
    from email_accounts.sign_in.checker import SignInChecker
    from email_accounts.submission.submitter import Submitter
    from email_accounts.tracking.poller import Poller


class Container:
    """Makes the use-cases out of the real parts, once per process and only what is used.

    What a function does not use it does not import either: that is a tenth of a cold start.
    """

    def __init__(self, settings: Settings) -> None:
        """Remember the settings; nothing is called yet."""
        self._settings = settings
        session = boto3.Session()
        config = Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "max_attempts": 4},
            max_pool_connections=20,  # more than the threads that read at the same time
        )
        s3 = session.client("s3", config=config.merge(LINKS))
        self._client_of = cache(partial(session.client, config=config))
        self._uploads = InboxBucket(s3, settings.data_key)
        self._reports = ReportsBucket(s3, settings.reports_bucket)
        self._ledger = DynamoLedger(
            self._client_of("dynamodb"), settings.ledger_table, settings.retention
        )
        self._indexes = ReportsBucket(s3, settings.reports_bucket, "accounts")

    def submitter(self) -> "Submitter":
        """Make what submits accounts."""
        from email_accounts.intake.server_lookup import ServerLookup  # noqa: PLC0415  see above
        from email_accounts.submission.submitter import Submitter  # noqa: PLC0415  see above

        return Submitter(
            self._ledger,
            self._uploads,
            self._reports,
            self._account_list(),
            self._client_factory(),
            TrackImport(self._client_of("stepfunctions"), self._settings.state_machine),
            self._event_bus(),
            self._settings.policy,
            time.time,
            ServerLookup(self._settings.name_server) if self._settings.find_servers else None,
        )

    def sign_in_checker(self) -> "SignInChecker":
        """Make what tries sign-ins; it has no API key."""
        from email_accounts.sign_in.checker import SignInChecker  # noqa: PLC0415  see above
        from email_accounts.sign_in.gate import Gate  # noqa: PLC0415  see above

        hosts = self._settings.trusted_mail_hosts
        return SignInChecker(
            self._ledger,
            self._uploads,
            self._reports,
            self._account_list(),
            self._event_bus(),
            self._settings.policy,
            lambda accounts, until: Gate(self._ledger, time.time, until, hosts).check_all(accounts),
            time.time,
        )

    def poller(self) -> "Poller":
        """Make what checks the status."""
        from email_accounts.tracking.poller import Poller  # noqa: PLC0415  see above

        return Poller(
            self._ledger,
            self._uploads,
            self._reports,
            self._account_list(),
            self._client_factory(),
            self._settings.policy,
            time.time,
        )

    def deliverer(self) -> "Deliverer":
        """Make what delivers the report."""
        from email_accounts.delivery.deliverer import Deliverer  # noqa: PLC0415  see above

        return Deliverer(
            self._ledger,
            self._uploads,
            self._reports,
            self._event_bus(),
            NotificationTopic(self._client_of, self._settings.notification_topic),
            time.time,
            self._settings.report_link,
        )

    def _event_bus(self) -> EventBus:
        return EventBus(self._client_of, self._settings.event_bus)

    def _account_list(self) -> "AccountList":
        from email_accounts.saleshandy.account_list import AccountList  # noqa: PLC0415  see above

        return AccountList(self._ledger, self._indexes, time.time)

    def _client_factory(self) -> ClientFactory:
        from email_accounts.saleshandy.client import SaleshandyClient  # noqa: PLC0415  see above

        secrets = self._client_of("secretsmanager")
        settings = self._settings

        @cache
        def saleshandy(workspace: str) -> SaleshandyClient:
            key = workspace_key(secrets, settings.workspaces, workspace)
            hosts = settings.trusted_report_hosts
            return SaleshandyClient(settings.api_base_url, key, hosts, time.time, count)

        return saleshandy


@cache
def container() -> Container:
    """Return this process's parts; importing a handler needs neither settings nor AWS."""
    return Container(Settings.read(os.environ))
