"""Who gets the results: the subscriptions of the topic, for one workspace or for all."""

import json
from dataclasses import dataclass

from email_accounts_cli.history import together
from email_accounts_cli.stack import CONFIG, Stack
from email_accounts_cli.terminal import CommandError

_ATTRIBUTE = "workspace"
"""The attribute of a notification that names its workspace."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A subscription. `workspaces` is None if it has no filter: it gets all results.

    AWS does not show the filter of one that is not confirmed: its `workspaces` are empty.
    """

    protocol: str
    endpoint: str
    confirmed: bool
    workspaces: tuple[str, ...] | None

    def gets(self, workspace: str) -> bool:
        """Return whether it gets the results of a workspace."""
        return self.confirmed and (self.workspaces is None or workspace in self.workspaces)


def recipients(stack: Stack) -> list[Recipient]:
    """Return the subscriptions of the topic."""
    topics = stack.session.client("sns", config=CONFIG)
    pages = topics.get_paginator("list_subscriptions_by_topic").paginate(
        TopicArn=stack.output("NotificationTopicArn")
    )
    listed = [one for page in pages for one in page["Subscriptions"]]
    arns = [one["SubscriptionArn"] for one in listed if one["SubscriptionArn"].startswith("arn:")]

    def attributes(arn: str) -> dict[str, str]:
        return topics.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]

    known = dict(zip(arns, together(attributes, arns), strict=True))
    return [
        Recipient(
            one["Protocol"],
            one["Endpoint"],
            one["SubscriptionArn"] in known,
            _workspaces(known.get(one["SubscriptionArn"])),
        )
        for one in listed
    ]


def _workspaces(attributes: dict[str, str] | None) -> tuple[str, ...] | None:
    if attributes is None:
        return ()
    policy = json.loads(attributes.get("FilterPolicy") or "{}")
    return tuple(map(str, policy[_ATTRIBUTE])) if _ATTRIBUTE in policy else None


def subscribe(stack: Stack, name: str, address: str) -> bool:
    """Subscribe an address to the results of a workspace; return whether it was before.

    Raises:
        CommandError: it gets those of other workspaces, and AWS keeps one filter per address.
    """
    for one in recipients(stack):
        if (one.protocol, one.endpoint) == ("email", address) and one.confirmed:
            if one.gets(name):
                return True
            raise CommandError(_one_filter_only(address))
    topics = stack.session.client("sns", config=CONFIG)
    try:
        topics.subscribe(
            TopicArn=stack.output("NotificationTopicArn"),
            Protocol="email",
            Endpoint=address,
            Attributes={"FilterPolicy": json.dumps({_ATTRIBUTE: [name]})},
        )
    except topics.exceptions.InvalidParameterException as error:
        if "already exists" not in str(error):
            raise
        raise CommandError(_one_filter_only(address)) from None
    return False


def _one_filter_only(address: str) -> str:
    local, _, domain = address.partition("@")
    return (
        f"{address} is already subscribed for another workspace, and AWS accepts an address once. "
        f"Use another address, such as {local}+2@{domain} where your mail provider delivers it."
    )
