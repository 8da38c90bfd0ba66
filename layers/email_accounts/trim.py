"""Leaves of botocore's data and of dnspython what is used: run by the Makefile on the packages.

Of botocore's data what stays is the same as before in every word, only unpacked: reading the
endpoints of 400 services and unpacking descriptions takes a tenth of the time in which a client is
made. Of dnspython what only zones and signatures need goes, and records that nobody asks for:
dnspython reads a record that it does not know as bytes.
"""

import gzip
import json
import sys
from pathlib import Path
from shutil import rmtree

USED = {"dynamodb", "events", "s3", "secretsmanager", "sns", "states"}
"""The services that are called, by the names they have in addresses."""
RECORDS = {"CNAME", "DNAME", "MX", "NS", "OPT", "PTR", "SOA", "SRV", "TSIG", "__init__"}
"""The records that are asked for, or may come with an answer or a question."""
ZONES_AND_SIGNATURES = (
    *("dnssec.py", "dnssecalgs", "btree.py", "btreezone.py", "e164.py", "grange.py"),
    *("namedict.py", "tsigkeyring.py", "update.py", "versioned.py", "zonefile.py"),
    *("asyncresolver.py", "_trio_backend.py", "_asyncio_backend.py"),
)


def main(packages: Path) -> None:
    """Trim the folder that the packages are in."""
    trim_botocore(packages / "botocore/data")
    trim_dns(packages / "dns")


def trim_dns(package: Path) -> None:
    """Trim dnspython."""
    for name in ZONES_AND_SIGNATURES:
        path = package / name
        if path.is_dir():
            rmtree(path)
        else:
            path.unlink()
    for record in package.glob("rdtypes/*/*.py"):
        if record.stem not in RECORDS:
            record.unlink()


def trim_botocore(data: Path) -> None:
    """Trim botocore's data."""
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
