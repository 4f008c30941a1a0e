"""Talks to the switch: one command as `fs_cli -x` does, a small console, or its events as they come."""

import json
import os
import sys
import threading
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eslbridge.client import Client, Connected, Disconnected
from eslbridge.management.switch import connected
from eslbridge.protocol.errors import CommandFailed, ESLError
from eslbridge.protocol.events import Event
from eslbridge.text import printable

# An originate answers when the phone does, or gives up after a minute.
ANSWER_SECONDS = 120.0
HISTORY_LINES = 1000
INTERRUPTED = 130  # what a shell says of a command that Ctrl-C ended
NOT_WAITED_FOR = "Not waited for. The switch goes on with it, and takes the next command when it is done."
# What of an event is worth a place on its line, in this order.
TELLING = (
    ("Unique-ID", ""),
    ("Caller-Caller-ID-Number", "from "),
    ("Caller-Destination-Number", "to "),
    ("Channel-Call-State", ""),
    ("Hangup-Cause", ""),
    ("from-user", "user "),
    ("to-user", "user "),
    ("contact", ""),
    ("network-ip", "at "),
    ("Gateway", "gateway "),
    ("State", ""),
    ("Job-Command", "job "),
    ("Session-Count", "sessions "),
)


def event_names(text: str) -> list[str]:
    """The names of `--events`, separated by commas or spaces."""
    names = text.replace(",", " ").split()
    if not names:
        raise ArgumentTypeError("name at least one event, like CHANNEL_ANSWER,sofia::register")
    return names


def in_one_line(event: Event) -> str:
    """“14:03:22 CHANNEL_ANSWER aaaa… from 1000 to 1001 ACTIVE”: an event for a person."""
    stamp = int(event.get("Event-Date-Timestamp") or 0) / 1e6 or time.time()
    facts = [f"{label}{event[name]}" for name, label in TELLING if event.get(name)]
    clock = time.strftime("%H:%M:%S", time.localtime(stamp))
    return printable(" ".join([clock, event.subclass or event.name, *dict.fromkeys(facts)]))


def as_json(event: Event) -> str:
    """All headers of an event as one line of JSON; its body is `_body`."""
    return printable(json.dumps(event.as_dict(), ensure_ascii=False))


class Command(BaseCommand):
    help = (
        "manage.py esl 'status' sends one command and prints the answer; "
        "manage.py esl --events CHANNEL_ANSWER,sofia::register follows events until Ctrl-C; "
        "manage.py esl alone is a console."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("command", nargs="*", help="the command, with its arguments")
        parser.add_argument("--events", type=event_names, help="follow these events, one line each")
        parser.add_argument("--json", action="store_true", help="with --events: every header, as JSON")
        parser.add_argument("--count", type=int, default=0, help="with --events: stop after so many")

    def handle(self, *args: object, command: list[str], **options: Any) -> None:
        if options["events"] and command:
            raise CommandError(f"Give all events to --events, separated by commas: what is {command[0]!r}?")
        if not options["events"] and (options["json"] or options["count"]):
            raise CommandError("--json and --count go with --events.")
        if options["events"]:
            self._follow(options["events"], as_json if options["json"] else in_one_line, options["count"])
        elif command:
            self._ask(" ".join(command))
        else:
            self._console()

    def _ask(self, command: str) -> None:
        with connected() as client:
            try:
                self.stdout.write(_answer(client, command))
            except KeyboardInterrupt:
                raise CommandError(NOT_WAITED_FOR, returncode=INTERRUPTED) from None

    # --- events ---------------------------------------------------------------------------------------

    def _follow(self, names: list[str], written: Callable[[Event], str], count: int) -> None:
        ended = threading.Event()
        seen = 0

        def show(events: Sequence[Event]) -> None:
            nonlocal seen
            for event in events:
                if ended.is_set():
                    return
                self.stdout.write(written(event))
                seen += 1
                if seen == count:
                    ended.set()
            self.stdout.flush()

        def show_while_somebody_reads(events: Sequence[Event]) -> None:
            try:
                show(events)
            except BrokenPipeError:
                ended.set()

        def tell(state: Connected | Disconnected) -> None:
            if isinstance(state, Disconnected):
                self.stderr.write(f"Connection lost: {state.error}. Trying again in {state.retry_in:.0f} s.")
            elif state.gap:
                self.stderr.write("Connected again; events may have been missed.")

        with connected(on_events=show_while_somebody_reads, on_state=tell) as client:
            try:
                client.subscribe(*names)
            except (CommandFailed, ValueError) as refused:
                raise CommandError(f"The switch refuses these events: {refused}") from None
            with suppress(KeyboardInterrupt):
                ended.wait()
        _leave_a_closed_pipe()

    # --- the console ----------------------------------------------------------------------------------

    def _console(self) -> None:
        with connected() as client:
            interactive = sys.stdin.isatty()
            if interactive:
                self._prepare_the_line(client)
                self.stdout.write("Commands go to the switch as they are; Tab completes, Ctrl-D ends.")
            while (line := self._line(f"{settings.FS_HOST}> " if interactive else "")) is not None:
                if line in {"exit", "quit", "/exit", "/quit"}:
                    return
                if line:
                    self._answer_or_say(client, line)

    def _answer_or_say(self, client: Client, line: str) -> None:
        try:
            self.stdout.write(_answer(client, line))
        except (CommandError, ESLError) as problem:
            self.stderr.write(str(problem))
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            self.stderr.write(NOT_WAITED_FOR)

    def _line(self, prompt: str) -> str | None:
        """The next line without spaces around it, '' for one that Ctrl-C took back; None at the end."""
        try:
            return input(prompt).strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            self.stdout.write("")
            return "" if prompt else None

    @staticmethod
    def _prepare_the_line(client: Client) -> None:
        """History over sessions, and completion of the commands that this switch has (`show api`)."""
        import atexit
        import readline

        history = Path(settings.VAR_DIR) / "esl_history"
        with suppress(OSError):
            readline.read_history_file(history)
        readline.set_history_length(HISTORY_LINES)

        def keep() -> None:
            with suppress(OSError):
                readline.write_history_file(history)

        atexit.register(keep)
        readline.set_completer_delims(" \t\n")
        readline.set_completer(completer(api_names(client), readline.get_begidx))
        readline.parse_and_bind("tab: complete")


def api_names(client: Client) -> list[str]:
    """The names of the switch's api commands, sorted; none when it does not tell them."""
    try:
        rows = json.loads(client.api("show", "api as json")).get("rows", [])
    except (ESLError, ValueError):
        return []
    return sorted({str(row.get("name", "")) for row in rows} - {""})


def completer(names: list[str], beginning: Callable[[], int]) -> Callable[[str, int], str | None]:
    """What readline asks: the nth name that begins with the text, where `beginning` says that a line begins.
    What comes behind a command is no command."""

    def complete(text: str, index: int) -> str | None:
        if beginning() > 0:
            return None
        matching = [f"{name} " for name in names if name.startswith(text)]
        return matching[index] if index < len(matching) else None

    return complete


def _leave_a_closed_pipe() -> None:
    """When nobody reads any more (`| head`), Python's last flush would be one more error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _answer(client: Client, line: str) -> str:
    name, _, arguments = line.strip().partition(" ")
    try:
        return printable(client.api(name, arguments, timeout=ANSWER_SECONDS))
    except CommandFailed as refused:
        raise CommandError(printable(refused.reply)) from None
    except ValueError as refused:
        raise CommandError(str(refused)) from None
