"""`./test` before pytest: the linters."""

from pathlib import Path

import pytest

from pbx.launch import check

from .launching import make_clone

# An import upwards and one that is not used, a wrong type, and a line that nobody formatted.
SPOILT = """\
import os
from calls import live

NUMBER: int = "x"
LEGS = [live.legs_of,]
"""


def test_each_linter_finds_what_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    clone = make_clone(tmp_path / "clone")
    (clone / "eslbridge" / "protocol" / "spoilt.py").write_text(SPOILT)
    monkeypatch.setattr(check, "BASE_DIR", clone)
    assert check.failed_linters() == list(check.LINTERS)
    told = capfdbinary.readouterr().out
    for words in (
        b"`os` imported but unused",
        b"Incompatible types",
        b"eslbridge.protocol.spoilt -> calls.live",
    ):
        assert words in told
