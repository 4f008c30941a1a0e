"""How the switch cuts strings into parts: quotes, backslashes, braces."""

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "s": " "}


def separate(text: str, delimiter: str, most: int = 1000) -> list[str]:
    """The parts between delimiters, without quotes around them and blanks at their ends.

    `^^:` at the beginning names another delimiter. With a blank as delimiter several count as one. The
    last of `most` parts takes the rest.
    """
    if text.startswith("^^") and len(text) > 3:
        delimiter, text = text[2], text[3:]
    parts: list[str] = []
    begin = at = 0
    is_quoted = False
    while at < len(text) and len(parts) < most - 1:
        character = text[at]
        if character == "\\":
            at += 1
        elif character == "'" and (is_quoted or "'" in text[at + 1 :] or delimiter == " "):
            is_quoted = not is_quoted
        elif character == delimiter and not is_quoted and (delimiter != " " or text[begin:at].strip(" ")):
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    if begin < len(text) and (delimiter != " " or text[begin:].strip(" ")):
        parts.append(text[begin:])
    return [_clean(part, delimiter) for part in parts]


def _clean(text: str, delimiter: str) -> str:
    text = text.lstrip(" ")
    out: list[str] = []
    kept = at = 0  # what may not be cut off as trailing blanks
    is_quoted = False
    while at < len(text):
        character, following = text[at], text[at + 1 : at + 2]
        if character == "\\" and following and (following in "'\"\\nrts" or following == delimiter):
            out.append(_ESCAPES.get(following, following))
            kept = len(out)
            at += 1
        elif character == "'" and (is_quoted or "'" in text[at + 1 :]):
            is_quoted = not is_quoted
            kept = max(kept, len(out))
        else:
            out.append(character)
            if character != " " or is_quoted:
                kept = len(out)
        at += 1
    return "".join(out[:kept])


def end_of(text: str, opening: str, closing: str) -> int:
    """Where the bracket that `text` begins with is closed; -1 when it is not."""
    depth = 0
    for at, character in enumerate(text):
        if character == opening:
            depth += 1
        elif character == closing:
            depth -= 1
            if not depth:
                return at
    return -1
