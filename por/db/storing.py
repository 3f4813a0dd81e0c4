"""Values that cannot be stored, as an error tells: a NUL, half a character, a number or a day beyond every column."""

from __future__ import annotations

from django import db

from por.db.outages import sqlstate

#: Largest key and number of the database.
LARGEST = 2**63 - 1

#: Too long, out of range, no such day or time, not a character, not of the type. Other codes of this class are ours.
UNSTORABLE = frozenset({"22001", "22003", "22007", "22008", "22021", "22P02", "22P05"})


def is_unstorable(value: object) -> bool:
    """Return whether a value of an address or cookie can be in no column."""
    return "\0" in value if isinstance(value, str) else isinstance(value, int) and abs(value) > LARGEST


def about_a_value(error: BaseException | None) -> bool:
    """Return whether the error says that a value cannot be stored: the database's, the driver's or the calendar's."""
    match error:
        case db.DataError():
            return sqlstate(error) in UNSTORABLE
        case UnicodeEncodeError() | OverflowError():
            return True
        case ValueError():
            return "NUL (0x00)" in str(error)  # the driver has no type for it
    return False
