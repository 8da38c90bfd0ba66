"""The deployed stack with its outputs, parameters and AWS session."""

from collections.abc import Mapping
from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from email_accounts_cli.errors import NOT_AWS
from email_accounts_cli.terminal import CommandError

CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard"})
_OURS = {"InboxBucketName", "TrackImportStateMachineArn"}
"""Outputs that only stacks of this project have."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it, and a session for its services."""

    name: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    session: boto3.Session

    def output(self, name: str) -> str:
        """Return an output; CommandError if the deployed version lacks it."""
        return self._known(self.outputs, "output", name)

    def parameter(self, name: str) -> str:
        """Return a parameter; CommandError if the deployed version lacks it."""
        return self._known(self.parameters, "parameter", name)

    def _known(self, values: Mapping[str, str], kind: str, name: str) -> str:
        try:
            return values[name]
        except KeyError:
            raise CommandError(
                f"The stack {self.name} has no {kind} {name}: its version differs from this "
                f"command's, or it is a stack of another application. Deploy it again: make deploy."
            ) from None


def find_stack(name: str, profile: str, region: str) -> Stack:
    """Find a stack by name; there is no default, because it could be production.

    An empty profile or region is that of the environment.

    Raises:
        CommandError: it is not named, or does not exist.
        BotoCoreError, ClientError: AWS cannot be reached, or refuses.
    """
    try:
        session = boto3.Session(profile_name=profile or None, region_name=region or None)
    except ProfileNotFound as error:
        raise CommandError(f"{error}. To list yours: aws configure list-profiles") from None
    if not session.region_name:
        raise CommandError("Which region? Use --region or AWS_REGION.")
    if not name:
        raise CommandError(f"Which stack? Use --stack or STACK_NAME.{_existing(session)}")
    return _described(name, session)


def _existing(session: boto3.Session) -> str:
    """List the stacks of this project in the region, if AWS allows it."""
    stacks = session.client("cloudformation", config=CONFIG)
    try:
        names = [
            stack["StackName"]
            for page in stacks.get_paginator("describe_stacks").paginate()
            for stack in page["Stacks"]
            if {one["OutputKey"] for one in stack.get("Outputs", [])} >= _OURS
        ]
    except (BotoCoreError, ClientError):
        return ""
    return f" Stacks in {session.region_name}: {', '.join(sorted(names)) or 'none'}."


def _described(name: str, session: boto3.Session) -> Stack:
    stacks = session.client("cloudformation", config=CONFIG)
    try:
        found = stacks.describe_stacks(StackName=name).get("Stacks", [])
    except ClientError as error:
        if "does not exist" not in error.response["Error"].get("Message", ""):
            raise
        raise CommandError(
            f"There is no stack {name} in {session.region_name}. Choose a stack with --stack, an "
            "account with --profile, or a region with --region."
        ) from None
    if not found:
        raise CommandError(NOT_AWS)
    [stack] = found
    return Stack(
        name=name,
        status=stack["StackStatus"],
        outputs={one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])},
        parameters={
            one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])
        },
        session=session,
    )
