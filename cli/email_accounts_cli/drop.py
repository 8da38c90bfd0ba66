"""Check files, upload them to the inbox, and follow their imports."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig

from email_accounts.errors import FileRefusedError
from email_accounts.models.upload import (
    DEFAULT_WORKSPACE,
    NO_OPTIONS,
    PREFIX,
    Upload,
    UploadOptions,
)
from email_accounts_cli.check import counts
from email_accounts_cli.history import History
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    CommandError,
    counted,
    echo,
    is_confirmed,
    print_json,
    printable,
    progress,
)
from email_accounts_cli.validation import found_at_import, validate
from email_accounts_cli.watch import follow as follow_to_the_end
from email_accounts_cli.watch import how_to_watch
from email_accounts_cli.workspaces import is_known

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_MEGABYTE = 1_000_000
_PARTS = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20)


@dataclass(frozen=True, slots=True)
class _Dropped:
    """A file and its upload."""

    file: Path
    upload: Upload
    workspace: str

    def document(self) -> dict[str, object]:
        return {
            "file": str(self.file),
            "importId": self.upload.import_id,
            "workspace": self.workspace,
            "bucket": self.upload.bucket,
            "key": self.upload.key,
            "version": self.upload.version,
            "bytes": self.upload.size,
        }


def drop(  # noqa: PLR0913  one per option
    stack: Stack,
    files: Sequence[Path],
    workspace: str,
    *,
    anyway: bool,
    follow: bool,
    as_json: bool,
    options: UploadOptions = NO_OPTIONS,
    strict: bool = False,
    ask: bool = False,
) -> int:
    """Check files, upload all or none, and follow them; return the exit code.

    `options` apply to each file. `strict` uploads nothing if a row is not accepted. `ask` shows
    the result of the check and asks before it uploads.
    """
    _refuse_without_content(files)
    if not anyway:
        largest = float(stack.parameter("MaxFileMegabytes"))
        _check(files, largest, options, strict=strict, whole=ask)
    if is_known(stack, workspace) is False:
        raise CommandError(
            f"There is no workspace {workspace}. Add it: email-accounts workspace add {workspace}"
        )
    if ask and not is_confirmed(
        f"Upload {counted(len(files), 'file')} with passwords to the workspace {workspace} of "
        f"{stack.name}?"
    ):
        raise CommandError("Nothing was uploaded.")
    history = History(stack)
    dropped: list[_Dropped] = []
    bucket = stack.output("InboxBucketName")
    try:
        for one in _uploaded(history.s3, files, bucket, workspace, options):
            dropped.append(one)  # noqa: PERF402  those before an error count
    finally:  # also after an error: these are uploaded
        _print(dropped, files, as_json=as_json)
    if not follow:
        if not as_json:
            echo(f"Follow: {how_to_watch([one.upload.import_id for one in dropped])}")
        return ALL_WELL
    named = [(one.upload.import_id, one.upload.name, one.workspace) for one in dropped]
    return follow_to_the_end(history, named, as_json=as_json)


def _refuse_without_content(files: Sequence[Path]) -> None:
    """Refuse empty files: they start no import."""
    if empty := [printable(str(file)) for file in files if not file.stat().st_size]:
        raise CommandError(
            f"Nothing was uploaded: {', '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty."
        )


def _check(
    files: Sequence[Path], largest: float, options: UploadOptions, *, strict: bool, whole: bool
) -> None:
    """Check files; print the problems of each, or the `whole` summary."""
    refused, rejected = 0, list[str]()
    for file in files:
        try:
            _refuse_too_large(file, largest)
            validation = validate(str(file), 0, lambda _: None, options, found_at_import)
        except FileRefusedError as error:
            refused += 1
            echo(f"{printable(str(file))}: {error}", err=True)
        else:
            if not validation.is_clean:
                rejected.append(str(file))
            if whole or not validation.is_clean:
                echo(f"{printable(str(file))}: {counts(validation.plan)}", err=True)
            for warning in validation.warnings if whole else ():
                echo(f"  Warning: {warning}", err=True)
    if refused:
        raise CommandError(
            f"Nothing was uploaded: {counted(refused, 'file')} cannot be used. Fix or omit "
            f"{'it' if refused == 1 else 'them'}, or add --anyway to get the result by mail."
        )
    command = shlex.join(["email-accounts", "check", *rejected])
    if rejected and strict:
        raise CommandError(
            f"Nothing was uploaded: {counted(len(rejected), 'file')} with rows that would not be "
            f"sent. To list them: {command}"
        )
    if rejected:
        echo(f"To list the rows that will not be sent: {command}", err=True)


def _refuse_too_large(file: Path, largest: float) -> None:
    size = file.stat().st_size / _MEGABYTE
    if size > largest:
        raise FileRefusedError(
            f"It has {size:,.1f} MB; the limit of the stack is {largest:,.0f} MB.",
            "Split it, or deploy with a larger MaxFileMegabytes.",
        )


def _uploaded(
    s3: "S3Client", files: Sequence[Path], bucket: str, workspace: str, options: UploadOptions
) -> Iterator[_Dropped]:
    version = ""

    def remember(parsed: dict[str, Any], **_: object) -> None:
        nonlocal version
        version = parsed.get("VersionId", "")

    # The transfer does not return S3's response, and the import id depends on the version.
    for answer in ("PutObject", "CompleteMultipartUpload"):
        s3.meta.events.register(f"after-call.s3.{answer}", remember)
    total = sum(file.stat().st_size for file in files)
    with progress("", total, in_bytes=True) as move:
        for file in files:
            share = "" if workspace == DEFAULT_WORKSPACE else f"{workspace}/"
            key = f"{PREFIX}{share}{file.name}"
            s3.upload_file(
                str(file),
                bucket,
                key,
                ExtraArgs={"Metadata": options.metadata},
                Callback=lambda count: move(advance=count),
                Config=_PARTS,
            )
            yield _Dropped(file, Upload(bucket, key, version, file.stat().st_size), workspace)


def _print(dropped: Sequence[_Dropped], files: Sequence[Path], *, as_json: bool) -> None:
    for one in dropped:
        if as_json:
            print_json(one.document())
        else:
            address = f"s3://{one.upload.bucket}/{printable(one.upload.key)}"
            echo(f"{one.upload.import_id}  {printable(str(one.file))} → {address}")
    if left := files[len(dropped) :]:
        names = ", ".join(printable(str(file)) for file in left)
        echo(f"Interrupted. Not uploaded: {names}", err=True)
