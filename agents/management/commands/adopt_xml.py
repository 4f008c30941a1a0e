"""Imports hand-made users of the switch as agents; says first what that would do."""

from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.adopt import Candidate, NotAdopted, Place, Unreadable, adopt, plan, read
from eslbridge.client import Client
from eslbridge.models import Switch
from eslbridge.protocol.errors import ESLError

HEADINGS = ("EXT.", "NAME", "PASSWORD", "CALLER ID", "OUTBOUND", "CALLS", "GROUP", "CONTEXT", "PIN", "NOTES")


class Command(BaseCommand):
    help = (
        "Read the users of a configuration directory and show which of them can become agents. Changes "
        "nothing without --apply. With it the agents are made, with their passwords, so that phones stay "
        "registered, and the hand-made files are renamed to NAME.xml.before-patchbay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "directory",
            nargs="?",
            default=settings.FS_CONF_DIR,
            help="a configuration directory, or a folder of user files (default: FS_CONF_DIR)",
        )
        parser.add_argument("--apply", action="store_true", help="do it")
        parser.add_argument(
            "--password-from-file",
            metavar="FILE",
            help="passwords of users whose file has only an a1-hash: lines of an extension and a password",
        )

    def handle(self, *args: object, directory: str, apply: bool = False, **options: object) -> None:
        root, conf_dir = Path(directory), Path(settings.FS_CONF_DIR)
        passwords = _passwords(options.get("password_from_file"))
        if not root.is_dir():
            raise CommandError(f"{root} is no directory here.")
        if is_own := root.resolve().is_relative_to(conf_dir.resolve()):
            root = conf_dir / root.resolve().relative_to(conf_dir.resolve())
        known = self._globals() if is_own else None
        domain = settings.FS_DOMAIN or (known or {}).get("domain", "") or _announced_domain()
        place = Place(conf_dir, domain, is_read=is_own)
        try:
            # A folder of the switch's is read with all that it is included by: variables, groups, domains.
            whole = conf_dir if is_own and (conf_dir / "freeswitch.xml").is_file() else root
            candidates = plan(read(whole, known), place, passwords, below=root)
        except Unreadable as problem:
            raise CommandError(str(problem)) from None
        able = [each for each in candidates if each.can_be_adopted]
        self._show(candidates, able, place)
        if not apply:
            self.stdout.write("Nothing was changed. Do it with --apply." if able else "Nothing was changed.")
        elif able:
            self._adopt(able, place)

    def _adopt(self, able: list[Candidate], place: Place) -> None:
        try:
            aside = adopt(able, place)
        except NotAdopted as problem:
            raise CommandError(f"Nothing was adopted. {problem}") from None
        for path in aside:
            self.stdout.write(f"renamed {path} to {path}.before-patchbay")
        self.stdout.write(f"{len(able)} adopted. Their state on the switch: python manage.py doctor")

    def _globals(self) -> dict[str, str] | None:
        """The switch's global variables; None, with a line that says so, when it does not answer."""
        if not settings.FS_HOST:
            return None
        try:
            with Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD) as client:
                client.connect()
                lines = client.api("global_getvar").splitlines()
        except (ESLError, ValueError) as problem:
            self.stderr.write(f"The switch cannot be asked for its variables: {problem}")
            return None
        return dict(line.split("=", 1) for line in lines if "=" in line)

    # --- the table -------------------------------------------------------------------------------------

    def _show(self, candidates: list[Candidate], able: list[Candidate], place: Place) -> None:
        legend: dict[str, int] = {}
        rows = [_row(each, legend) for each in able]
        if rows:
            self._table([HEADINGS, *rows])
            for note, number in legend.items():
                self.stdout.write(f"{number}: {note}")
            self.stdout.write("")
        refused = [each for each in candidates if not each.can_be_adopted]
        if refused:
            self.stdout.write("Cannot be adopted:")
            self._table(
                (each.user.id, place.path_of(each.user.file), " ".join(each.reasons)) for each in refused
            )
            self.stdout.write("")
        self.stdout.write(f"{len(able)} can be adopted, {len(refused)} cannot.")

    def _table(self, rows: Iterable[tuple[str, ...]]) -> None:
        rows = list(rows)
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        for row in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write(line.rstrip())


def _row(candidate: Candidate, legend: dict[str, int]) -> tuple[str, ...]:
    agent = candidate.agent
    numbers = [legend.setdefault(note, len(legend) + 1) for note in candidate.notes]
    return (
        agent.extension,
        agent.name,
        "kept",
        agent.shown_number,
        agent.outbound_caller_id or "the site's",
        agent.toll_allow or "none",
        agent.call_group or "-",
        candidate.user.variables.get("user_context") or "-",
        "kept" if candidate.keeps_pin or not candidate.is_new else "new",
        " ".join(map(str, numbers)),
    )


def _passwords(file: object) -> dict[str, str]:
    """Lines of an extension, white space and its password, which may hold spaces."""
    if not file:
        return {}
    try:
        lines = Path(str(file)).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandError(f"{file} cannot be read: {problem}") from None
    pairs = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    if short := [pair[0] for pair in pairs if len(pair) < 2]:
        raise CommandError(f"{file}: there is no password after {short[0]}.")
    return {extension: password.rstrip() for extension, password in pairs}


def _announced_domain() -> str:
    switch = Switch.objects.filter(name=settings.SWITCH_NAME).first()
    return switch.domain if switch else ""
