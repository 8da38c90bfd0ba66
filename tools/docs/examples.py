"""Renews what results.md and events.md show: texts by `make docs`, pictures by `ALL=1`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from email_accounts.delivery.page import page
from email_accounts.models import causes
from email_accounts.models.imports import Import, ImportState, SignIns
from email_accounts.models.policy import SignInCheck
from email_accounts.sign_in import checker
from email_accounts.sign_in.findings import FINDINGS
from tests.support import answers
from tools.docs.parts import code, with_parts

DOCS = Path(__file__).parents[2] / "docs"
PAGES = tuple(DOCS / name for name in ("results.md", "events.md"))
_PICTURES = DOCS / "images"
_SIZES = {"desktop": (960, 600), "phone": (360, 640)}


def renewed(text: str) -> str:
    """Return a document with its texts and tables as the code has them."""
    return with_parts(text, _TEXTS)


def _mail(kind: answers.Kind) -> str:
    message = answers.delivered(kind).message
    return f"```text\nSubject: {message.subject}\n\n{message.mail}```\n"


def _message() -> str:
    document = json.loads(answers.delivered(answers.sample).message.document)
    document["causes"] = document["causes"][:1]
    shown = json.dumps(document, indent=2)
    return f"Of its causes only the first is shown.\n\n```json\n{shown}\n```\n"


def _estimate() -> str:
    (estimate,) = answers.delivered(answers.sample).estimates
    return f"```json\n{json.dumps(json.loads(estimate), indent=2)}\n```\n"


def _sign_ins() -> str:
    upload = answers.delivered(answers.sample).upload
    imported = Import(
        *(upload.import_id, upload, ImportState.PLANNED, 0.0, 0.0, 0.0, 0.0), accepted=240
    )
    found = SignIns(signed_in=180, proven=40, unproven=6)
    findings = f"s3://reports/imports/{imported.id}/{FINDINGS}"
    document = checker.document(imported, found, SignInCheck.STRICT, findings)
    return f"```json\n{json.dumps(document, indent=2)}\n```\n"


def _file_ready() -> str:
    sample = json.loads((DOCS.parent / "events" / "file_ready.json").read_text(encoding="utf-8"))
    event = json.loads(sample["Records"][0]["body"])
    entry = {
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "EventBusName": "default",
        "Detail": json.dumps(event["detail"]),
    }
    return f"```json\n{json.dumps([entry], indent=2)}\n```\n"


def _causes() -> str:
    known = (one for one in vars(causes).values() if isinstance(one, causes.Cause))
    return f"{code(one.code for one in known)}\n"


_TEXTS: dict[str, Callable[[], str]] = {
    "sample": lambda: _mail(answers.sample),
    "refused": lambda: _mail(answers.refused),
    "stuck": lambda: _mail(answers.stuck),
    "message": _message,
    "estimate": _estimate,
    "file_ready": _file_ready,
    "sign_ins": _sign_ins,
    "causes": _causes,
}


def take_pictures() -> None:
    """Open pages in the browser of this computer and keep what is seen of them at first."""
    from tests.support import chromium  # noqa: PLC0415  texts are renewed without a browser

    shown = {
        "clean": answers.delivered(answers.clean).page,
        "sample": answers.delivered(answers.sample).page,
        "refused": answers.delivered(answers.refused).page,
        "large": page(answers.large(100_000)),
    }
    _PICTURES.mkdir(exist_ok=True)
    with chromium.browser(chromium.find_browser()) as browser:
        for name, html in shown.items():
            for size, (width, height) in _SIZES.items():
                opened = browser.new_page(viewport={"width": width, "height": height})
                opened.set_content(html)
                for scheme in ("light", "dark"):
                    opened.emulate_media(color_scheme=scheme)
                    opened.screenshot(path=_PICTURES / f"{name}-{size}-{scheme}.png")
                opened.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["pictures"]:
        take_pictures()
    else:
        for document in PAGES:
            document.write_text(renewed(document.read_text(encoding="utf-8")), encoding="utf-8")
