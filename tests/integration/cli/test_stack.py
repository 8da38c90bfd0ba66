"""Which stack a command works on, and what it says where AWS refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from email_accounts_cli.main import commands
from email_accounts_cli.stack import Stack, Where, find_stack
from email_accounts_cli.terminal import CommandError
from tests.support.aws import (
    REGION,
)
from tests.support.deployment import (
    NO_STACK,
    STACK,
    served,
)


def test_the_name_of_the_stack_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that names it is an error that says how to name it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="--stack or in STACK_NAME"):
        find_stack(Where("", "", ""))


@pytest.mark.parametrize("section", ["global", "deploy"])
def test_samconfig_names_the_stack_and_the_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    """The file that `sam deploy` was run with is found from the folders below it."""
    text = f'[default.{section}.parameters]\nstack_name = "mine"\nregion = "eu-west-3"\n'
    (tmp_path / "samconfig.toml").write_text(text, encoding="utf-8")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    with served("CLOUDFORMATION", 400, NO_STACK) as calls:
        with pytest.raises(CommandError, match="no stack mine in eu-west-3"):
            find_stack(Where("", "", ""))
        with pytest.raises(CommandError, match="no stack other in us-west-1"):
            find_stack(Where("other", "", "us-west-1"))
    assert [b"StackName=mine" in body for _, body in calls] == [True, False]


def test_a_stack_is_its_outputs_and_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CloudFormation says of a stack is what there is, in the region of the environment."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with served("CLOUDFORMATION", 200, STACK):
        found = find_stack(Where("mine", "", ""))
    assert (found.name, found.status) == ("mine", "CREATE_COMPLETE")
    assert (found.output("A"), found.parameter("B")) == ("a", "b")
    assert found.session.region_name == "us-west-2"


def test_a_profile_that_is_not_there_is_named() -> None:
    """A profile that nothing configures is an error, with the way to the others."""
    with pytest.raises(CommandError, match=r"\(nobody\).*list-profiles"):
        find_stack(Where("mine", "nobody", ""))


def test_an_older_deployment_is_named(stack: Stack) -> None:
    """An output that is not there is an error that tells to deploy again."""
    with pytest.raises(CommandError, match=r"has no output Nothing.*make deploy"):
        stack.output("Nothing")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_EC2_METADATA_DISABLED": "true"}, "AWS does not know you: sign in"),
        (
            {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
            "AWS cannot be reached: Could not connect",
        ),
    ],
)
def test_trouble_with_aws_is_one_line(environment: dict[str, str], said: str) -> None:
    """Without credentials or without an answer a command ends with 2 and one line."""
    plain = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": REGION}
    plain |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    plain |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    command = Path(sys.executable).with_name("email-accounts")
    done = subprocess.run(
        [command, "list", "--stack", "mine"],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: {said}")


def test_what_aws_refuses_is_one_line() -> None:
    """A missing permission is told with the operation it is missing for."""
    refused = b"""<ErrorResponse><Error><Code>AccessDenied</Code>
<Message>you may not</Message></Error></ErrorResponse>"""
    with served("CLOUDFORMATION", 403, refused):
        ended = CliRunner().invoke(commands, ["list", "--stack", "mine"])
    assert ended.exit_code == 2
    assert ended.stderr == "Error: AWS refuses DescribeStacks: you may not\n"
