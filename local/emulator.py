"""Starts the emulator and closes the four of its gaps that matter here.

Mail: MiniStack takes mail subscriptions of a topic and logs what it would send. Here every such
mail becomes a file `<message id>-<n>.eml` in a folder, as the subscriber would get it.

Transport: requests reach it over plain HTTP, which never leaves this computer. Policies that
demand TLS see TLS, so that they can be deployed as they are and hold for everything else.

Roles: `aws:PrincipalArn` is that of a session with MiniStack, that of its role on AWS. Here it is
as on AWS, so that a policy can name the roles it is about.

Alarms: they are kept and never evaluated, but one over a sum of metrics is refused. Here it is
kept as one over the first of them, so that the template can be deployed.

    python local/emulator.py STATE_DIRECTORY      (mail lies in STATE_DIRECTORY/mail)

Runs in the emulator's own environment; its settings reach it as environment variables.
"""

import importlib.metadata
import re
import sys
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.services import sns
from ministack.services.cloudformation import provisioners

VERSION = "1.5.33"


def main() -> None:
    """Serve until SIGTERM."""
    installed = importlib.metadata.version("ministack")
    if installed != VERSION:
        sys.exit(
            f"this file knows MiniStack {VERSION}, not {installed}: look at what it replaces again"
        )
    mail = Path(sys.argv.pop(), "mail")
    mail.mkdir(parents=True, exist_ok=True)
    _send_mail_to_files(mail)
    _count_loopback_as_tls()
    _name_roles_not_sessions()
    _keep_alarms_over_several_metrics()
    app.main()


def _send_mail_to_files(folder: Path) -> None:
    """Put the writing of mail in front of the emulator's own delivery."""
    deliver = sns._fanout  # noqa: SLF001 - the emulator offers no other place

    def deliver_and_mail(
        topic_arn: str,
        message_id: str,
        message: str,
        subject: str,
        *rest: Any,  # noqa: ANN401 - as it came
        **routing: Any,  # noqa: ANN401 - as it came
    ) -> None:
        structure, attributes = rest
        # Mail first: whoever sees the message in a queue finds the mail written.
        text = sns._resolve_message_for_protocol(message, structure, "email")  # noqa: SLF001
        topic = sns._topic_by_arn_any_scope(topic_arn)  # noqa: SLF001
        wanted = [
            subscription
            for subscription in (topic or {}).get("subscriptions", [])
            if subscription["protocol"] == "email"
            and sns._matches_filter_policy(subscription, attributes or {}, text)  # noqa: SLF001
        ]
        for number, subscription in enumerate(wanted, start=1):
            letter = _letter(topic, subscription, subject, text)
            (folder / f"{message_id}-{number}.eml").write_bytes(letter.as_bytes())
        deliver(topic_arn, message_id, message, subject, *rest, **routing)

    sns._fanout = deliver_and_mail  # noqa: SLF001


def _count_loopback_as_tls() -> None:
    pin = app.pin_request_origin
    app.pin_request_origin = lambda address, _secure: pin(address, True)  # noqa: FBT003


def _name_roles_not_sessions() -> None:
    resolve = iam_evaluator._resolve_condition_key  # noqa: SLF001 - the emulator offers no other place
    session = re.compile(r"(arn:[^:]+):sts::(\d+):assumed-role/([^/]+)/.+")

    def resolved(key: str, context: Any) -> Any:  # noqa: ANN401 - as it came
        value = resolve(key, context)
        if key.lower() == "aws:principalarn" and (found := session.fullmatch(value or "")):
            return f"{found[1]}:iam::{found[2]}:role/{found[3]}"
        return value

    iam_evaluator._resolve_condition_key = resolved  # noqa: SLF001


def _keep_alarms_over_several_metrics() -> None:
    record = provisioners._cw_metric_alarm_record  # noqa: SLF001 - the emulator offers no other place

    def recorded(name: str, properties: dict[str, Any]) -> Any:  # noqa: ANN401 - as it came
        kept = dict(properties)
        first = next((one for one in kept.pop("Metrics", []) if "MetricStat" in one), None)
        if first:
            kept |= first["MetricStat"]["Metric"]
        return record(name, kept)

    provisioners._cw_metric_alarm_record = recorded  # noqa: SLF001


def _letter(
    topic: dict[str, Any], subscription: dict[str, Any], subject: str, text: str
) -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = f'"{topic["attributes"].get("DisplayName", "")}" <no-reply@sns.amazonaws.com>'
    letter["To"] = subscription["endpoint"]
    letter["Subject"] = subject or "AWS Notification Message"
    letter["Date"] = formatdate()
    letter.set_content(text)
    return letter


if __name__ == "__main__":
    main()
