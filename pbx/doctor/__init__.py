"""What `manage.py doctor` looks at: everything between a saved form and a phone that rings.

A check is a function of the `Site` that yields findings, each with the fix in words when something is
wrong. Checks ask and read; they change nothing. Any dependency may be down: what then cannot be known is
said to be so, and the rest is still checked.
"""

from collections.abc import Callable, Iterator

from django.db import DatabaseError

from . import files, numbers, ours, safety, switch
from .findings import CannotTell, Finding, Findings, Status, first_line, unknown
from .site import Site

__all__ = ["CHECKS", "Finding", "Site", "Status", "examine"]

Check = Callable[[Site], Findings]

CHECKS: list[tuple[str, Check]] = [
    ("Settings", ours.check_settings),
    ("Database", ours.check_database),
    ("Broker", ours.check_broker),
    ("Event Socket", switch.check_event_socket),
    ("Version", switch.check_version),
    ("Modules", switch.check_modules),
    ("Domain", switch.check_domain),
    ("SIP profile", switch.check_profile),
    ("Time zones", switch.check_time_zones),
    ("Directory", files.check_directory),
    ("Same directory", files.check_same_directory),
    ("Includes", files.check_includes),
    ("Call records", files.check_records),
    ("Exposure", safety.check_exposure),
    ("Default password", safety.check_default_password),
    ("Clocks", ours.check_clocks),
    ("Worker", ours.check_worker),
    ("Changes", ours.check_changes),
    ("Caller ID", numbers.check_caller_id),
]


def examine() -> Iterator[tuple[str, Finding]]:
    """Every check's findings with its title, as they are found. Never raises for what is broken."""
    site = Site()
    try:
        for title, check in CHECKS:
            for finding in carefully(check, site):
                yield title, finding
    finally:
        site.close()


def carefully(check: Check, site: Site) -> Findings:
    """The findings of one check; what it raises becomes the last of them."""
    try:
        yield from check(site)
    except CannotTell as reason:
        yield unknown(str(reason))
    except DatabaseError as refused:
        yield unknown(f"the database refuses: {first_line(refused)}")
    except Exception as error:  # noqa: BLE001 - one broken check must not hide what the others find
        yield unknown(f"this check failed: {type(error).__name__}: {first_line(error)}")
