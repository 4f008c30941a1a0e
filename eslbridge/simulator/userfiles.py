"""What a phone finds in the file of its user, as a provisioning system would hand it over."""

from __future__ import annotations

import hashlib
import re

# Password and a1-hash; either may be empty.
Credentials = tuple[str, str]

_USER = re.compile(r"<user\s[^>]*?\bid=\"([^\"]*)\"[^>]*(?<!/)>(.*?)</user>", re.DOTALL)
_SECRET = re.compile(r"<param\s[^>]*?\bname=\"(password|a1-hash)\"[^>]*>")
_VALUE = re.compile(r"\bvalue=\"([^\"]*)\"")
_REFERENCE = re.compile(r"&(#x[0-9A-Fa-f]+|#[0-9]+|[a-z]+);")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def credentials_in(text: str) -> dict[str, Credentials]:
    """Secrets by user id, of a file whose line rules were applied. The first of two equal ids counts."""
    found: dict[str, Credentials] = {}
    for user in _USER.finditer(text):
        secrets = {"password": "", "a1-hash": ""}
        for param in _SECRET.finditer(user[2]):
            value = _VALUE.search(param[0])
            if value:
                secrets[param[1]] = unescape(value[1])
        found.setdefault(unescape(user[1]), (secrets["password"], secrets["a1-hash"]))
    return found


def unescape(text: str) -> str:
    """XML references to the characters they stand for."""
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(found: re.Match[str]) -> str:
    name = found[1]
    if name.startswith("#x"):
        return chr(int(name[2:], 16))
    if name.startswith("#"):
        return chr(int(name[1:]))
    return _NAMED.get(name, found[0])


def digest_secret(user: str, domain: str, password: str) -> str:
    """The secret of SIP's digest: what ``a1-hash`` holds."""
    return hashlib.md5(f"{user}:{domain}:{password}".encode(), usedforsecurity=False).hexdigest()
