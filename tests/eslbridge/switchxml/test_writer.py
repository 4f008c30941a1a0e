"""Every trap that FACTS names for files: refused with the field's name, or read back as the same text."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eslbridge.switchxml import Element, Expression, Include, UnsafeValue, check_value, document, managed_by


def written(value: str) -> str:
    return document("agents.agent:1", [Element("variable", {"name": "x", "value": value}, field_name="Name")])


def as_the_switch_reads(text: str) -> str:
    """The value after the switch's line rules (FACTS.md) and its parser."""
    kept = []
    for line in text.split("\n"):
        if "<include>" in line or "</include>" in line or "<?" in line:
            continue
        assert "x-pre-process" not in line.lower()
        assert "<!--#" not in line
        assert "$${" not in line
        kept.append(line)
    return ET.fromstring("<root>" + "\n".join(kept) + "</root>").find("variable").get("value")


@pytest.mark.parametrize(
    "value",
    [
        "O'Brien",
        'She said "hi"',
        "Smith, John",
        "a < b && c > d",
        "<include>",
        "</include>",
        "<?xml version='1.0'?>",
        "<!--#exec cmd='x'-->",
        "--> <b/>",
        "X-PRE-PROCESS",
        'x-pre-process cmd="exec" data="touch x"',
        "X-Pre-Process X-PRE-PROCESS",
        "<X-PRE-PROCESS cmd='set' data='a=b'/>",
        "Zoë ☎ 🎧",
        "שלום עולם",
        "$5 and {braces}",
        "$$",
        "100% &amp; &#x24;",
        "é" * 5000,
        "X-PRE-PROCESS " * 350,
        "]]>",
        "C:\\path\\'",
    ],
)
def test_a_value_survives_as_text(value):
    assert as_the_switch_reads(written(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        "$${default_password}",
        "${system(touch x)}",
        "a${b}",
        "$\\{system(x)}",
        "$$$${x}",
        "line\nbreak",
        "line\rbreak",
        "tab\tbed",
        "nul\x00",
        "bell\x07",
        "next\x85line",
        "line\u2028separator",
        "\ud800",
        "\ufffe",
        "x" * 9000,
    ],
)
def test_what_the_switch_would_expand_or_drop_is_refused_by_name(value):
    with pytest.raises(UnsafeValue, match=r"^Name: ") as refused:
        written(value)
    assert refused.value.field == "Name"


@given(st.text(max_size=300))
def test_any_text_is_refused_or_read_back_unchanged(value):
    try:
        text = written(value)
    except UnsafeValue:
        return
    assert as_the_switch_reads(text) == value


PIECES = ["$", "{", "}", "\\", "<", "?", "include", ">", "/", "X-PRE-", "process", "!--#"]


@given(st.lists(st.sampled_from(PIECES)))
def test_no_mixture_of_dangerous_pieces_gets_through(pieces):
    value = "".join(pieces)
    try:
        text = written(value)
    except UnsafeValue:
        assert re.search(r"\$[\\$]*\{", value)
        return
    assert as_the_switch_reads(text) == value


def test_an_expression_of_our_own_is_written_but_never_a_global():
    assert 'value="${domain_name}"' in written(Expression("${domain_name}"))
    with pytest.raises(UnsafeValue):
        check_value(Expression("$${domain}"), "Rule")


@pytest.mark.parametrize("name", ["X-PRE-PROCESS", "include", "a b", "a><b", "", "1a", "a\n"])
def test_a_tag_or_attribute_name_cannot_break_out(name):
    with pytest.raises(UnsafeValue):
        Element(name)
    with pytest.raises(UnsafeValue):
        Element("param", {name: "x"})


def test_include_tags_stand_alone_on_their_lines():
    lines = written("x").split("\n")
    assert lines[0] == "<include>"
    assert lines[-2:] == ["</include>", ""]


def test_a_file_says_whose_it_is():
    assert managed_by(written("x")) == "agents.agent:1"
    assert managed_by('<include>\n<user id="1000">\n</user>\n</include>\n') is None


def test_a_value_cannot_claim_that_a_file_is_managed():
    hand_made = '<include>\n<variable value="<!-- Managed by Patchbay (agents.agent:9)"/>\n</include>'
    assert managed_by(hand_made) is None


def test_children_are_indented_and_closed():
    text = document("x:1", [Element("user", {"id": "1020"}, (Element("params", {}, (Element("param"),)),))])
    assert text.split("\n")[2:7] == [
        '<user id="1020">',
        " <params>",
        "  <param/>",
        " </params>",
        "</user>",
    ]


@pytest.mark.parametrize("owner", ["", "a b", "x -->", "a\nb", "é:1"])
def test_an_owner_that_could_end_the_comment_is_refused(owner):
    with pytest.raises(UnsafeValue):
        document(owner, [])


def test_an_include_is_a_line_of_its_own_that_the_switch_replaces_by_files() -> None:
    text = document("x:0", [Element("context", {"name": "c"}, (Include("patchbay/*.xml"),))])
    assert ' <X-PRE-PROCESS cmd="include" data="patchbay/*.xml"/>' in text.splitlines()


@pytest.mark.parametrize(
    "pattern", ["/etc/*.xml", "../*.xml", "a/b/*.xml", 'x"/*.xml', "x/*", "*.xml", "x/*.xml\n"]
)
def test_an_include_reaches_only_one_folder_below_its_own(pattern: str) -> None:
    with pytest.raises(UnsafeValue):
        Include(pattern)
