"""Starts the emulator and closes those of its gaps that matter here.

Requests: MiniStack checks no signature made with the account's own key, and answers any web
page. Here a request must be signed with a key of this cloud, and none is taken that a browser sent
for a page or that was sent to another host. The keys of functions are made from a secret, too:
MiniStack makes them from their names.

Mail: MiniStack takes mail subscriptions of a topic and logs what it would send. Here every such
mail becomes a file `<message id>-<n>.eml` in a folder, as the subscriber would get it.

Transport: requests reach it over plain HTTP, which never leaves this computer. Policies that
demand TLS see TLS, so that they can be deployed as they are and hold for everything else.

Ranges: MiniStack answers with the whole object when a range of a certain version is asked for.
Here it answers with the range, so that what a function holds of a file is what it holds on AWS.

Processes: MiniStack starts one more process whenever all of a function's are busy. Here a call
waits while as many as `WORKERS_PER_FUNCTION` run; its own timeout begins when it does. A function
must not call itself, or it would wait for itself. In each process, points can be laid at which it
ends: see `faults.py`.

Layers: MiniStack unpacks a layer for each new process of a function, which takes longer than
anything else it does. Here all of them read one unpacked copy, as they do on AWS.

Keys: MiniStack checks rights on the alias if a key is named by its alias. Here, as on AWS, they
are held to rights on the key.

Alarms: they are kept and never evaluated, but one over a sum of metrics is refused. Here it is
kept as one over the first of them, so that the template can be deployed.

    python local/emulator.py STATE_DIRECTORY      (mail is in STATE_DIRECTORY/mail)

Runs in the emulator's own environment; its settings reach it as environment variables.
"""

import functools
import hashlib
import hmac
import importlib.metadata
import os
import re
import sys
import threading
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from email.message import EmailMessage
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, quote

from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime, router, sigv4
from ministack.services import kms, lambda_svc, s3, sns
from ministack.services.cloudformation import provisioners

VERSION = "1.5.33"
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Serve = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_RAISED = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", re.MULTILINE)
"""How a traceback ends."""


def main() -> None:
    """Serve until SIGTERM."""
    installed = importlib.metadata.version("ministack")
    if installed != VERSION:
        sys.exit(f"this file knows MiniStack {VERSION}, not {installed}: check what it replaces")
    state = Path(sys.argv.pop())
    mail = state / "mail"
    mail.mkdir(parents=True, exist_ok=True)
    app.app = _guarded(app.app, f"127.0.0.1:{os.environ['GATEWAY_PORT']}")
    _keep_keys_of_functions_secret(os.environ["AWS_SECRET_ACCESS_KEY"])
    _send_mail_to_files(mail)
    _count_loopback_as_tls()
    _cut_ranges_of_versions()
    _bound_workers(int(os.environ["WORKERS_PER_FUNCTION"]))
    _unpack_layers_once(state / "layers")
    _watch_for_faults(state / "faults")
    _keep_alarms_over_several_metrics()
    _name_errors_by_their_class()
    _judge_aliases_by_their_keys()
    app.main()


def _guarded(serve: Serve, host: str) -> Serve:
    """Put the checks of a request in front of the emulator."""

    async def serve_own(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1").lower(), sigv4.decode_header_value(value)
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        if "origin" in headers or headers.get("host") != host:
            await _answer(send, HTTPStatus.FORBIDDEN, {}, b"This cloud serves no web page.\n")
            return
        chunks, more = [], True
        while more:
            message = await receive()
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(chunks)
        query = parse_qs(scope["query_string"].decode(), keep_blank_values=True)
        if failure := _signature_failure(scope, headers, query, body):
            service = router.detect_service(scope["method"], scope["path"], headers, query)
            error = iam_evaluator.AuthError(*failure)
            await _answer(send, *app._credential_failure(service, "", "", error, headers))  # noqa: SLF001
            return
        first = iter([{"type": "http.request", "body": body}])

        async def receive_again() -> dict[str, Any]:
            return next(first, None) or await receive()

        await serve(scope, receive_again, send)

    return serve_own


def _signature_failure(
    scope: Mapping[str, Any],
    headers: Mapping[str, str],
    query: Mapping[str, list[str]],
    body: bytes,
) -> tuple[str, str] | None:
    """Say what is wrong with the signature of a request, by a code and in words."""
    by_link = "authorization" not in headers
    parse = sigv4.parse_query_signature if by_link else sigv4.parse_header_signature
    signature = parse(query if by_link else headers)
    if isinstance(signature, tuple):
        return signature
    token = query.get("X-Amz-Security-Token", [""])[0] if by_link else ""
    credential = iam_evaluator.resolve_credential(
        signature.access_key_id,
        iam_evaluator.find_iam_access_key_account(signature.access_key_id),
        headers.get("x-amz-security-token", token),
    )
    if isinstance(credential, iam_evaluator.CredentialResolutionError):
        return credential.code, credential.message
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
    failure: tuple[str, str] | None = sigv4.header_signature_failure(
        *(signature, credential.secret_access_key, scope["method"], path, query, headers, body),
        presigned=by_link,
    )
    return failure


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw_headers})
    await send({"type": "http.response.body", "body": body})


def _keep_keys_of_functions_secret(secret: str) -> None:
    """Have keys made from a secret where the emulator makes them from names alone."""
    digest = functools.partial(hmac.new, secret.encode(), digestmod="sha256")
    lambda_runtime.hashlib = SimpleNamespace(sha256=digest)


def _send_mail_to_files(folder: Path) -> None:
    """Put the writing of mail in front of the emulator's own delivery."""
    deliver = sns._fanout  # noqa: SLF001 - the emulator offers no other place

    def deliver_and_mail(
        topic_arn: str,
        message_id: str,
        message: str,
        subject: str,
        *rest: Any,  # noqa: ANN401 - as it came
        **routing: Any,  # noqa: ANN401 - as it came
    ) -> None:
        structure, attributes = rest
        # Mail first: when the message is in a queue, the mail is written.
        text = sns._resolve_message_for_protocol(message, structure, "email")  # noqa: SLF001
        topic = sns._topic_by_arn_any_scope(topic_arn)  # noqa: SLF001
        wanted = [
            subscription
            for subscription in (topic or {}).get("subscriptions", [])
            if subscription["protocol"] == "email"
            and sns._matches_filter_policy(subscription, attributes or {}, text)  # noqa: SLF001
        ]
        for number, subscription in enumerate(wanted, start=1):
            letter = _letter(topic, subscription, subject, text)
            (folder / f"{message_id}-{number}.eml").write_bytes(letter.as_bytes())
        deliver(topic_arn, message_id, message, subject, *rest, **routing)

    sns._fanout = deliver_and_mail  # noqa: SLF001


def _count_loopback_as_tls() -> None:
    pin = app.pin_request_origin
    app.pin_request_origin = lambda address, _secure: pin(address, True)  # noqa: FBT003


def _cut_ranges_of_versions() -> None:
    """Cut the range out of an object that comes whole."""
    get = s3._get_object  # noqa: SLF001

    def get_range(
        bucket: str, key: str, headers: dict[str, str], query: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        status, response, body = get(bucket, key, headers, query)
        if status != HTTPStatus.OK or "range" not in headers:
            return status, response, body
        whole = len(body)
        found = s3._parse_range(headers["range"], whole)  # noqa: SLF001
        if found is None:
            refusal = s3._xml_body(s3._range_error_xml(bucket, key))  # noqa: SLF001
            response = {"Content-Type": "application/xml", "Content-Range": f"bytes */{whole}"}
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, response, refusal
        first, last = found
        part = body[first : last + 1]
        # A checksum is that of the whole object.
        response = {
            name: response[name]
            for name in response
            if not name.lower().startswith("x-amz-checksum")
        }
        response |= {
            "Content-Length": str(len(part)),
            "Content-Range": f"bytes {first}-{last}/{whole}",
        }
        return HTTPStatus.PARTIAL_CONTENT, response, part

    s3._get_object = get_range  # noqa: SLF001


def _bound_workers(limit: int) -> None:
    """Make calls wait for the limit of the function before the emulator starts a process."""
    take, give_back = lambda_svc._acquire_execution_slot, lambda_svc._release_execution_slot  # noqa: SLF001
    free: dict[str, threading.Semaphore] = {}

    def take_when_free(
        function: dict[str, Any], config: dict[str, Any]
    ) -> tuple[str | None, str | None]:
        key = lambda_svc._inflight_key(config)  # noqa: SLF001
        turn = free.setdefault(key, threading.Semaphore(limit))
        turn.acquire()
        slot, refusal = take(function, config)
        if slot is None:
            turn.release()
        return slot, refusal

    def give_back_and_wake(slot: str) -> None:
        give_back(slot)
        free[slot].release()

    lambda_svc._acquire_execution_slot = take_when_free  # noqa: SLF001
    lambda_svc._release_execution_slot = give_back_and_wake  # noqa: SLF001


def _unpack_layers_once(folder: Path) -> None:
    """Link each process of a function to one unpacked copy of its layer."""
    one_at_a_time = threading.Lock()

    class Archive(zipfile.ZipFile):
        def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:  # noqa: ANN401 - as it came
            place = Path(path)
            if not place.name.startswith("layer_"):
                super().extractall(path, members, pwd)
                return
            digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
            copy = folder / digest
            with one_at_a_time:
                if not copy.exists():
                    unfinished = folder / f"{digest}.part"
                    super().extractall(unfinished, members, pwd)
                    unfinished.rename(copy)
            place.rmdir()
            place.symlink_to(copy)

    lambda_runtime.zipfile = SimpleNamespace(**vars(zipfile) | {"ZipFile": Archive})


def _watch_for_faults(folder: Path) -> None:
    """Put the watching in front of what each process of a function runs."""
    here = str(Path(__file__).parent)
    lambda_runtime._PYTHON_WORKER_SCRIPT = (  # noqa: SLF001
        "import os, pathlib, sys\n"
        f"sys.path.insert(0, {here!r})\n"
        "import faults\n"
        "del sys.path[0]\n"
        'function = os.environ["AWS_LAMBDA_FUNCTION_NAME"].rpartition("-")[2]\n'
        f"faults.watch(pathlib.Path({str(folder)!r}), function)\n"
        f"{lambda_runtime._PYTHON_WORKER_SCRIPT}"  # noqa: SLF001
    )


def _keep_alarms_over_several_metrics() -> None:
    record = provisioners._cw_metric_alarm_record  # noqa: SLF001 - the emulator offers no other place

    def recorded(name: str, properties: dict[str, Any]) -> Any:  # noqa: ANN401 - as it came
        kept = dict(properties)
        first = next((one for one in kept.pop("Metrics", []) if "MetricStat" in one), None)
        if first:
            kept |= first["MetricStat"]["Metric"]
        return record(name, kept)

    provisioners._cw_metric_alarm_record = recorded  # noqa: SLF001


def _name_errors_by_their_class() -> None:
    """Let a state machine catch what a function raised by its class, as on AWS."""
    execute = lambda_svc._execute_function_warm  # noqa: SLF001 - the emulator offers no other place

    def named(function: dict[str, Any], event: dict[str, Any], request_id: str) -> dict[str, Any]:
        result: dict[str, Any] = execute(function, event, request_id)
        raised = _RAISED.findall(result.get("log") or "") if result.get("error") else []
        if raised and result["body"].get("errorType") == "Runtime.HandlerError":
            result["body"]["errorType"] = raised[-1]
        return result

    lambda_svc._execute_function_warm = named  # noqa: SLF001


def _judge_aliases_by_their_keys() -> None:
    named = iam_actions.extract_resource_arn

    def checked(service: str, *request: Any) -> Any:  # noqa: ANN401 - as it came
        arn = named(service, *request)
        key = kms._resolve_key(arn) if service == "kms" and ":alias/" in arn else None  # noqa: SLF001
        return key["Arn"] if key else arn

    iam_actions.extract_resource_arn = checked


def _letter(
    topic: dict[str, Any], subscription: dict[str, Any], subject: str, text: str
) -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = f'"{topic["attributes"].get("DisplayName", "")}" <no-reply@sns.amazonaws.com>'
    letter["To"] = subscription["endpoint"]
    letter["Subject"] = subject or "AWS Notification Message"
    letter["Date"] = formatdate()
    letter.set_content(text)
    return letter


if __name__ == "__main__":
    main()
