"""Routing on the simulated or a real switch: from a save to live, and an import of a thousand DIDs.

.venv/bin/python benchmarks/routing.py            # beside a running ./run
"""

import statistics
import time
from collections.abc import Callable

from site_under_test import set_up

set_up()

from django.db import models  # noqa: E402

from agents.models import Agent  # noqa: E402
from eslbridge.client import Client  # noqa: E402
from eslbridge.importing import sheets  # noqa: E402
from eslbridge.models import PendingChange, Reload  # noqa: E402
from routes.destinations import Destination  # noqa: E402
from routes.importing import InboundRouteResource  # noqa: E402
from routes.models import Gateway, InboundRoute, OutboundRoute, RingGroup  # noqa: E402

ROUNDS = 30
PREFIX = "+1202556"


def live_after(change: Callable[[], models.Model]) -> float:
    """Milliseconds from the save until nothing of the object waits any more."""
    started = time.perf_counter()
    instance = change()
    mine = {"kind": instance._meta.label_lower, "object_id": instance.pk}
    while PendingChange.objects.filter(**mine).exists():
        time.sleep(0.002)
    return (time.perf_counter() - started) * 1000


def report(what: str, times: list[float]) -> None:
    ordered = sorted(times)
    p95 = ordered[max(0, int(len(ordered) * 0.95) - 1)]
    print(f"{what:<58} median {statistics.median(times):7.1f} ms   p95 {p95:7.1f} ms", flush=True)


def timed(command: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        command()
        times.append((time.perf_counter() - started) * 1000)
    return times


def saves(agents: list[Agent], client: Client, label: str) -> None:
    route = InboundRoute.objects.filter(did__startswith=PREFIX).first()
    if route is None:
        route = InboundRoute.objects.create(did=f"{PREFIX}0000", destination=Destination.to(agents[0]))

    def edited(number: int) -> Callable[[], models.Model]:
        def change() -> models.Model:
            route.destination = Destination.to(agents[number % len(agents)])
            route.save()
            return route

        return change

    report(f"Inbound route, save to live{label}", [live_after(edited(number)) for number in range(ROUNDS)])
    report(f"the same switch's bare reloadxml{label}", timed(lambda: client.api("reloadxml")))


def gateways(client: Client) -> None:
    gateway, _ = Gateway.objects.get_or_create(
        name="bench1", defaults={"proxy": "127.0.0.1:5099", "registers": False, "ping_seconds": 0}
    )

    def edited(number: int) -> Callable[[], models.Model]:
        def change() -> models.Model:
            gateway.most_calls, gateway.codecs = number + 1, "PCMU" if number % 2 else "PCMA"
            gateway.save()
            return gateway

        return change

    live_after(edited(0))
    report(
        "Gateway that does not register, edit to live",
        [live_after(edited(number)) for number in range(1, 11)],
    )

    def bare() -> None:
        client.api("sofia", "profile external killgw bench1")
        while "Invalid Gateway" not in client.api("sofia", "status gateway bench1"):
            time.sleep(0.002)
        client.api("reloadxml")
        client.api("sofia", "profile external rescan")

    report("bare killgw, await, reloadxml, rescan", timed(bare)[:10])


def office(agents: list[Agent]) -> None:
    """A thousand DIDs, 200 groups and 50 gateways."""
    for number in range(50):
        Gateway.objects.get_or_create(
            name=f"bench{number}", defaults={"proxy": "127.0.0.1:5099", "registers": False, "ping_seconds": 0}
        )
    OutboundRoute.objects.get_or_create(
        name="bench", defaults={"prefixes": "+1", "gateway": Gateway.objects.get(name="bench1")}
    )
    for number in range(200):
        members = [Destination.to(agents[(number + each) % len(agents)]) for each in range(5)]
        RingGroup.objects.get_or_create(
            extension=str(700000 + number), defaults={"name": f"Bench {number}", "members": members}
        )
    rows = "".join(
        f"{PREFIX}{number:04},{agents[number % len(agents)].extension}\n" for number in range(1000)
    )
    reloads = Reload.objects.count()
    started = time.perf_counter()
    result = InboundRouteResource().import_data(sheets.read(f"did,destination\n{rows}".encode()))
    assert result.may_be_imported, result.problems[:3]
    imported = time.perf_counter() - started
    while PendingChange.objects.exists():
        time.sleep(0.01)
    took = time.perf_counter() - started
    print(
        f"Import of 1,000 DIDs: imported after {imported:.2f} s, the last is live after {took:.2f} s, "
        f"{Reload.objects.count() - reloads} reloads",
        flush=True,
    )


def tidy() -> None:
    InboundRoute.objects.filter(did__startswith=PREFIX).delete()
    RingGroup.objects.filter(name__startswith="Bench ").delete()
    OutboundRoute.objects.filter(name="bench").delete()
    Gateway.objects.filter(name__startswith="bench").delete()


def main() -> None:
    from django.conf import settings

    agents = list(Agent.objects.active()[:50])
    with Client(settings.FS_HOST, settings.FS_ESL_PORT, settings.FS_ESL_PASSWORD) as client:
        client.connect()
        try:
            saves(agents, client, "")
            gateways(client)
            office(agents)
            saves(agents, client, " (1,000 DIDs, 200 groups, 50 gateways)")
        finally:
            tidy()


if __name__ == "__main__":
    main()
