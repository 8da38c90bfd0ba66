"""What a sheet shows of a number, which hangs on the format of its cell."""

import re

from email_accounts.parsing.records import Damage

GENERAL, TEXT = "General", "@"
_BUILT_IN = {0: GENERAL, 1: "0", 3: "#,##0", 49: TEXT}
_BUILT_IN_DATES = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
_DATE, _OTHER = "yyyy-mm-dd", "0.00"
_CONDITION = re.compile(r"\[(?![hms]+\])[^\]]*\]", re.IGNORECASE)
_LITERAL = re.compile(r'"[^"]*"?|\\.|[_*].', re.DOTALL)
_PART_OF_DATE = re.compile("[dmyhs]", re.IGNORECASE)
_WHOLE = re.compile("#*0+")
_SIGNIFICANT = ".15g"
_EXACT = 10**15
_LONGEST_SHOWN = 11
"""Characters of a number that the format General shows without an exponent or rounding."""


class NumberFormats:
    """The formats of numbers by the style of their cell."""

    def __init__(self, codes: list[str]) -> None:
        """Take the code of the format for each style."""
        self._codes = {str(style): code for style, code in enumerate(codes)}
        self.general = {
            "0",
            *(style for style, code in self._codes.items() if code in (GENERAL, TEXT)),
        }
        """Styles in which a short whole number is shown as it is stored."""
        if codes and codes[0] not in (GENERAL, TEXT):
            self.general.discard("0")

    def shown(self, text: str, style: str) -> tuple[str, Damage | None]:
        """Return a number's text, 465 for 4.65E2, and what makes it another than was typed."""
        try:
            number = float(text)
        except ValueError:
            return text, None
        if not text.isdecimal():
            text = format(number, _SIGNIFICANT)
        code = self._codes.get(style, GENERAL)
        if code == _DATE:
            return text, Damage.DATE
        if code in (GENERAL, TEXT):
            same = len(text.lstrip("-")) <= _LONGEST_SHOWN and "e" not in text
        else:
            digits = len(code) if _WHOLE.fullmatch(code) else 0
            zeros = code.count("0")
            whole = text.lstrip("-")
            same = whole.isdecimal() and (
                (digits > 0 and len(whole) >= zeros)
                or (code == "#,##0" and len(whole) <= len("999"))
            )
        return text, None if same and abs(number) < _EXACT else Damage.NUMBER


def code_of(number: int, custom: dict[int, str]) -> str:
    """Return the code of a format by its number: one of a few, for dates and all others."""
    if number in _BUILT_IN_DATES:
        return _DATE
    code = custom.get(number) or _BUILT_IN.get(number, _OTHER)
    code = _CONDITION.sub("", code)
    if code.lower() == GENERAL.lower():
        return GENERAL
    digits = _LITERAL.sub("", code)
    if _PART_OF_DATE.search(digits):
        return _DATE
    return code if digits == code else _OTHER
