"""Random offices from the real models: whom the rendered files ring is what is said of them."""

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models import Agent
from eslbridge.dialplan import load
from eslbridge.publishing import Target
from eslbridge.publishing.registry import publications
from eslbridge.simulator.conf import write_vanilla
from routes.destinations import Destination
from routes.models import BusinessHours, Gateway, OutboundRoute, RingGroup
from tests.eslbridge.dialplan.simulated import Office
from tests.eslbridge.dialplan.test_against_simulator import EXAMPLES, ask
from tests.factories import make_agent, make_gateway, make_group, make_hours, make_outbound, make_route

pytestmark = pytest.mark.django_db

EXTENSIONS = ("1020", "1021", "1022")
CARRIERS = ("carrier1", "carrier2")
ABROAD = "+4930901820"
DID, OTHER_DID = "+19495431333", "+19495431334"


def _hours(random: Random) -> BusinessHours | None:
    if random.random() < 0.4:
        return None
    ranges = random.choice(("09:00-17:00", "22:00-06:00", "00:00-24:00", "08:30-12:00, 13:00-18:00"))
    return make_hours(
        time_zone=random.choice(("Europe/Berlin", "America/New_York", "UTC")), monday=ranges, saturday=ranges
    )


def _gateways(random: Random) -> list[Gateway]:
    return [make_gateway(name, most_calls=random.choice((None, 0, 2))) for name in CARRIERS]


def _outbound(random: Random, gateways: list[Gateway]) -> None:
    for toll, match in (("domestic", {"prefixes": "+1"}), ("international", {"match": "any"})):
        first, second = random.sample(gateways, 2)
        make_outbound(
            first,
            name=toll,
            toll_class=toll,
            second_gateway=random.choice((None, second)),
            failover=random.choice(OutboundRoute.Failover.values),
            strip=random.choice((0, 1)),
            prepend=random.choice(("+", "", "00")),
            hours=_hours(random),
            **match,
        )


def _group(random: Random, agents: list[Agent], then: Destination | None) -> RingGroup:
    return make_group(
        *random.sample([*agents, ABROAD], random.randint(1, 3)),
        extension="6000",
        strategy=random.choice(RingGroup.Strategy.values),
        ring_seconds=random.choice((5, 15)),
        total_seconds=random.choice((15, 40)),
        skips_busy=random.choice((True, False)),
        prefix=random.choice(("", "Sales")),
        then=then,
    )


def make_office(random: Random) -> None:
    agents = [
        make_agent(
            each,
            outbound_caller_id=random.choice(("", "+19495430000")),
            may_call_domestic=random.choice((True, False)),
            may_call_international=random.choice((True, False)),
        )
        for each in EXTENSIONS
    ]
    _outbound(random, _gateways(random))
    simple = [Destination.to(each) for each in agents]
    simple += [Destination("voicemail", str(agents[0].pk)), Destination("message", "closed.wav")]
    group = _group(random, agents, random.choice((None, *simple)))
    anywhere = [*simple, Destination.to(group), Destination("number", ABROAD)]
    other = make_route(did=OTHER_DID, destination=random.choice(anywhere))
    anywhere.append(Destination.to(other))
    hours = _hours(random)
    first = random.choice(anywhere)
    rings = first.kind in ("agent", "number")
    make_route(
        did=DID,
        destination=first,
        hours=hours,
        closed_destination=random.choice(anywhere) if hours else None,
        ring_seconds=random.choice((5, 20)),
        unanswered_destination=random.choice((None, *anywhere)) if rings else None,
        busy_destination=random.choice((None, *anywhere)) if rings else None,
    )


def render(root: Path) -> None:
    """All files, as the publisher would write them."""
    write_vanilla(root)
    for publication in publications():
        for _, _, instance in publication.objects():
            if rendered := publication.render(instance, Target("switch-1", "127.0.0.1")):
                path = root / publication.path(instance)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(rendered.content)


def behaviours(random: Random) -> dict[str, str]:
    phones = {each: random.choice(("answer", "busy", "no_answer", "unregistered")) for each in EXTENSIONS}
    lines = ("answer", "busy", "no_answer", "NORMAL_TEMPORARY_FAILURE", "UNALLOCATED_NUMBER")
    return phones | {each: random.choice(lines) for each in CARRIERS}


@settings(EXAMPLES, max_examples=6)
@given(st.randoms(use_true_random=False))
def test_a_random_office_rings_as_told(random: Random) -> None:
    day = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")) + timedelta(days=random.randint(0, 364))
    moment = day + timedelta(hours=random.randint(0, 23), minutes=random.choice((0, 15)))
    said = behaviours(random)
    with TemporaryDirectory() as folder, transaction.atomic():
        make_office(random)
        render(Path(folder))
        transaction.set_rollback(True)
        with Office(Path(folder), moment) as office:
            office.behave(said, EXTENSIONS)
            for number in (DID, OTHER_DID.removeprefix("+")):
                ask(office, load(folder), number, moment, said)
            callers = [each for each in EXTENSIONS if said[each] != "unregistered"]
            for number in ("6000", "1021", "9495431000", "011493090182", "1999", "911") if callers else ():
                ask(office, load(folder), number, moment, said, callers[0])
