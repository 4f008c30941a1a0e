"""The simulator as others use it: a switch in a thread of its own."""

from __future__ import annotations

import asyncio
import datetime
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from .channel import Channel
from .clock import Clock
from .core import MEMORY, Options, Switch
from .farend import Outside
from .faults import Faults
from .listener import Listener
from .phones import Phone
from .referring import refer

START_SECONDS = 60.0


class Simulator:
    """A simulated switch on a TCP port.

    ``conf_dir`` is read as the switch reads it (see ``conf.write_vanilla``). ``esl_port`` 0 takes a free
    port, which the attribute ``esl_port`` then tells and which a restart keeps. ``cdr_dir`` gets one
    mod_json_cdr file a leg.
    ``late`` fixes races (see ``races.Races``), which otherwise alternate.
    ``now`` tells the time instead of the machine (see also ``set_time``), ``zone`` is the switch's own.
    ``ring_second`` is how long a second of ``call_timeout`` and its like takes: 0.01 for tests in a hurry.
    ``answer_after`` is how many seconds a phone rings, ``register_delay`` how long a phone takes to register.
    """

    def __init__(  # noqa: PLR0913 - all but the first have names and defaults
        self,
        conf_dir: Path | str,
        *,
        host: str = "127.0.0.1",
        esl_port: int = 0,
        password: str = "ClueCon",  # noqa: S107 - what every fresh event socket has
        domain: str = "127.0.0.1",
        cdr_dir: Path | str | None = None,
        answer_after: float = 0.3,
        register_delay: float = 0.05,
        event_queue_length: int = 100_000,
        late: Iterable[str] | None = None,
        now: Callable[[], datetime.datetime] | None = None,
        zone: str = "",
        ring_second: float = 1.0,
    ):
        self.esl_port = esl_port
        self.host = host
        self.password = password
        self.received: deque[tuple[float, str]] = deque(maxlen=MEMORY)
        self.executed_commands: list[str] = []
        self.faults = Faults()
        self.offline_users: set[str] = set()
        self._options = Options(
            Path(conf_dir),
            host,
            esl_port,
            password,
            domain,
            Path(cdr_dir) if cdr_dir else None,
            answer_after,
            register_delay,
            event_queue_length,
            late=None if late is None else frozenset(late),
            clock=Clock(now, zone),
            ring_second=ring_second,
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._switch: Switch | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._stop: asyncio.Event | None = None

    # Life

    def start(self) -> Simulator:
        """Starts the switch and waits until it listens. Raises OSError when the port is taken."""
        if self._thread is not None:
            return self
        self._started.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="switch-simulator", daemon=True)
        self._thread.start()
        if not self._started.wait(START_SECONDS):
            raise TimeoutError("the simulator did not start")
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure
        return self

    def stop(self) -> None:
        """Takes the switch down without a word to anybody, as a power cut does."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=START_SECONDS)
        self._thread = None

    def restart(self) -> None:
        """Stops and starts; the files are read anew, calls and registrations are gone."""
        self.stop()
        self.start()

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - start() raises it in the caller's thread
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        switch = Switch(self._options, self.received, self.executed_commands, self.faults)
        self.faults.attach(switch)
        switch.registrar.offline_users = self.offline_users
        self._switch = switch
        server = await self._loop.create_server(
            lambda: Listener(switch, self.faults), self.host, self.esl_port, reuse_address=True
        )
        try:
            self.esl_port = server.sockets[0].getsockname()[1]
            await switch.start()
            self._started.set()
            await self._stop.wait()
        finally:
            for sock in server.sockets:
                self._loop.remove_reader(sock.fileno())
            for _ in range(3):  # asyncio would forget whom it accepts just now, and leave them open
                await asyncio.sleep(0)
            server.close()
            await switch.stop()
            await server.wait_closed()

    def set_time(self, moment: datetime.datetime | None) -> None:
        """Makes it this time (aware) on the switch, from where its clock goes on; None: the machine's time.

        Conditions of the dialplan, ``strepoch`` and the stamps of events and records follow; how long a phone
        rings and when a registration expires do not.
        """
        self._options.clock.set(moment)

    def ping_gateways(self) -> None:
        """Gateways with ``ping`` send it now, not only every few seconds."""
        self.switch.in_loop(self.switch.gateway_list.ping)

    def keep_offline(self, *users: str) -> None:
        """Phones of these users do not register by themselves when they appear."""
        self.offline_users.update(users)

    # What is inside

    @property
    def switch(self) -> Switch:
        """The running switch. Its methods belong to the switch's own thread."""
        if self._switch is None:
            raise RuntimeError("the simulator is not started")
        return self._switch

    @property
    def conf_dir(self) -> Path:
        return self._options.conf_dir

    def heartbeat(self) -> None:
        """Sends a HEARTBEAT now, not only every 20 seconds."""
        self.switch.in_loop(self.switch.heartbeat)

    @property
    def running(self) -> bool:
        return self._thread is not None

    @property
    def phones(self) -> dict[str, Phone]:
        """Phones by user id."""
        return self.switch.phones

    def add_phone(self, user: str) -> Phone:
        """A second phone of that user, who may have several from now on (multiple-registrations)."""
        self.switch.registrar.multiple = True
        return self.switch.in_loop(self.switch.registrar.add_second, user)

    @property
    def outside(self) -> Outside:
        """Everybody whom the gateways reach."""
        return self.switch.outside

    @property
    def channels(self) -> dict[str, Channel]:
        """Channels that exist now, by UUID (a copy)."""
        return self.switch.in_loop(lambda: dict(self.switch.channels))

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Bridged pairs of UUIDs, the A-leg first."""
        return self.switch.in_loop(lambda: [(a.uuid, b.uuid) for a, b, _ in self.switch.bridges.values()])

    @property
    def connections(self) -> int:
        """How many event-socket connections there are."""
        return len(self.switch.listeners)

    @property
    def errors(self) -> list[BaseException]:
        """Errors of the simulator itself; there should be none."""
        return list(self.switch.errors)

    def call_from_outside(
        self, did: str = "+19495431333", caller: str = "+15551230000", caller_name: str = ""
    ) -> str:
        """Somebody outside dials a DID. Returns the UUID of the inbound channel."""
        return self.switch.in_loop(self.switch.call_from_outside, did, caller, caller_name)

    def refer(self, uuid: str, number: str) -> None:
        """Whoever is at the far end of that channel sends the other party to a number: a REFER."""
        self.switch.in_loop(lambda: refer(self.switch.channels[uuid], number))

    def hang_up_later(self, uuid: str, seconds: float) -> None:
        """The party that called puts the receiver down after a while."""
        self.switch.in_loop(self.switch.hang_up_later, uuid, seconds)
