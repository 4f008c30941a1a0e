"""Asks the switch one thing and prints its answer, as `fs_cli -x` does."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eslbridge.management.switch import connected
from eslbridge.protocol.errors import CommandFailed
from eslbridge.text import printable

# An originate answers when the phone does, or gives up after a minute.
ANSWER_SECONDS = 120.0


class Command(BaseCommand):
    help = "Send an api command to the switch and print the answer: manage.py esl 'status'"
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("command", nargs="+", help="the command, with its arguments")

    def handle(self, *args: object, command: list[str], **options: object) -> None:
        name, _, arguments = " ".join(command).strip().partition(" ")
        try:
            with connected() as client:
                self.stdout.write(printable(client.api(name, arguments, timeout=ANSWER_SECONDS)))
        except CommandFailed as refused:
            raise CommandError(printable(refused.reply)) from None
        except ValueError as refused:
            raise CommandError(str(refused)) from None
