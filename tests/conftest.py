"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    """Have Ctrl-C heard, here and by all that tests start.

    `make test` runs some tests in the background, where a shell has it ignored, and what ignores
    it hands that on to its children.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
