"""Text from outside."""

import json

from hypothesis import given
from hypothesis import strategies as st

from eslbridge.text import printable


@given(st.text(st.characters(codec=None), max_size=40))
def test_whatever_comes_can_be_stored(text: str) -> None:
    clean = printable(text)
    assert "\0" not in clean
    json.dumps(clean.encode("utf-8").decode("utf-8"))


@given(st.binary(max_size=40))
def test_any_bytes_can_be_stored(raw: bytes) -> None:
    printable(raw.decode("utf-8", "surrogateescape")).encode("utf-8")


def test_honest_text_stays_as_it_is() -> None:
    assert printable("Zoë 🦊 שלום “x”") == "Zoë 🦊 שלום “x”"


def test_bytes_that_are_no_text_are_marked() -> None:
    assert printable("a\udcffb\0c\ud800d") == "a\ufffdb\ufffdc\ufffdd"


def test_bytes_that_were_split_come_together_again() -> None:
    assert printable("\udcc3\udca9") == "é"


def test_the_length_is_in_characters() -> None:
    assert printable("éé\udcff", 2) == "éé"
