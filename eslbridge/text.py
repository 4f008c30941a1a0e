"""Text from outside, made fit for a database and a page."""

import re

# What surrogateescape does not turn back into a byte.
_LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def printable(text: str, length: int | None = None) -> str:
    """The text without NUL and with a replacement mark for each byte that was not UTF-8.

    A caller can send any bytes as a name: PostgreSQL and JSON take neither NUL nor lone surrogates, and a
    call record must not be lost over them. `length` is the most characters to keep.
    """
    raw = _LONE_SURROGATE.sub("\ufffd", text).encode("utf-8", "surrogateescape")
    clean = raw.decode("utf-8", "replace").replace("\0", "\ufffd")
    return clean if length is None else clean[:length]
