"""The deployed stack: found by its name, with its outputs, its parameters and its services."""

from collections.abc import Mapping
from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from email_accounts_cli.terminal import CommandError

CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard"})
_OURS = {"InboxBucketName", "TrackImportStateMachineArn"}
"""Outputs by which a stack of this project is told from others."""
_DEPLOY_AGAIN = "Deploy it again: make deploy."


@dataclass(frozen=True, slots=True)
class Where:
    """What the command line says about where the stack is; each may be empty."""

    stack: str
    profile: str
    region: str


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it, and the way to its services."""

    name: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    session: boto3.Session

    def output(self, name: str) -> str:
        """Return an output; CommandError where the deployed version has none of this name."""
        return self._known(self.outputs, "output", name)

    def parameter(self, name: str) -> str:
        """Return a parameter; CommandError where the deployed version has none of this name."""
        return self._known(self.parameters, "parameter", name)

    def _known(self, values: Mapping[str, str], kind: str, name: str) -> str:
        try:
            return values[name]
        except KeyError:
            raise CommandError(
                f"The stack {self.name} has no {kind} {name}: it is of another version than this "
                f"command, or another stack. {_DEPLOY_AGAIN}"
            ) from None


def find_stack(where: Where) -> Stack:
    """Find the stack of this name; none is taken by default, because it might be production's.

    Raises:
        CommandError: it is not named, or there is none of this name.
        BotoCoreError, ClientError: AWS cannot be reached, or refuses to say.
    """
    try:
        session = boto3.Session(
            profile_name=where.profile or None, region_name=where.region or None
        )
    except ProfileNotFound as error:
        raise CommandError(f"{error}. `aws configure list-profiles` lists yours.") from None
    if not session.region_name:
        raise CommandError("Which region? Name it with --region or in AWS_REGION.")
    if not where.stack:
        raise CommandError(f"Which stack? Name it with --stack or in STACK_NAME.{_seen(session)}")
    return _described(where.stack, session)


def _seen(session: boto3.Session) -> str:
    """Name the stacks there are, as far as AWS shows them."""
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
    return f" In {session.region_name} there are: {', '.join(sorted(names)) or 'none'}."


def _described(name: str, session: boto3.Session) -> Stack:
    stacks = session.client("cloudformation", config=CONFIG)
    try:
        [stack] = stacks.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" not in error.response["Error"].get("Message", ""):
            raise
        raise CommandError(
            f"There is no stack {name} in {session.region_name}. Name another one with --stack, "
            "another account with --profile, or another region with --region."
        ) from None
    return Stack(
        name=name,
        status=stack["StackStatus"],
        outputs={one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])},
        parameters={
            one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])
        },
        session=session,
    )
