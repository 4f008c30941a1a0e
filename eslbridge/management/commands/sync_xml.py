"""Brings the switch's directory in step with the database, or only says what is not."""

import sys
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from eslbridge.client import Client
from eslbridge.link import own_switch
from eslbridge.management.switch import connected, require
from eslbridge.models import Switch
from eslbridge.publishing import outbox
from eslbridge.publishing.comparison import Difference, differences, queue_differences
from eslbridge.publishing.files import in_words
from eslbridge.publishing.publisher import Outcome, Publisher, only_publisher


class Bar:
    """A progress bar on a terminal; nothing anywhere else."""

    WIDTH = 30

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream = stream
        self._shown = ""

    def show(self, what: str, done: int, total: int) -> None:
        if not self._stream.isatty():
            return
        percent = 100 * done // total
        full = self.WIDTH * percent // 100
        line = f"{what:<18}[{'#' * full}{'.' * (self.WIDTH - full)}] {percent:3} % of {total}"
        if line != self._shown:
            self._shown = line
            self._stream.write(f"\r{line}\x1b[K", str, "")

    def clear(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K", str, "")
            self._shown = ""


class Command(BaseCommand):
    requires_system_checks = ()  # they load all pages of the site
    help = (
        "Render everything from the database, write what differs, remove what is ours and no longer wanted, "
        "reload the switch once. --check changes nothing and exits with 1 on any difference."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="change nothing; exit with 1 on any difference"
        )

    def handle(self, *args: object, check: bool = False, **options: object) -> None:
        require()
        self._bar = Bar(self.stderr)
        try:
            if check:
                self._check()
            else:
                self._sync()
        except OSError as problem:
            raise CommandError(in_words(problem)) from None
        finally:
            self._bar.clear()

    def _check(self) -> None:
        known = Switch.objects.filter(name=settings.SWITCH_NAME).first()
        switch = known or Switch(name=settings.SWITCH_NAME, domain=settings.FS_DOMAIN)
        found = self._compare(switch)
        for each in found:
            self.stdout.write(f"{each.what}: {each.path} ({each.label})")
        count = f"{len(found)} difference{'' if len(found) == 1 else 's'}."
        self.stdout.write(count if found else "In step: nothing differs.")
        sys.exit(1 if found else 0)

    def _sync(self) -> None:
        switch = own_switch()
        with connected() as client:
            switch.domain = settings.FS_DOMAIN or client.api("global_getvar", "domain")
            switch.save(update_fields=["domain"])
            # The worker keeps out meanwhile, so that what is printed is all that was done.
            with only_publisher(switch, wait=True):
                queue_differences(switch, self._compare(switch))
                outcome = self._publish(switch, client)
        self._report(outcome)

    def _compare(self, switch: Switch) -> list[Difference]:
        found = differences(switch, Path(settings.FS_CONF_DIR), self._bar.show)
        self._bar.clear()
        return found

    def _publish(self, switch: Switch, client: Client) -> Outcome:
        """All that waits, as one batch: also what had failed and was to be tried later."""
        outbox.retry(switch.pending.all())
        outcome = Publisher(switch, client, Path(settings.FS_CONF_DIR), self._bar.show).publish(wait=True)
        self._bar.clear()
        return outcome

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
