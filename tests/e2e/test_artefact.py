"""What `sam build` makes, as the cloud of these tests runs it."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.cloud import BUILD

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("cloud")]

UNCHECKED_HASH = 1
LAYER = BUILD / "EmailAccountsLayer/python"
ADDRESSES = """
import json, os
os.environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
from botocore.session import Session
services = "s3", "dynamodb", "secretsmanager", "stepfunctions", "sns", "events"
regions = "us-east-1", "eu-central-1", "ap-southeast-4", "us-gov-west-1", "cn-north-1"
print(json.dumps([
    Session().create_client(service, region_name=region).meta.endpoint_url
    for service in services
    for region in regions
]))
"""


def test_every_module_is_compiled_for_good() -> None:
    """Bytecode is beside each module, and is taken whatever the module's date says."""
    sources = list(LAYER.rglob("*.py"))
    assert len(sources) > 300
    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source)))
        head = compiled.read_bytes()[:8]
        assert head[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(head[4:], "little") == UNCHECKED_HASH


def test_trimmed_data_leads_to_the_same_addresses() -> None:
    """A client out of the layer calls the address that one out of the whole botocore calls."""
    whole, trimmed = (
        subprocess.run(
            [sys.executable, "-c", ADDRESSES],
            env={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for path in ("", str(LAYER))
    )
    assert len(set(json.loads(whole))) > 20
    assert trimmed == whole
    assert not list((LAYER / "botocore").rglob("*.gz"))
