"""Shell completion: ids and workspaces of the stack, at once, or nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from click.shell_completion import ShellComplete

from email_accounts_cli.main import commands
from email_accounts_cli.stack import Stack
from tests.support.deployment import deployed, received
from tests.support.fake_api import API_KEY


def suggested(*words: str) -> list[str]:
    """Return what is suggested for the last word."""
    *before, incomplete = words
    shell = ShellComplete(commands, {}, "email-accounts", "_EMAIL_ACCOUNTS_COMPLETE")
    return [one.value for one in shell.get_completions(before, incomplete)]


def test_ids_and_workspaces_are_suggested(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the stack that the line or the environment names, those that begin as typed."""
    identity = received(stack, "uploads/a.csv")
    name = f"{stack.name}/workspaces/north"
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=API_KEY)
    with deployed(stack):
        for command in ("watch", "show", "report", "failed", "resume", "stop"):
            assert suggested(command, "--stack", stack.name, "") == [identity[:8]], command
        monkeypatch.setenv("STACK_NAME", stack.name)
        assert suggested("show", identity[:10]) == [identity]
        assert suggested("show", "x") == []
        assert suggested("list", "--workspace", "n") == ["north"]
        for command in ("add", "remove", "test", "notify"):
            assert suggested("workspace", command, "") == ["default", "north"], command


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "no-url"])
def test_completion_is_silent_where_aws_does_not_answer(endpoint: str) -> None:
    """A prompt shows no error and does not wait for long."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "STACK_NAME": "mine",
        "COMP_WORDS": "email-accounts watch ",
        "COMP_CWORD": "2",
        "_EMAIL_ACCOUNTS_COMPLETE": "bash_complete",
    }
    start = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("email-accounts")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")
    assert time.monotonic() - start < 10
