"""Says who rings if a number is called, and why."""

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eslbridge.dialplan import Line
from routes.who_rings import NotKnown, WhoRingsForm

# The form's fields as the command calls them.
OPTIONS = {"number": "number", "caller": "--from", "at": "--at", "context": "--context"}


class Command(BaseCommand):
    help = (
        "Say what happens to a call, from the files that the switch reads: which rule takes it, who rings "
        "for how long, what a gateway is sent, and what differs if somebody is busy. Nothing is called."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="what is dialled, like +19495431333 or 1020")
        parser.add_argument(
            "--from",
            dest="caller",
            default="",
            help="who calls: an extension that the switch knows (its phone calls), or a number from outside",
        )
        parser.add_argument(
            "--at", default="", help="when, in the site's time zone, like “2026-12-24 18:05”; without it: now"
        )
        parser.add_argument(
            "--context",
            default="",
            help="where the call begins; without it: the phone's own context, or public",
        )
        parser.add_argument(
            "--now", action="store_true", dest="phones_now", help="with the phones that are registered now"
        )

    def handle(self, *args: object, **options: object) -> None:
        form = WhoRingsForm({name: options[name] for name in (*OPTIONS, "phones_now")})
        if not form.is_valid():
            raise CommandError(_said(form.errors.as_data()))
        try:
            told = form.tell()
        except ValidationError as refused:
            raise CommandError(_said(refused.error_dict)) from None
        except NotKnown as why:
            raise CommandError(str(why)) from None
        for note in told.notes:
            self.stdout.write(self.style.WARNING(note))
        self._write(told.lines, "")

    def _write(self, lines: Sequence[Line], indent: str) -> None:
        for line in lines:
            self.stdout.write(indent + line.text)
            self._write(line.below, indent + "  ")


def _said(errors: dict[str, list[ValidationError]]) -> str:
    return " ".join(
        f"{OPTIONS.get(name, name)}: {message}"
        for name, found in errors.items()
        for error in found
        for message in error.messages
    )
