"""What the forms of agents take and refuse, through the admin as a user posts them."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from agents.models import Agent
from eslbridge.models import PendingChange, Switch
from eslbridge.publishing.publisher import Publisher
from eslbridge.publishing.state import sync_states
from tests.factories import make_agent, make_route, make_switch, make_user
from tests.forms import form_errors

ADD = "admin:agents_agent_add"


@pytest.fixture
def site(client: Client, db: None, redis_client: Any) -> Client:
    client.force_login(make_user())
    return client


def filled(**fields: object) -> dict[str, object]:
    """An agent's form as the page sends it."""
    known = {
        "extension": "1020",
        "name": "Grace Hopper",
        "is_active": "on",
        "may_call_local": "on",
        "media": "either",
        "button_rings": "all",
        "voicemail_pin": "739104",
    }
    return {**known, **fields}


def errors(site: Client, **fields: object) -> dict[str, list[str]]:
    """What the admin's form says; empty when it was saved."""
    return form_errors(Agent, filled(**fields))


def page_errors(site: Client, **fields: object) -> dict[str, list[str]]:
    """The same, through the page."""
    response = site.post(reverse(ADD), filled(**fields))
    return {} if response.status_code == 302 else dict(response.context["adminform"].form.errors)


def test_an_agent_is_added_with_a_password_that_nobody_typed(site: Client) -> None:
    make_switch()
    assert page_errors(site) == {}
    agent = Agent.objects.get()
    assert (agent.extension, agent.name) == ("1020", "Grace Hopper")
    assert len(agent.password) == 24 and agent.password.isalnum()
    assert PendingChange.objects.get().path == "directory/default/1020.xml"


def test_whoever_adds_an_agent_is_told_where_its_phone_finds_its_password(site: Client) -> None:
    told = site.post(reverse(ADD), filled(), follow=True).content.decode()
    page = reverse("admin:agents_agent_change", args=[Agent.objects.get().pk])
    assert f'password are on <a href="{page}">its page</a>' in told
    assert Agent.objects.get().password in site.get(page).content.decode()


@pytest.mark.parametrize("extension", ["1000", "1020", "99999", "999999", " 1020 "])
def test_extensions_of_four_to_six_digits_are_taken(site: Client, extension: str) -> None:
    assert errors(site, extension=extension) == {}
    assert Agent.objects.get().extension == extension.strip()


@pytest.mark.parametrize(
    "extension",
    [
        "102",
        "abcd",
        "102a",
        "0102",
        "１０２０",
        "١٠٢٠",
        "10 20",
        "10-20",
        "../1",
        "/etc",
        "+1020",
        "1.02",
    ],
)
def test_other_extensions_are_refused_with_what_one_is(site: Client, extension: str) -> None:
    assert errors(site, extension=extension) == {
        "extension": ["An extension is 4 to 6 digits from 0 to 9 and does not begin with 0, like 1020."]
    }
    assert not Agent.objects.exists()


def test_an_extension_that_is_too_long_is_refused(site: Client) -> None:
    assert "extension" in errors(site, extension="1234567")


def test_a_missing_extension_is_refused(site: Client) -> None:
    assert errors(site, extension="") == {"extension": ["This field is required."]}


def test_a_taken_extension_is_refused_in_words(site: Client) -> None:
    make_agent(1020)
    assert page_errors(site) == {"extension": ["Another agent has this extension already."]}


# --- names ------------------------------------------------------------------------------------------

CARRIED = [
    "Grace Hopper",
    "O'Neil",
    "Smith, John",
    "A & B <sales>",
    "Zoë Ångström",
    "🦊 fox",
    "שלום עולם",
    "السلام",
    "50% off = $5",
    "x-pre-process",
    "<include>",
    "<?xml?>",
    "<!--#set-->",
    "back`tick`",
    "a;b|c",
    "$name",
    "(1)",
    "n" * 80,
]


def test_honest_names_are_taken_and_arrive_on_the_switch_as_they_were_typed(
    site: Client, publisher: Publisher
) -> None:
    for extension, name in enumerate(CARRIED, start=1020):
        assert errors(site, extension=str(extension), name=name) == {}, name
    assert list(Agent.objects.values_list("name", flat=True)) == CARRIED

    assert publisher.publish().failed == {}

    assert {each.name for each in sync_states(Agent.objects.all()).values()} == {"live"}
    asked = [
        f"user_data {agent.extension}@127.0.0.1 var effective_caller_id_name" for agent in Agent.objects.all()
    ]
    assert publisher.client.api_many(asked) == CARRIED


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ('Grace "Amazing" Hopper', '“"”'),
        ("grace@navy", "“@”"),
        ("Sales: EU", "“:”"),
        ("Sales/EU", "“/”"),
        ("a{b", "“{”"),
        ("a}b", "“}”"),
        ("back\\slash", "“\\”"),
        ("$${default_password}", "“${”"),
        ("${system(touch /tmp/x)}", "“${”"),
        ("line\nbreak", "U+000A"),
        ("line\r\nbreak", "U+000D"),
        ("tab\tstop", "U+0009"),
        ("separator\u2028here", "U+2028"),
        ("next\x85line", "U+0085"),
        ("escape\x1b[31m", "U+001B"),
    ],
)
def test_a_name_that_the_switch_cannot_carry_is_refused_naming_the_character(
    site: Client, name: str, named: str
) -> None:
    [message] = errors(site, name=name)["name"]
    assert named in message
    assert message.startswith("The name holds")
    assert not Agent.objects.exists()


def test_nul_in_a_name_is_refused(site: Client) -> None:
    assert "name" in errors(site, name="a\0b")


@pytest.mark.parametrize("name", ["", "   ", "\u00a0"])
def test_an_empty_name_is_refused(site: Client, name: str) -> None:
    assert errors(site, name=name)["name"] in (["This field is required."], ["The name is empty."])


def test_a_name_that_is_too_long_is_refused(site: Client) -> None:
    assert "name" in errors(site, name="n" * 81)


@pytest.mark.parametrize("field", ["caller_id_name"])
def test_a_caller_id_name_follows_the_same_rule(site: Client, field: str) -> None:
    assert field in errors(site, **{field: "${system(id)}"})


# --- the other fields -------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["grace@navy.example", "+g.h-voicemail_1%x@sub-domain.navy.example"])
def test_email_addresses_are_taken(site: Client, address: str) -> None:
    assert errors(site, email=address) == {}


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        "`id`@navy.example",
        "a|b@navy.example",
        "$x@navy.example",
        "${system}@navy.example",
        '"a b"@navy.example',
        "-oX/tmp/x@navy.example",
        "a&b@navy.example",
        "a'b@navy.example",
        "a/b@navy.example",
        "zoë@navy.example",
    ],
)
def test_an_email_address_that_means_something_to_a_shell_is_refused(site: Client, address: str) -> None:
    """Older switches hand it to the mail program through a shell."""
    assert "email" in errors(site, email=address)


@pytest.mark.parametrize("number", ["1", "abc", "1020;x", "+", "１０２０", "${x}", "1" * 22, "10 20"])
def test_a_caller_id_number_is_digits(site: Client, number: str) -> None:
    assert "caller_id_number" in errors(site, caller_id_number=number)


@pytest.mark.parametrize("group", ["a b", "a,b", "a|b", "ä", "${x}"])
def test_a_call_group_is_one_word(site: Client, group: str) -> None:
    assert "call_group" in errors(site, call_group=group)


@pytest.mark.parametrize(
    "pin", ["1020", "123", "12345678901", "abcd", "1111", "1234", "9876", "１２９４", "12 94"]
)
def test_a_weak_pin_is_refused(site: Client, pin: str) -> None:
    assert "voicemail_pin" in errors(site, voicemail_pin=pin)


def test_an_outbound_caller_id_is_kept_with_its_country_code(site: Client) -> None:
    assert errors(site, outbound_caller_id="(949) 543-1333") == {}
    assert Agent.objects.get().outbound_caller_id == "+19495431333"
    assert "outbound_caller_id" in errors(site, extension="1021", outbound_caller_id="letters")


# --- while something is away ------------------------------------------------------------------------


def test_the_page_after_a_save_says_pending_and_why(site: Client) -> None:
    make_switch(link=Switch.Link.LOST, reason="Connection refused", host="10.0.0.9", esl_port=8021)
    response = site.post(reverse(ADD), filled(), follow=True)
    assert "Pending" in response.content.decode()
    assert "The switch does not answer at 10.0.0.9:8021: Connection refused" in response.content.decode()


def test_a_refused_password_of_the_switch_is_on_the_agents_page(site: Client) -> None:
    make_switch(link=Switch.Link.REFUSED, reason="-ERR invalid")
    agent = make_agent()
    page = site.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
    assert "The switch refuses the Event Socket password" in page


def test_a_form_is_saved_while_redis_is_away(site: Client, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    assert errors(site) == {}
    assert Agent.objects.exists()


def test_an_agent_that_a_route_leads_to_cannot_be_deleted_and_the_page_says_which(site: Client) -> None:
    agent = make_agent()
    make_route(agent, did="+19495431333")
    page = site.post(reverse("admin:agents_agent_delete", args=[agent.pk]), {"post": "yes"}).content.decode()
    assert "+1 949-543-1333" in page
    assert Agent.objects.filter(pk=agent.pk).exists()


def test_deactivating_many_from_the_list_queues_each(site: Client) -> None:
    make_switch()
    agents = [make_agent() for _ in range(3)]
    PendingChange.objects.all().delete()
    site.post(
        reverse("admin:agents_agent_changelist"),
        {"action": "deactivate", "_selected_action": [agent.pk for agent in agents]},
    )
    assert not Agent.objects.active().exists()
    assert PendingChange.objects.count() == 3


def test_new_passwords_for_many_are_one_transaction_or_none(
    site: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_switch()
    agents = [make_agent() for _ in range(3)]
    before = {agent.password for agent in agents}
    PendingChange.objects.all().delete()
    asked = {"action": "rotate_passwords", "_selected_action": [agent.pk for agent in agents]}
    rotate = Agent.rotate_password

    def fails_for_the_last(agent: Agent) -> None:
        rotate(agent)
        if agent.pk == agents[-1].pk:
            raise RuntimeError

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(Agent, "rotate_password", fails_for_the_last)
        site.post(reverse("admin:agents_agent_changelist"), asked)
    assert {agent.password for agent in Agent.objects.all()} == before
    assert not PendingChange.objects.exists()

    site.post(reverse("admin:agents_agent_changelist"), asked)
    assert before.isdisjoint(agent.password for agent in Agent.objects.all())
    assert PendingChange.objects.count() == 3


def test_new_passwords_need_their_permission(client: Client, db: None, django_user_model: Any) -> None:
    agent = make_agent()
    user = django_user_model.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_agent", "change_agent"]))
    client.force_login(user)
    client.post(
        reverse("admin:agents_agent_changelist"),
        {"action": "rotate_passwords", "_selected_action": [agent.pk]},
    )
    assert client.post(f"/agents/agent/{agent.pk}/rotate_password/").status_code == 403
    assert Agent.objects.get().password == agent.password
