"""Rules for what users type about phones. One place: forms, API and imports all call these."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from django.core.exceptions import ValidationError

from eslbridge.switchxml import UnsafeValue, check_value

_EXTENSION = re.compile(r"[1-9][0-9]{3,5}", re.ASCII)
_CALLER_ID_NUMBER = re.compile(r"\+?[0-9]{2,20}", re.ASCII)
_CALL_GROUP = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_PIN = re.compile(r"[0-9]{4,10}", re.ASCII)
_EMAIL = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+", re.ASCII)
# The switch cuts a caller-ID name at `"`, `@`, `:` and `/`; braces and backslashes mean something to it.
_NOT_CARRIED = re.compile(r'["@:/{}\\]')


# What else than agents has an extension: each returns it with whose it is, in words. Rooms above register.
_claims: list[Callable[[], Mapping[str, str]]] = []


def claims_extensions(find: Callable[[], Mapping[str, str]]) -> Callable[[], Mapping[str, str]]:
    """Register a function that returns the extensions that no agent may have, with whose they are."""
    _claims.append(find)
    return find


_known: ContextVar[dict[str, str] | None] = ContextVar("claimed extensions", default=None)


def claimed_extensions() -> dict[str, str]:
    """Every extension that is not an agent's, with whose it is: “The ring group 6000 Sales”."""
    if (known := _known.get()) is not None:
        return known
    return {extension: owner for find in _claims for extension, owner in find().items()}


@contextmanager
def claims_asked_once() -> Iterator[None]:
    """Inside, the claims are those of its beginning: for imports of thousands."""
    token = _known.set(claimed_extensions())
    try:
        yield
    finally:
        _known.reset(token)


def validate_extension(value: str) -> None:
    """4 to 6 digits, the first not 0 (0 reaches the operator on most systems)."""
    if not _EXTENSION.fullmatch(value):
        raise ValidationError(
            "An extension is 4 to 6 digits from 0 to 9 and does not begin with 0, like 1020."
        )


def validate_caller_id_number(value: str) -> None:
    """Digits, perhaps after a +: what other phones show and call back."""
    if not _CALLER_ID_NUMBER.fullmatch(value):
        raise ValidationError(
            "A caller ID number is 2 to 20 digits, perhaps after a +, like 1020 or +19495431333."
        )


def validate_call_group(value: str) -> None:
    """One word: the switch's lists of groups are separated by commas."""
    if not _CALL_GROUP.fullmatch(value):
        raise ValidationError("A call group is one word of letters, digits, - and _, like support.")


def validate_pin(value: str) -> None:
    """4 to 10 digits, not all the same and not simply counted up."""
    if not _PIN.fullmatch(value):
        raise ValidationError("A voicemail PIN is 4 to 10 digits.")
    if len(set(value)) == 1 or value in "01234567890" or value in "09876543210":
        raise ValidationError("This voicemail PIN is the first that a thief tries. Choose another.")


def validate_email_for_switch(value: str) -> None:
    """An address of plain characters: the switch hands it to its mail program on a command line, and older
    ones through a shell (switch_simple_email in switch_utils.c)."""
    if not is_email_for_switch(value):
        raise ValidationError(
            "The switch can send mail only to addresses of letters, digits and . _ % + - before the @."
        )


def is_email_for_switch(value: str) -> bool:
    return _EMAIL.fullmatch(value) is not None


def validate_display_name(value: str) -> None:
    """A name that can go over SIP, into the XML and through `originate` and arrive as it was typed."""
    try:
        check_value(value, "The name")
    except UnsafeValue as refused:
        raise ValidationError(f"The name {refused.problem}") from None
    if found := _NOT_CARRIED.search(value):
        raise ValidationError(f"The name holds “{found[0]}”, which the switch cannot carry. Leave it out.")
    if not value.strip():
        raise ValidationError("The name is empty.")
    if value != value.strip():
        raise ValidationError("The name begins or ends with a space. Leave it out.")
