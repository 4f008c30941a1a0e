"""Questions to the switch that it can answer only if it has read a certain file."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.switchxml import revision_question
from eslbridge.switchxml import managed_by

from .site import Site

# Files asked about in each directory: one that the switch knows is enough.
SAMPLE = 20

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_USER = re.compile(r"<user\s[^>]*?\bid=\"([\w.+-]+)\"")
_CONTEXT = re.compile(r"<context\s[^>]*?\bname=\"([\w.+-]+)\"")
_RULE = re.compile(r"<extension\s[^>]*?\bname=\"([\w .+-]+)\"")
_VARIABLE = re.compile(r"<variable\s+name=\"([\w.-]+)\"\s+value=\"([\w.,@+-]+)\"")
_USER_REVISION = re.compile(r'name="patchbay_revision" value="(\w+)"')
_ROUTE_REVISION = re.compile(r"patchbay_revision=(\w+)")


@dataclass(frozen=True)
class Trace:
    """`command` is answered with something that `expect` matches if `path` was read.

    `is_proof`: the answer names this very content, and not only a name that another file may hold, too.
    """

    path: str
    command: str
    expect: str
    is_proof: bool = False


def _of_user(path: str, text: str, domain: str) -> Trace | None:
    user = _USER.search(text)
    if user is None:
        return None
    if revision := _USER_REVISION.search(text):
        return Trace(path, revision_question(user[1], domain), rf"^{revision[1]}\s*$", is_proof=True)
    if variable := _VARIABLE.search(text):
        # Vanilla's groups point to users: such a one “exists”, though its file is not read.
        question = f"user_data {user[1]}@{domain} var {variable[1]}"
        return Trace(path, question, rf"^{re.escape(variable[2])}\s*$")
    return Trace(path, f"user_exists id {user[1]} {domain}", "^true")


def _of_context(path: str, text: str, domain: str) -> Trace | None:
    context = _CONTEXT.search(text)
    if context is None:
        return None
    question = f"xml_locate dialplan context name {context[1]}"
    return Trace(path, question, rf'<context\s[^>]*name="{re.escape(context[1])}"')


def _of_rule(path: str, text: str, domain: str) -> Trace | None:
    question = f"xml_locate dialplan context name {path.split('/')[1]}"
    if revision := _ROUTE_REVISION.search(text):
        return Trace(path, question, rf"patchbay_revision={revision[1]}\b", is_proof=True)
    rule = _RULE.search(text)
    return Trace(path, question, rf'<extension\s[^>]*name="{re.escape(rule[1])}"') if rule else None


KINDS: dict[str, Callable[[str, str, str], Trace | None]] = {
    "directory/default": _of_user,
    "dialplan": _of_context,
    "dialplan/default": _of_rule,
    "dialplan/public": _of_rule,
}
"""The directories that Patchbay writes to, and what their files can be known by."""


def traces(root: Path, directory: str, domain: str) -> list[Trace]:
    """Questions about a sample of that directory's files, ours first."""
    ours: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for file in sorted((root / directory).glob("*.xml")):
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        (others if managed_by(text) is None else ours).append((f"{directory}/{file.name}", text))
        if len(ours) == SAMPLE:
            break
    found = (KINDS[directory](path, _COMMENT.sub("", text), domain) for path, text in [*ours, *others])
    return [each for each in found if each is not None][:SAMPLE]


def first_known(site: Site, asked: list[Trace]) -> Trace | None:
    """The first of these that the switch answers as expected; raises CannotTell when it does not answer."""
    answers = site.ask_all([each.command for each in asked])
    return next((each for each in asked if re.search(each.expect, answers[each.command])), None)
