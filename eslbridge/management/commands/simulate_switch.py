"""``manage.py simulate_switch``: the switch simulator as a process of its own."""

from __future__ import annotations

import os
import random
import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla
from eslbridge.simulator.traffic import Traffic

DEFAULT_DOMAIN = "127.0.0.1"


class Command(BaseCommand):
    requires_system_checks = ()  # it needs nothing of the site
    help = "Runs a simulated FreeSWITCH: event socket, configuration files, phones and calls."

    def add_arguments(self, parser: ArgumentParser) -> None:
        environment = os.environ
        parser.add_argument(
            "--conf-dir",
            default=environment.get("FS_CONF_DIR", "var/freeswitch"),
            help="configuration directory; a small vanilla tree is written when it is empty",
        )
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=int(environment.get("FS_ESL_PORT", "8021")))
        parser.add_argument("--password", default=environment.get("FS_ESL_PASSWORD", "ClueCon"))
        parser.add_argument(
            "--cdr-dir",
            default=environment.get("FS_CDR_DIR") or None,
            help="where to write a JSON file for each leg",
        )
        parser.add_argument(
            "--traffic",
            type=float,
            default=0.0,
            metavar="CALLS_PER_MINUTE",
            help="place demo calls: from outside to DIDs, and between phones",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        conf_dir = Path(options["conf_dir"]).resolve()
        domain = os.environ.get("FS_DOMAIN") or DEFAULT_DOMAIN
        if not (conf_dir / "freeswitch.xml").exists():
            write_vanilla(conf_dir, domain=domain)
        simulator = Simulator(
            conf_dir,
            host=options["host"],
            esl_port=options["port"],
            password=options["password"],
            domain=domain,
            cdr_dir=options["cdr_dir"],
        )
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            simulator.start()
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CommandError(f"Cannot listen on {options['host']}:{options['port']}: {reason}") from error
        self.stdout.write(
            f"Simulated switch on {options['host']}:{simulator.esl_port}, configuration in {conf_dir}"
        )
        if simulator.switch.configuration_error:
            self.stderr.write(f"The configuration is broken: {simulator.switch.configuration_error}")
        self.stdout.flush()
        try:
            chance = random.Random()  # noqa: S311 - who calls whom in a demonstration
            Traffic(simulator, options["traffic"], chance).run(stop)
        finally:
            simulator.stop()
