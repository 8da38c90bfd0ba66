"""CSV files we write are opened in spreadsheets, which take some texts for formulas."""

import re

from email_accounts.text.display import visible

_MARK = "'"
_STARTS = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_FORMULA = re.compile(rf"['\s]*{_STARTS}|'*[\t\r]")
_FORMULA_WITHIN = re.compile(rf"([;\t\r\n]\s*\"?)(?={_STARTS})")


def escape_formula(text: str) -> str:
    """Mark a text that a spreadsheet would take for a formula."""
    return _MARK + text if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """Return the text that `escape_formula` was given."""
    return text.removeprefix(_MARK) if _FORMULA.match(text) else text


def safe_cell(text: str) -> str:
    """Return a text from outside as a cell that people read.

    Where semicolons separate columns, Excel reads quotes as text: what follows a semicolon or a
    line break would be another cell, so it is marked as well.
    Invisible characters, which can reverse the direction of a text, become question marks.
    """
    if text[:1].isalnum() and ";" not in text and text.isprintable():
        return text
    return escape_formula(_FORMULA_WITHIN.sub(rf"\1{_MARK}", visible(text, keep="\r\n")))
