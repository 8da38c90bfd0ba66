"""Which stack a command works on, and what it prints where AWS cannot be used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from email_accounts_cli.main import commands
from email_accounts_cli.stack import Stack, find_stack
from email_accounts_cli.terminal import CommandError
from tests.support.aws import REGION
from tests.support.deployment import NO_STACK, STACK, served


def member(name: str, *outputs: str) -> str:
    """Return what CloudFormation says of a stack."""
    told = "".join(f"<member><OutputKey>{one}</OutputKey></member>" for one in outputs)
    return f"<member><StackName>{name}</StackName><Outputs>{told}</Outputs></member>"


def test_no_stack_is_taken_without_its_name() -> None:
    """Not even the only one: it might be production's. The question lists the existing ones."""
    others = member("others", "InboxBucketName")
    ours = member("ours", "InboxBucketName", "TrackImportStateMachineArn")
    listing = (
        "<DescribeStacksResponse><DescribeStacksResult><Stacks>{}</Stacks>"
        "</DescribeStacksResult></DescribeStacksResponse>"
    )
    for status, body, said in (
        (200, listing.format(others + ours), " Stacks in us-east-1: ours."),
        (200, listing.format(others), " Stacks in us-east-1: none."),
        (403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", ""),
    ):
        with (
            served("CLOUDFORMATION", status, body.encode()),
            pytest.raises(CommandError) as caught,
        ):
            find_stack("", "", "")
        question = "Which stack? Use --stack or STACK_NAME."
        assert caught.value.message == question + said


def test_a_stack_or_a_region_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given counts; what nothing says is asked for."""
    with (
        served("CLOUDFORMATION", 400, NO_STACK),
        pytest.raises(CommandError, match="no stack other in us-west-1"),
    ):
        find_stack("other", "", "us-west-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(CommandError, match=r"--region or AWS_REGION"):
        find_stack("mine", "", "")


def test_a_stack_is_its_outputs_and_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CloudFormation says of a stack is what there is, in the region of the environment."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with served("CLOUDFORMATION", 200, STACK):
        found = find_stack("mine", "", "")
    assert (found.name, found.status) == ("mine", "CREATE_COMPLETE")
    assert (found.output("A"), found.parameter("B")) == ("a", "b")
    assert found.session.region_name == "us-west-2"


def test_a_profile_that_is_not_there_is_named() -> None:
    """A profile that nothing configures is an error, with the way to the others."""
    with pytest.raises(CommandError, match=r"\(nobody\).*list-profiles"):
        find_stack("mine", "nobody", "")


def test_an_older_deployment_is_named(stack: Stack) -> None:
    """An output that is not there is an error that tells to deploy again."""
    with pytest.raises(CommandError, match=r"has no output Nothing.*make deploy"):
        stack.output("Nothing")


KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


PAGE = b"<!DOCTYPE html><html><body><p>Hello<br></body></html>"


@pytest.mark.parametrize(
    ("environment", "said", "fix"),
    [
        ({"AWS_EC2_METADATA_DISABLED": "true"}, "No AWS credentials found.", "aws sso login"),
        ({"AWS_ACCESS_KEY_ID": "x"}, "No AWS credentials found.", "aws sso login"),
        (KEYS, "Cannot reach AWS: ", "AWS_ENDPOINT_URL"),
        (KEYS | {"AWS_ENDPOINT_URL": "localhost"}, "Invalid endpoint: localhost", "http://"),
        (KEYS | {"AWS_ENDPOINT_URL": "http://no.invalid"}, "Cannot reach AWS: ", "network"),
        (KEYS | {"AWS_DEFAULT_REGION": "us_east 1"}, "", "Use a region such as us-east-1"),
        (KEYS | {"AWS_ENDPOINT_URL": "web"}, "The endpoint does not answer as AWS", "Check AWS_"),
    ],
)
def test_trouble_with_aws_is_one_line(environment: dict[str, str], said: str, fix: str) -> None:
    """Whatever is between a command and AWS, it ends with 2 and one line with a fix."""
    plain = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": REGION}
    plain |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    plain |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"} | environment
    command = Path(sys.executable).with_name("email-accounts")
    with served("WEB", 200, PAGE):
        if plain["AWS_ENDPOINT_URL"] == "web":
            plain["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL_WEB"]
        done = subprocess.run(
            [command, "list", "--stack", "mine"],
            env=plain | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: {said}")
    assert fix in line


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDenied", "AWS refused DescribeStacks: you may not. Ask for this permission"),
        ("ExpiredToken", "Your AWS credentials have expired. Sign in again"),
        ("InvalidClientTokenId", "AWS does not accept your access key. Sign in"),
        ("SignatureDoesNotMatch", "AWS does not accept your secret access key. Check it"),
        ("Throttling", "AWS refused DescribeStacks: you may not"),
    ],
)
def test_what_aws_refuses_is_one_line(code: str, said: str) -> None:
    """A missing permission, an expired session and wrong keys each come with their fix."""
    refused = f"""<ErrorResponse><Error><Code>{code}</Code>
<Message>you may not</Message></Error></ErrorResponse>"""
    with served("CLOUDFORMATION", 403, refused.encode()):
        ended = CliRunner().invoke(commands, ["list", "--stack", "mine"])
    assert ended.exit_code == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"Error: {said}")
