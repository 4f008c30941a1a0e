"""Says what is wrong between the site and the switch, and what to do about it."""

import json
import sys
from collections import Counter

from django.core.management.base import BaseCommand, CommandParser

from pbx.doctor import Finding, Status, examine


class Command(BaseCommand):
    help = (
        "Check everything between a saved form and a phone that rings: one line each, with the fix. Changes "
        "nothing. Exit code 1 if there is a problem; warnings alone give 0."
    )
    # They are one of the checks here: what they find must not keep the others from being made.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", dest="as_json", action="store_true", help="print one JSON object instead of lines"
        )

    def handle(self, *args: object, as_json: bool = False, **options: object) -> None:
        found = []
        for title, finding in examine():
            found.append((title, finding))
            if not as_json:
                self._show(title, finding)
        if as_json:
            self._show_json(found)
        else:
            count = Counter(finding.status for _, finding in found)
            self.stdout.write(", ".join(f"{status} {count[status]}" for status in Status))
        if any(finding.status is Status.PROBLEM for _, finding in found):
            sys.exit(1)

    def _show(self, title: str, finding: Finding) -> None:
        style = {
            Status.OK: self.style.SUCCESS,
            Status.WARNING: self.style.WARNING,
            Status.PROBLEM: self.style.ERROR,
            Status.UNKNOWN: self.style.NOTICE,
        }[finding.status]
        self.stdout.write(f"{style(f'{finding.status:<11}')}  {title}: {finding.said}")
        if finding.fix:
            self.stdout.write(f"{'':13}Fix: {finding.fix}")
        self.stdout.flush()

    def _show_json(self, found: list[tuple[str, Finding]]) -> None:
        checks = [
            {"check": title, "status": finding.status, "said": finding.said, "fix": finding.fix}
            for title, finding in found
        ]
        is_well = all(finding.status is not Status.PROBLEM for _, finding in found)
        self.stdout.write(json.dumps({"ok": is_well, "checks": checks}, indent=2, ensure_ascii=False))
