"""Everything that can go wrong and is known by name. No message quotes a secret."""


class ImporterError(Exception):
    """The root of all errors of this package."""


class FileRefusedError(ImporterError):
    """The upload as a whole cannot be read as accounts: the problem and the fix."""

    def __init__(self, problem: str, fix: str) -> None:
        """Take the problem and the fix, one sentence each."""
        super().__init__(f"{problem} {fix}")
        self.problem = problem
        self.fix = fix


class FolderRefusedError(FileRefusedError):
    """The upload is in a folder that belongs to no workspace."""


class UploadMissingError(ImporterError):
    """The uploaded object, or its version, is no longer in the inbox."""


class WrongBucketError(ImporterError):
    """An event tells of an object that does not lie in the inbox."""


class EventRefusedError(ImporterError):
    """The event bus did not take an event."""


class LedgerConflictError(ImporterError):
    """The ledger holds another state than the change starts from."""


class ImportLockedError(ImporterError):
    """Somebody else has the import in hands, and may die: to be tried again later."""


class ApiKeyMissingError(ImporterError):
    """The secret that should hold the API key is empty."""


class WorkspaceUnknownError(ApiKeyMissingError):
    """There is no secret for the API key of this workspace."""


class RetryAfterError(ImporterError):
    """The next call has to wait for its turn, or for the remote."""

    def __init__(self, wait_seconds: float) -> None:
        """Say how many seconds to wait."""
        super().__init__(f"to be called in {wait_seconds:g} s")
        self.wait_seconds = wait_seconds


class SaleshandyError(ImporterError):
    """The root of what the remote API can answer instead of a result."""


class ApiKeyRefusedError(SaleshandyError):
    """The remote does not accept the API key: nothing else will work either."""


class ThrottledError(SaleshandyError):
    """The remote wants fewer calls."""

    def __init__(self, retry_after_seconds: float) -> None:
        """Say how many seconds to wait."""
        super().__init__(f"throttled, try again in {retry_after_seconds:g} s")
        self.retry_after_seconds = retry_after_seconds


class RequestRefusedError(SaleshandyError):
    """The remote read the request and refused it; the text is the remote's own."""


class RequestNotFoundError(RequestRefusedError):
    """The service does not find what the request is about.

    Of a status check that is the request id, not known yet or not any more.
    """


class NotSentError(SaleshandyError):
    """The request never reached the remote: repeating it is harmless."""


class OutcomeUnknownError(SaleshandyError):
    """The request may have been carried out, but no readable answer came back."""


class ReportUnavailableError(ImporterError):
    """The remote's report could not be fetched or read; the text says why."""
