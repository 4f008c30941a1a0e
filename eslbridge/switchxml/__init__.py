"""The one writer of the XML files that FreeSWITCH reads: pure, standard library only."""

from .writer import MANAGED, Element, Expression, Include, UnsafeValue, check_value, document, managed_by

__all__ = [
    "MANAGED",
    "Element",
    "Expression",
    "Include",
    "UnsafeValue",
    "check_value",
    "document",
    "managed_by",
]
