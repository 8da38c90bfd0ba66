"""CSV files we write are opened in spreadsheets, which take some texts for formulas."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_MARK = "'"


def no_formula(text: str) -> str:
    """Mark a text that a spreadsheet would take for a formula."""
    return _MARK + text if _is_read_as_formula(text) else text


def unmarked(text: str) -> str:
    """Return the text that `no_formula` was given."""
    return text.removeprefix(_MARK) if _is_read_as_formula(text) else text


def _is_read_as_formula(text: str) -> bool:
    """Say so of marked texts too, so that marking can be undone."""
    return text.lstrip(_MARK).startswith(_FORMULA_STARTS)
