"""Numbers as the dialplan matches them: what is dialled, as E.164; ranges, countries and emergency numbers as
regular expressions that mean the same to the switch (PCRE) and to Python.

Facts about numbers come from phonenumbers' metadata (libphonenumber's).
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata

# E.164 allows 15 digits; shorter than 7 are extensions and services.
E164 = "[1-9][0-9]{6,14}"
# What one line of the switch's files may hold is 8192 characters; a rule has more than its expression.
LONGEST_EXPRESSION = 6000
# Kinds of numbers of a country that are called as others are: not premium-rate ones.
_ORDINARY = ("fixed_line", "mobile", "toll_free", "shared_cost", "personal_number", "voip", "uan", "pager")


class Unmatchable(ValueError):
    """No expression can be made; the text says why."""


class Form(NamedTuple):
    """One way to dial: `expression` with a group, and `result`, in which $1 is that group."""

    expression: str
    result: str


@lru_cache(maxsize=8)
def dialled_forms(region: str) -> tuple[Form, ...]:
    """How a number is dialled in that region: with +, with the international prefix, in the national form.

    The first that matches decides.
    """
    metadata = PhoneMetadata.metadata_for_region(region)
    forms = [Form(rf"^\+({E164})$", "$1")]
    if metadata is None:
        return tuple(forms)
    if metadata.international_prefix:
        prefix = metadata.international_prefix.replace("\\d", "[0-9]")
        forms.append(Form(rf"^(?:{prefix})({E164})$", "$1"))
    if national := _national_form(metadata):
        forms.append(national)
    return tuple(forms)


def _national_form(metadata: Any) -> Form | None:
    lengths = [length for length in metadata.general_desc.possible_length if 4 < length <= 14]
    if not lengths:
        return None
    prefix = metadata.national_prefix or ""
    longest = max(lengths)
    shortest = max(min(lengths), 7 - len(prefix))
    # In North America the 1 may be left out; elsewhere a number without its 0 is one of the own town.
    optional = "?" if metadata.country_code == 1 else ""
    first = "[1-9]" if prefix else "[0-9]"
    body = f"{first}[0-9]{{{shortest - 1},{longest - 1}}}"
    return Form(
        f"^(?:{prefix}){optional}({body})$" if prefix else f"^({body})$", f"{metadata.country_code}$1"
    )


def as_e164(dialled: str, region: str) -> str:
    """The dialled digits as the dialplan understands them, without +; empty for no number outside."""
    for form in dialled_forms(region):
        if found := re.search(form.expression, dialled):
            return form.result.replace("$1", found[1])
    return ""


@lru_cache(maxsize=8)
def emergency_expression(region: str) -> str:
    """The emergency numbers of the region, like “^(?:112|911)$”; empty when none are known."""
    metadata = PhoneMetadata.short_metadata_for_region(region)
    pattern = metadata.emergency.national_number_pattern if metadata and metadata.emergency else ""
    return f"^(?:{_plain(pattern)})$" if pattern else ""


@lru_cache(maxsize=8)
def premium_expression(region: str) -> str:
    """The premium-rate numbers of the region in E.164 without +; empty when it has none."""
    metadata = PhoneMetadata.metadata_for_region(region)
    pattern = metadata.premium_rate.national_number_pattern if metadata and metadata.premium_rate else ""
    return f"^{metadata.country_code}(?:{_plain(pattern)})$" if pattern else ""


def regions() -> frozenset[str]:
    """The two letters of every country that has telephone numbers."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def did_expression(did: str, region: str) -> str:
    """A DID with and without its +, and in the national form where it is one of the region's."""
    digits = did.removeprefix("+")
    metadata = PhoneMetadata.metadata_for_region(region)
    code = str(metadata.country_code) if metadata else ""
    if not code or not digits.startswith(code):
        return rf"^\+?{digits}$"
    national = digits.removeprefix(code)
    prefix = metadata.national_prefix or ""
    return rf"^(?:\+?{code}|{prefix}){'?' if code == '1' or not prefix else ''}{national}$"


def numbers_expression(route: Any) -> str:
    """The numbers of an outbound route in E.164 without +; raises Unmatchable with the reason."""
    lengths = _lengths(route.shortest, route.longest)
    match route.match:
        case "prefix":
            prefixes = "|".join(each.removeprefix("+") for each in route.prefix_list)
            return _limited(f"^{lengths}(?:{prefixes})[0-9]*$")
        case "range":
            first, last = route.range_first.removeprefix("+"), route.range_last.removeprefix("+")
            return _limited(f"^(?:{between(first, last)})$")
        case "region":
            parts = "|".join(_region(each) for each in route.country_list)
            return _limited(f"^{lengths}(?:{parts})$")
    return f"^{lengths}[0-9]+$"


def _limited(expression: str) -> str:
    if len(expression) > LONGEST_EXPRESSION:
        raise Unmatchable("These are too many numbers for one rule. Make two routes of it.")
    return expression


def _lengths(shortest: int | None, longest: int | None) -> str:
    if not shortest and not longest:
        return ""
    return f"(?=[0-9]{{{shortest or 1},{longest or 15}}}$)"


@lru_cache(maxsize=300)
def _region(region: str) -> str:
    metadata = PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        raise Unmatchable(f"There is no country “{region[:10]}”.")
    if len(phonenumbers.region_codes_for_country_code(metadata.country_code)) > 1:
        kinds = (getattr(metadata, kind) for kind in _ORDINARY)
        known = dict.fromkeys(
            _plain(each.national_number_pattern) for each in kinds if each and each.national_number_pattern
        )
        return f"{metadata.country_code}(?:{'|'.join(known)})"
    lengths = [length for length in metadata.general_desc.possible_length if length > 0]
    premium = metadata.premium_rate.national_number_pattern if metadata.premium_rate else ""
    unless = f"(?!(?:{_plain(premium)})$)" if premium else ""
    return f"{metadata.country_code}{unless}[0-9]{{{min(lengths)},{max(lengths)}}}"


def _plain(pattern: str) -> str:
    r"""With [0-9] for \d: Python's means any script's digits, the switch's only these."""
    return re.sub(r"\s+", "", pattern).replace("\\d", "[0-9]").replace("[[0-9]", "[0-9")


def between(first: str, last: str) -> str:
    """An expression for all numbers of as many digits from `first` to `last`; raises Unmatchable."""
    if len(first) != len(last) or not (first + last).isdecimal():
        raise Unmatchable(
            "Both ends of a range have the same number of digits, like +19495431000 to +19495431999."
        )
    if first > last:
        raise Unmatchable("The range ends before it begins.")
    return "|".join(_between(first, last))


def _between(first: str, last: str) -> list[str]:
    if not first:
        return [""]
    if first[0] == last[0]:
        return [first[0] + each for each in _between(first[1:], last[1:])]
    rest = len(first) - 1
    parts = []
    low, high = int(first[0]), int(last[0])
    if first[1:].strip("0"):  # not from the very first of its decade
        parts += [first[0] + each for each in _between(first[1:], "9" * rest)]
        low += 1
    ends_early = bool(last[1:].strip("9"))
    if ends_early:
        high -= 1
    if low <= high:
        decade = str(low) if low == high else f"[{low}-{high}]"
        parts.append(decade + (f"[0-9]{{{rest}}}" if rest else ""))
    if ends_early:
        parts += [last[0] + each for each in _between("0" * rest, last[1:])]
    return parts
