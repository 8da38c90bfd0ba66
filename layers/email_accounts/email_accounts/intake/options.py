"""What an uploader says about a file as a whole, checked against what can be said."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from email_accounts.errors import FileRefusedError
from email_accounts.intake.columns import folded, target_named
from email_accounts.intake.layouts import ALIASES
from email_accounts.intake.settings import is_setting
from email_accounts.models.account import RULES, SETTINGS, RowWarning, WarningCode
from email_accounts.models.upload import UploadOptions
from email_accounts.text.headers import looks_like_a_name


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of an upload, understood.

    `values` are the values of SETTINGS for blank cells. `columns` says by the folded name of a
    column what it holds; "" for one to be ignored. `notes` repeat both for people.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[RowWarning, ...] = ()


def understood(options: UploadOptions) -> ReadOptions:
    """Check what was given.

    Raises:
        FileRefusedError: a field does not exist or cannot be set, or a value cannot be used. The
            value is not quoted.
    """
    values = {_settable(name): value for name, value in options.values}
    for name, value in values.items():
        if not is_setting(name, value):
            raise FileRefusedError(f"The value set for {name} cannot be used.", RULES[name].hint)
    columns = {folded(name): _target(name, target) for name, target in options.columns}
    given = {folded(name): name for name, _ in options.columns}
    said = [f"{name}={value} is used where the cell is blank" for name, value in values.items()]
    said += [
        f"the column {_quoted(name)} is {f'read as {target}' if target else 'ignored'}"
        for name, target in ((name, columns[key]) for key, name in given.items())
    ]
    notes = (
        (RowWarning(WarningCode.OPTIONS_GIVEN, f"as you asked, {', '.join(said)}"),) if said else ()
    )
    return ReadOptions(values, columns, notes)


def _settable(name: str) -> str:
    target = target_named(name)
    if target in SETTINGS:
        return target
    if target and "password" in target.lower():
        raise FileRefusedError(
            "A password cannot be set for a whole file.", "Put it into a column of the file."
        )
    raise FileRefusedError(
        f"The field {_quoted(name)} cannot be set for a whole file.",
        f"Fields that can: {', '.join(SETTINGS)}.",
    )


def _target(name: str, given: str) -> str:
    target = target_named(given)
    if target is None:
        raise FileRefusedError(
            f"The column {_quoted(name)} cannot be read as {_quoted(given)}: there is no such "
            "field.",
            f"Fields: {', '.join(ALIASES)}.",
        )
    return target


def _quoted(name: str) -> str:
    """Quote a name, but nothing that may be a password."""
    return name.strip() if looks_like_a_name(name) else "given"
