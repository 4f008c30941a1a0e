"""Brings the switch's directory in step with the database, or only says what is not."""

import sys
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eslbridge.client import Client
from eslbridge.link import own_switch
from eslbridge.models import Switch
from eslbridge.protocol.errors import ESLError
from eslbridge.publishing import outbox
from eslbridge.publishing.publisher import (
    Difference,
    Outcome,
    Publisher,
    differences,
    in_words,
    queue_differences,
)


class Command(BaseCommand):
    help = (
        "Render everything from the database, write what differs, remove what is ours and no longer wanted, "
        "reload the switch once. --check changes nothing and exits with 1 on any difference."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="change nothing; exit with 1 on any difference"
        )

    def handle(self, *args: object, check: bool = False, **options: object) -> None:
        if not settings.FS_HOST:
            raise CommandError("FS_HOST is not set: start ./run, or set it to your switch's address.")
        switch = Switch.objects.filter(name=settings.SWITCH_NAME).first() if check else own_switch()
        switch = switch or Switch(name=settings.SWITCH_NAME, domain=settings.FS_DOMAIN)
        if check:
            found = self._compare(switch)
            self._list(found)
            sys.exit(1 if found else 0)
        self._sync(switch)

    def _compare(self, switch: Switch) -> list[Difference]:
        try:
            return differences(switch, Path(settings.FS_CONF_DIR), progress=self._progress)
        except OSError as problem:
            raise CommandError(in_words(problem)) from None

    def _progress(self, done: int) -> None:
        if sys.stderr.isatty() and done % 100 == 0:
            self.stderr.write(f"\rCompared {done} objects", ending="")

    def _list(self, found: list[Difference]) -> None:
        for each in found:
            self.stdout.write(f"{each.what}: {each.path} ({each.label})")
        self.stdout.write(f"{len(found)} differences." if found else "In step: nothing differs.")

    def _sync(self, switch: Switch) -> None:
        with Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD) as client:
            try:
                client.connect()
                domain = settings.FS_DOMAIN or client.api("global_getvar", "domain")
            except ESLError as problem:
                raise CommandError(
                    f"The switch does not answer at {settings.FS_HOST}:{settings.FS_ESL_PORT}: {problem}"
                ) from None
            if switch.domain != domain:
                switch.domain = domain
                switch.save(update_fields=["domain"])
            queue_differences(switch, self._compare(switch))
            self._report(self._publish(switch, client))

    def _publish(self, switch: Switch, client: Client) -> Outcome:
        """All that waits, as one batch: also what had failed and was to be tried later."""
        outbox.retry(switch.pending.all())
        return Publisher(switch, client, Path(settings.FS_CONF_DIR)).publish(wait=True)

    def _report(self, outcome: Outcome) -> None:
        for what, paths in (("wrote", outcome.written), ("removed", outcome.removed)):
            for path in paths:
                self.stdout.write(f"{what} {path}")
        for path, reason in outcome.failed.items():
            self.stdout.write(self.style.ERROR(f"failed {path}: {reason}"))
        self.stdout.write(
            f"{len(outcome.written)} written, {len(outcome.removed)} removed, {len(outcome.failed)} failed, "
            f"{outcome.reloads} reload{'s' if outcome.reloads != 1 else ''} ({outcome.milliseconds} ms)."
        )
        if outcome.failed:
            raise CommandError("Not everything is on the switch; the reasons stand above.")
