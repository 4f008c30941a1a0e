"""Time zones that the switch does not know, or knows wrongly."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from routes.zones import FILE, rules_on_disk, what_is_wrong
from tests.factories import make_hours, make_user

RULES = {
    "Europe/Berlin": "CET-1CEST,M3.5.0,M10.5.0/3",
    "Asia/Almaty": "STD-6",  # as vanilla has it; five hours since 2024
    "America/Asuncion": "STD4DST,M10.1.0/0,M3.4.0/0",  # summer time all year since 2024
    "Europe/Paris": "nonsense",
}
WINTER = datetime(2026, 11, 27, 10, 5, tzinfo=UTC)


@pytest.fixture
def listed(settings: Any, tmp_path: Path) -> None:
    """A switch whose list has these zones."""
    settings.FS_CONF_DIR = str(tmp_path)
    zones = "".join(f'<zone name="{name}" value="{rule}"/>' for name, rule in RULES.items())
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text(
        f'<configuration name="timezones.conf"><timezones>{zones}</timezones></configuration>'
    )


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Berlin", ""),
        ("America/Coyhaique", "not in the switch's list"),
        ("Asia/Almaty", "on 2026-11-27 the switch takes 15:05 for 16:05"),
        ("America/Asuncion", "on 2027-04-01 the switch takes 07:05 for 06:05"),
        ("Europe/Paris", "cannot be read: “nonsense”"),
    ],
)
def test_what_the_switch_would_get_wrong_is_told(zone: str, said: str) -> None:
    found = what_is_wrong(zone, RULES, WINTER)
    assert said in found
    assert bool(found) == bool(said)


def test_a_switch_without_a_list_is_not_judged(settings: Any, tmp_path: Path) -> None:
    settings.FS_CONF_DIR = str(tmp_path)
    assert rules_on_disk() is None
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text("<configuration")
    assert rules_on_disk() is None
    assert what_is_wrong("America/Coyhaique", None) == ""


def test_hours_in_a_zone_that_the_switch_lacks_are_refused(db: None, listed: None) -> None:
    with pytest.raises(ValidationError) as refused:
        make_hours(time_zone="America/Coyhaique").full_clean()
    [said] = refused.value.message_dict["time_zone"]
    assert "nothing would ever be open" in said and "reload" in said


def test_the_form_warns_of_an_old_rule(db: None, listed: None, client: Client) -> None:
    client.force_login(make_user())
    inline = {
        f"holidays-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")
    }
    values = {"name": "Office", "time_zone": "Asia/Almaty", "monday": "9-17", **inline}
    page = client.post(reverse("admin:routes_businesshours_add"), values, follow=True).content.decode()
    assert "was added successfully" in page
    assert "Asia/Almaty has an old rule in the switch" in page
