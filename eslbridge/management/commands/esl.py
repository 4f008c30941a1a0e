"""Asks the switch one thing and prints its answer, as `fs_cli -x` does."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eslbridge.client import Client
from eslbridge.protocol.errors import CommandFailed, ESLError


class Command(BaseCommand):
    help = "Send an api command to the switch and print the answer: manage.py esl 'status'"
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("command", nargs="+", help="the command, with its arguments")

    def handle(self, *args: object, command: list[str], **options: object) -> None:
        if not settings.FS_HOST:
            raise CommandError("FS_HOST is not set: start ./run, or set it to your switch's address.")
        name, _, arguments = " ".join(command).partition(" ")
        try:
            with Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD) as client:
                client.connect()
                self.stdout.write(client.api(name, arguments))
        except CommandFailed as refused:
            raise CommandError(refused.reply) from None
        except ValueError as refused:
            raise CommandError(str(refused)) from None
        except ESLError as problem:
            raise CommandError(
                f"The switch does not answer at {settings.FS_HOST}:{settings.FS_ESL_PORT}: {problem}"
            ) from None
