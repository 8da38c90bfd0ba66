"""Leaves of botocore's data what is used: run by the Makefile, with the folder of the data.

What stays is the same as before in every word, only unpacked: reading the endpoints of 400
services and unpacking descriptions takes a tenth of the time in which a client is made.
"""

import gzip
import json
import sys
from pathlib import Path

USED = {"dynamodb", "events", "s3", "secretsmanager", "sns", "states"}
"""The services that are called, by the names they have in addresses."""


def main(data: Path) -> None:
    """Trim the folder."""
    for packed in data.rglob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    for examples in data.rglob("examples-1.json"):
        examples.unlink()
    file = data / "endpoints.json"
    endpoints = json.loads(file.read_bytes())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in services if name in USED}
    file.write_text(json.dumps(endpoints), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
