"""Looks for passwords and API keys in all that a local cloud holds and has said.

Every secret of the tests has one shape: a mark, sixteen hexadecimal digits, and then signs that
each way of quoting changes. The first part has none of these signs: quoted for JSON, URLs, HTML,
CSV or Python it is still there as it is. Beside that it is looked for in base64 wherever it
begins, character by character in hexadecimal or decimal numbers, in UTF-16, across the ends of
lines, and inside of gzip and zip. The sign in its mark is looked for in each way in which services
write one.
"""

import base64
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from local.echoes import ECHOES

if TYPE_CHECKING:
    from tests.support.cloud import LocalCloud

ROOT = Path(__file__).resolve().parents[2]
PASSWORD, API_KEY = "password", "API key"
MARKS = {"app-": PASSWORD, "key-": API_KEY}
"""How the secrets of the tests begin, and what they are; see `tests/support/files.py`."""
SKIPPED = tuple(
    ROOT / ".local" / name
    for name in ("build", "build-cache", "bench", "bench-cache", "mail", "fuzz", "load")
)
"""What is built or downloaded before there is a secret, and files of accounts of other commands."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A place where one kind of secret may be, and why; a star represents anything."""

    place: str
    kind: str
    reason: str


ALLOWED = (
    Allowed("object inbox/*", PASSWORD, "the upload itself"),
    Allowed("secret email-accounts/workspaces/*", API_KEY, "where the key is kept"),
    Allowed(
        "file */fake_api.sqlite*",
        PASSWORD,
        "what the fake API was sent: it replaces Saleshandy, which gets the passwords",
    ),
    Allowed(
        "file */api-key",
        API_KEY,
        "the key of the fake API, readable by its owner only; the real one is in no file",
    ),
)


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """A secret where none may be: the place, what it is and how it is written; never itself."""

    place: str
    kind: str
    form: str


# ── What a secret looks like ────────────────────────────────────────────────────────────────────

_DIGITS = b"0123456789abcdef"
_LENGTH = 16
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_IN_URLS = {ord("+"): b"+-", ord("/"): b"/_"}
_BREAKS = b"\0\r\n"  # between the halves of UTF-16, and the lines of base64
_AROUND_NUMBERS = _BREAKS + b"\t %=\\xXuU&#;,[]{}<>:\"'"
_ESCAPED_BREAK = re.compile(
    rb"(?:=|%(?:25)*3D)?(?:\r?\n|(?:\\+[rn])+|%(?:25)*0[AD]|=(?:3D)*0A|&(?:amp;)*#10;)"
    rb"|(?:=|%(?:25)*3D)(?![0-9a-fA-F]{2})"
)
"""Also the `=` before a break, which may be lost, with which quoted-printable parts long lines."""
_AGAIN = {
    rb"\\": rb"\\+",
    b"%": b"%(?:25)*",
    rb"\&": rb"\&(?:amp;)*",
    b"=": b"=(?:3D)*",
}
_PACKED_IN_BASE64 = re.compile(rb"(?:H4sI|UEsDB)[A-Za-z0-9+/]{20,}={0,2}")
_DEEPEST = 3

Forms = Iterable[tuple[str, str]]
"""Kinds of secrets, each with how it is written."""


class Finder:
    """Finds secrets that begin with certain marks, however they are written."""

    def __init__(self, marks: Mapping[str, str] = MARKS) -> None:
        """Prepare to look for the kind of secret that each mark tells."""
        self._known: dict[bytes, Forms] = {}
        self._unbroken, self._numbers = (
            [
                (kind, form, re.compile(pattern))
                for mark, kind in marks.items()
                for form, pattern in patterns(mark.encode())
            ]
            for patterns in (_unbroken, _numbers)
        )

    def forms(self, data: bytes, depth: int = 0) -> Forms:
        """Return which kinds of secrets there are in some bytes, and how they are written."""
        digest = blake2b(data).digest()
        if digest not in self._known:
            self._known[digest] = {*self._found(data), *self._packed(data, depth)}
        return self._known[digest]

    def _found(self, data: bytes) -> Iterator[tuple[str, str]]:
        unescaped = _ESCAPED_BREAK.sub(b"", data)
        for patterns, bare in (
            (self._unbroken, unescaped.translate(None, _BREAKS)),
            (self._numbers, data.translate(None, _AROUND_NUMBERS)),
        ):
            for kind, form, pattern in patterns:
                if pattern.search(bare):
                    yield kind, form

    def _packed(self, data: bytes, depth: int) -> Iterator[tuple[str, str]]:
        if depth < _DEEPEST:
            for how, content in _unpacked(data):
                for kind, form in self.forms(content, depth + 1):
                    yield kind, f"{how}, {form}"


def _unbroken(mark: bytes) -> Iterator[tuple[str, bytes]]:
    digits = b"[%b]{%d}" % (_DIGITS, _LENGTH)
    yield "as it is", re.escape(mark) + digits
    once = {encode(mark.decode()) for encode in ECHOES.values()}
    twice = {encode(text).encode() for encode in ECHOES.values() for text in once} - {mark}
    escaped = sorted(text for text in twice if text.startswith(mark[:-1]))
    yield "escaped", b"(?:%b)%b" % (b"|".join(map(_again, escaped)), digits)
    for offset in range(3):
        yield "in base64", _in_base64(mark, offset)


def _again(text: bytes) -> bytes:
    """Return the pattern of a text whose own signs may be escaped any number of times."""
    pattern = re.escape(text)
    for sign, again in _AGAIN.items():
        pattern = pattern.replace(sign, again)
    return pattern


def _in_base64(mark: bytes, offset: int) -> bytes:
    """Return the pattern of a secret that begins so many bytes behind a group of three."""
    unknown = [b""] * offset
    text = [*unknown, *(bytes([one]) for one in mark), *[_DIGITS] * _LENGTH]
    return b"".join(
        b"[%b]" % re.escape(letters)
        for at in range(len(text) * 8 // 6)
        if (letters := _letters(text, at))
    )


def _letters(text: Sequence[bytes], at: int) -> bytes:
    """Return what may be the letter at a place, of a text told by what each byte may be."""
    first, last = at * 6 // 8, (at * 6 + 5) // 8
    shift = 16 - (at * 6 - first * 8 + 6)
    pairs = product(text[first], text[last] if last > first else b"\0")
    letters = {_BASE64[(high << 8 | low) >> shift & 63] for high, low in pairs}
    return b"".join(_IN_URLS.get(letter, bytes([letter])) for letter in sorted(letters))


def _numbers(mark: bytes) -> Iterator[tuple[str, bytes]]:
    for form, number in (
        ("in hexadecimal numbers", "{:02x}"),
        ("in numbers of four digits", "{:04x}"),
        ("in decimal numbers", "{}"),
    ):
        digits = "|".join(map(number.format, _DIGITS))
        pattern = f"{''.join(map(number.format, mark))}(?:{digits}){{{_LENGTH}}}"
        yield form, re.sub("[a-f]", lambda one: f"[{one[0]}{one[0].upper()}]", pattern).encode()


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what is packed in some bytes, and how."""
    if b"PK\x05\x06" in data:
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as packed:
            for name in packed.namelist():
                with suppress(zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error):
                    yield "zipped", packed.read(name)
    for found in re.finditer(rb"\x1f\x8b\x08", data):
        with suppress(zlib.error):
            yield "gzipped", zlib.decompressobj(31).decompress(data[found.start() :])
    for packed_in_text in _PACKED_IN_BASE64.findall(data):
        whole = packed_in_text.rstrip(b"=")
        yield "base64", base64.b64decode(whole[: len(whole) // 4 * 4])


# ── Where it is looked for ──────────────────────────────────────────────────────────────────────

Places = Iterator[tuple[str, bytes]]
"""Names of places, and what is there."""


def leaks(
    places: Iterable[tuple[str, bytes]], finder: Finder, allowed: Sequence[Allowed] = ALLOWED
) -> list[Leak]:
    """Return the secrets that are in places, or in their names, and may not be there."""
    return sorted(
        {
            Leak(_shown(place, finder), kind, form)
            for place, data in places
            for kind, form in [*finder.forms(data), *finder.forms(place.encode())]
            if not any(one.kind == kind and fnmatchcase(place, one.place) for one in allowed)
        }
    )


def _shown(place: str, finder: Finder) -> str:
    return "a place with a secret in its name" if finder.forms(place.encode()) else place


@dataclass(slots=True)
class Hunt:
    """A hunt through one cloud."""

    cloud: "LocalCloud"
    finder: Finder = field(default_factory=Finder)

    def leaks(self) -> list[Leak]:
        """Look everywhere, as far as the cloud is running."""
        return leaks(self._places(), self.finder)

    def _places(self) -> Places:
        yield from self.files()
        if (self.cloud.state / "env").exists():
            for kept in (
                *(self._objects, self._items, self._logs, self._metrics, self._executions),
                *(self._messages, self._secrets, self._functions, self._rest, self._processes),
            ):
                yield from kept()

    def files(self) -> Places:
        """Read all that was written beside the cloud, terminals included, and into the tree."""
        state = self.cloud.state
        skipped = (*SKIPPED, state / "emulator/layers")
        folders = (state, ROOT / ".local", ROOT / ".hypothesis", ROOT / "docs")
        files = [path for folder in folders for path in folder.rglob("*")]
        for path in [*files, self.cloud.said, *ROOT.glob("core*"), *Path().glob("core*")]:
            with suppress(OSError):  # gone by now
                if path.is_file() and not any(map(path.is_relative_to, skipped)):
                    yield f"file {path}", path.read_bytes()

    def _objects(self) -> Places:
        s3, known = self.cloud.client("s3"), self.cloud.environment
        names = {known[f"{name.upper()}_BUCKET"]: name for name in ("inbox", "reports")}
        for bucket in (one["Name"] for one in s3.list_buckets()["Buckets"]):
            pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
            for page in pages:
                for one in page.get("Versions", ()):
                    found = s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
                    place = f"object {names.get(bucket, bucket)}/{one['Key']}"
                    yield place, found.pop("Body").read()
                    yield f"head of {place}", _text(found)

    def _items(self) -> Places:
        tables = self.cloud.client("dynamodb")
        for name in tables.list_tables()["TableNames"]:
            for page in tables.get_paginator("scan").paginate(TableName=name):
                for item in page["Items"]:
                    yield f"item of {name}", _text(item)

    def _logs(self) -> Places:
        logs = self.cloud.client("logs")
        for page in logs.get_paginator("describe_log_groups").paginate():
            for name in (one["logGroupName"] for one in page["logGroups"]):
                events = logs.get_paginator("filter_log_events").paginate(logGroupName=name)
                for part in events:
                    lines = [(one["logStreamName"], one["message"]) for one in part["events"]]
                    yield f"log {name}", _text(lines)

    def _metrics(self) -> Places:
        metrics = self.cloud.client("cloudwatch")
        for page in metrics.get_paginator("list_metrics").paginate():
            for one in page["Metrics"]:
                yield f"metric {one['Namespace']}/{one['MetricName']}", _text(one)
        yield "alarms", _text(metrics.describe_alarms())

    def _executions(self) -> Places:
        states = self.cloud.client("stepfunctions")
        for machine in states.list_state_machines()["stateMachines"]:
            arn = machine["stateMachineArn"]
            yield "state machine", _text(states.describe_state_machine(stateMachineArn=arn))
            for page in states.get_paginator("list_executions").paginate(stateMachineArn=arn):
                for execution in page["executions"]:
                    this = {"executionArn": execution["executionArn"]}
                    place = f"execution {execution['name']}"
                    yield place, _text(states.describe_execution(**this))
                    for part in states.get_paginator("get_execution_history").paginate(**this):
                        yield f"history of {place}", _text(part["events"])

    def _messages(self) -> Places:
        """Read what waits in the queues, and leave it there."""
        queues = self.cloud.client("sqs")
        for url in queues.list_queues().get("QueueUrls", ()):
            place = f"queue {url.rpartition('/')[2]}"
            yield (
                f"settings of {place}",
                _text(queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])),
            )
            wanted = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 300}
            asked = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}
            handles = []
            while found := queues.receive_message(**wanted, **asked).get("Messages"):
                handles += [one["ReceiptHandle"] for one in found]
                yield from ((place, _text(one)) for one in found)
            for handle in handles:
                queues.change_message_visibility(
                    QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0
                )

    def _secrets(self) -> Places:
        store = self.cloud.client("secretsmanager")
        for page in store.get_paginator("list_secrets").paginate(IncludePlannedDeletion=True):
            for one in page["SecretList"]:
                name = one["Name"]
                yield f"description of secret {name}", _text(one)
                with suppress(store.exceptions.InvalidRequestException):  # to be deleted
                    for version in store.list_secret_version_ids(
                        SecretId=name, IncludeDeprecated=True
                    )["Versions"]:
                        value = store.get_secret_value(
                            SecretId=name, VersionId=version["VersionId"]
                        )
                        yield f"secret {name}", value["SecretString"].encode()

    def _functions(self) -> Places:
        functions = self.cloud.client("lambda")
        for page in functions.get_paginator("list_functions").paginate():
            for one in page["Functions"]:
                yield f"function {one['FunctionName']}", _text(one)
        yield "sources of events", _text(functions.list_event_source_mappings())

    def _rest(self) -> Places:
        """Read what is kept once: stacks, rights, topics, rules."""
        stacks, topics = self.cloud.client("cloudformation"), self.cloud.client("sns")
        events = self.cloud.client("events")
        for stack in stacks.describe_stacks()["Stacks"]:
            this = {"StackName": stack["StackName"]}
            yield "stack", _text(stack)
            yield "events of the stack", _text(stacks.describe_stack_events(**this))
            yield "template of the stack", _text(stacks.get_template(**this))
        yield "rights", _text(self.cloud.client("iam").get_account_authorization_details())
        yield "parameters", _text(self.cloud.client("ssm").get_parameters_by_path(Path="/"))
        yield "topics", _text([topics.list_topics(), topics.list_subscriptions()])
        rules = events.list_rules()["Rules"]
        yield "rules", _text(rules)
        for rule in rules:
            yield "targets of rules", _text(events.list_targets_by_rule(Rule=rule["Name"]))

    def _processes(self) -> Places:
        """Read the command lines and environments of all processes of the cloud."""
        for pid, _ in json.loads((self.cloud.state / "processes.json").read_text()):
            for process in [(own := psutil.Process(pid)), *own.children(recursive=True)]:
                with suppress(psutil.Error):
                    yield f"process {process.name()}", _text([process.cmdline(), process.environ()])


def _text(value: object) -> bytes:
    """Return what a service answered as one text."""
    return json.dumps(value, ensure_ascii=False, default=_as_text).encode()


def _as_text(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


# ── For a while ─────────────────────────────────────────────────────────────────────────────────


def keep_messages(cloud: "LocalCloud") -> None:
    """Have all messages and events kept from now on, no matter who else receives them."""
    queues, topics, events = cloud.client("sqs"), cloud.client("sns"), cloud.client("events")
    url = queues.create_queue(QueueName="kept")["QueueUrl"]
    known = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = known["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    topic = cloud.environment["NOTIFICATION_TOPIC_ARN"]
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    events.put_rule(Name="kept", EventPattern=json.dumps({"source": [{"prefix": ""}]}))
    events.put_targets(Rule="kept", Targets=[{"Id": "queue", "Arn": arn}])


@contextmanager
def hunted(cloud: "LocalCloud") -> Iterator[None]:
    """Keep messages from now on, and search at the end."""
    keep_messages(cloud)
    yield
    searched(cloud)


def searched(cloud: "LocalCloud") -> None:
    """Fail when a secret is where none may be."""
    found = Hunt(cloud).leaks()
    assert not found, "\n".join(["secrets where none may be:", *map(str, found)])
