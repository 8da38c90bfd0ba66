"""The deployed stack: found by its name, with its outputs, its parameters and its services."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ProfileNotFound

from email_accounts_cli.terminal import CommandError

CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard"})
_SAMCONFIG = "samconfig.toml"
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
    """Find the stack by its name: as given, else as samconfig.toml says.

    Raises:
        CommandError: nothing says its name, or there is none of this name.
        BotoCoreError, ClientError: AWS cannot be reached, or refuses to say.
    """
    settings = _deployment_settings()
    name = where.stack or settings.get("stack_name", "")
    if not name:
        raise CommandError(
            "Which stack? Name it with --stack or in STACK_NAME, or go to the folder of the "
            f"{_SAMCONFIG} it was deployed with."
        )
    try:
        session = boto3.Session(
            profile_name=where.profile or None, region_name=where.region or None
        )
    except ProfileNotFound as error:
        raise CommandError(f"{error}. `aws configure list-profiles` lists yours.") from None
    region = session.region_name or settings.get("region")
    if region != session.region_name:
        session = boto3.Session(profile_name=where.profile or None, region_name=region)
    if not region:
        raise CommandError("Which region? Name it with --region or in AWS_REGION.")
    return _described(name, session)


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


def _deployment_settings() -> dict[str, str]:
    """Read the parameters of `sam deploy` in the nearest samconfig.toml."""
    here = Path.cwd()
    files = (folder / _SAMCONFIG for folder in (here, *here.parents))
    file = next(filter(Path.is_file, files), None)
    if file is None:
        return {}
    try:
        default: dict[str, Any] = tomllib.loads(file.read_text("utf-8")).get("default", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}. Mend it, or use --stack.") from None
    found: dict[str, str] = {}
    for section in ("global", "deploy"):
        found |= default.get(section, {}).get("parameters", {})
    return found
