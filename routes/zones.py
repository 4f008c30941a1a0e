"""Time zones as the switch knows them: by the rules in its own list, which may be older than the world's."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from django.conf import settings

from eslbridge.dialplan.times import posix_zone

FILE = "autoload_configs/timezones.conf.xml"
ADVICE = "Put today's rule for it there and reload, or choose a zone with the same time."
_AHEAD = [timedelta(days=days) for days in range(0, 366, 5)]  # no zone has another time for less than that


def rules_in(configuration: ET.Element) -> dict[str, str]:
    """The rule of each zone, like `CET-1CEST,M3.5.0,M10.5.0/3`, in a switch's timezones.conf."""
    return {zone.get("name", ""): zone.get("value", "") for zone in configuration.iter("zone")}


def rules_on_disk() -> dict[str, str] | None:
    """What the switch's file says; None when there is none that can be read here."""
    try:
        return rules_in(ET.parse(Path(settings.FS_CONF_DIR) / FILE).getroot())  # noqa: S314 - the switch's own
    except (OSError, ET.ParseError):
        return None


def what_is_wrong(name: str, rules: dict[str, str] | None, now: datetime | None = None) -> str:
    """What the switch would get wrong about this zone within a year, as the end of a sentence; '' if nothing.

    `rules` None is a switch without a list.
    """
    if rules is None:
        return ""
    if name not in rules:
        return f"is not in the switch's list of time zones ({FILE}), so that nothing would ever be open"
    try:
        theirs = posix_zone(rules[name], name)
    except ValueError:
        return f"has a rule in the switch's list that cannot be read: “{rules[name][:80]}” ({FILE})"
    now = now or datetime.now(UTC)
    for moment in (now + ahead for ahead in _AHEAD):
        here, there = moment.astimezone(ZoneInfo(name)), moment.astimezone(theirs)
        if here.utcoffset() != there.utcoffset():
            return (
                f"has an old rule in the switch's list ({FILE}): on {here:%Y-%m-%d} the switch takes "
                f"{here:%H:%M} for {there:%H:%M}"
            )
    return ""
