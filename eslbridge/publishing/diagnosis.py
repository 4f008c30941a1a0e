"""Finds the file that the switch could not read: it names a line of all files joined, which nobody has."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

MOST = 3  # broken files named in one sentence
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_DROPPED = re.compile(r"<include>|</include>|<\?|x-pre-process", re.IGNORECASE)


def broken_files(conf_dir: Path) -> list[str]:
    """“directory/default/1007.xml, line 3: mismatched tag” for the files that are not XML by themselves.

    Read with the switch's line rules; at most MOST. A tree that cannot be read at all gives nothing.
    """
    found = []
    for file in sorted(conf_dir.rglob("*.xml")):
        if problem := _problem(file):
            found.append(f"{file.relative_to(conf_dir)}, {problem}")
            if len(found) == MOST:
                break
    return found


def files_that_hold(conf_dir: Path, expression: str, *, but: str) -> list[str]:
    """“directory/default/0000.xml, line 2” for the other files of the tree in which the expression is found.

    Line by line, as the switch would read them; at most MOST.
    """
    wanted, found = re.compile(expression), []
    for file in sorted(conf_dir.rglob("*.xml")):
        if str(file.relative_to(conf_dir)) == but:
            continue
        for number, line in enumerate(_lines(file), start=1):
            if wanted.search(line) and not _DROPPED.search(line):
                found.append(f"{file.relative_to(conf_dir)}, line {number}")
                break
        if len(found) == MOST:
            break
    return found


def as_the_switch_sees(text: str) -> str:
    """A file's text without comments and without the lines that the switch drops."""
    return _COMMENT.sub("", "\n".join(line for line in text.split("\n") if not _DROPPED.search(line)))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return []


def _problem(file: Path) -> str:
    lines = _lines(file)
    parser = expat.ParserCreate("utf-8")
    try:
        parser.Parse(b"<file>")
        for line in _kept(lines):
            parser.Parse(line.encode())
        parser.Parse(b"</file>", True)
    except expat.ExpatError as error:
        return f"line {error.lineno}: {expat.ErrorString(error.code)}"
    return ""


def _kept(lines: list[str]) -> Iterator[str]:
    """Each line as the switch sees it, with its line end, so that the numbers stay right."""
    for line in lines:
        yield "\n" if _DROPPED.search(line) else line.replace("$${", "${") + "\n"
