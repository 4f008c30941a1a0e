"""What may be written to a log: the conversation with its passwords masked."""

import re
from typing import Final

from .events import Event
from .frames import ApiResponse, Message

MASK: Final = "********"
MAX_TRACED: Final = 4096
"""Characters of one read or write that a trace shows; events come by the megabyte."""

_AUTH: Final = re.compile(r"^(auth )[^\n]*", re.MULTILINE)
_USERAUTH: Final = re.compile(r"^(userauth [^:\n]*:)[^\n]*", re.MULTILINE)
_NAMED: Final = re.compile(
    r"""([\w.-]*(?:passw(?:or)?d|passwd|a1-hash|secret)[\w.-]*   # variable_sip_auth_password, vm-password
        (?:\\?["'])?\s*
        (?:[:=]\s*|\s+value\s*=\s*|%3D|>)
        (?:\\?["'])?)
        [^"'\\,;\s<}&]+""",
    re.IGNORECASE | re.VERBOSE,
)


def masked(data: bytes) -> str:
    """`data` as text for a trace: at most `MAX_TRACED` characters, without passwords."""
    shown = data[:MAX_TRACED].decode("utf-8", "backslashreplace")
    shown = _AUTH.sub(rf"\g<1>{MASK}", shown)
    shown = _USERAUTH.sub(rf"\g<1>{MASK}", shown)
    shown = _NAMED.sub(rf"\g<1>{MASK}", shown)
    left_out = len(data) - MAX_TRACED
    return f"{shown}… {left_out} more bytes" if left_out > 0 else shown


def described(message: Message) -> str:
    """A received message for a trace. (Of a password that a read cuts in two, no half would be masked.)"""
    if isinstance(message, Event):
        return masked(message.raw)
    if isinstance(message, ApiResponse):
        return masked(message.body)
    return masked(repr(message).encode("utf-8", "backslashreplace"))
