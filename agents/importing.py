"""Agents as a spreadsheet."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from eslbridge.importing.columns import Column, Digits, Named, OneOf, Telephone, Word, YesNo
from eslbridge.importing.resource import PublishedResource
from eslbridge.importing.sheets import Problem
from eslbridge.switchxml import UnsafeValue, check_value

from .models import Agent, new_pin
from .numbers import to_e164
from .validators import claims_asked_once

_PASSWORD = re.compile(r"[!-~]{12,64}", re.ASCII)


def validate_password(value: str) -> None:
    """12 to 64 printable ASCII characters that the switch takes as they are. New agents get 24 letters and
    digits, which is better."""
    if not _PASSWORD.fullmatch(value):
        raise ValidationError(
            "A password is 12 to 64 letters, digits and signs of the English keyboard, without spaces."
        )
    try:
        check_value(value, "The password")
    except UnsafeValue as refused:
        raise ValidationError(f"The password {refused.problem}") from None


class AgentResource(PublishedResource):
    """One row an agent, found again by the extension."""

    extension = Column("extension", Digits(), "4 to 6 digits. Says which agent this is.", required=True)
    name = Column("name", Word(), "Shown on the phones that this agent calls.", required=True)
    email = Column("email", Word(), "For voicemail messages.")
    user = Column(
        "user",
        Named(
            get_user_model(), "username", "There is no site user “{}”. Add the user first, or leave it out."
        ),
        "User name of the site user whose phone this is.",
    )
    active = Column("is_active", YesNo(), "yes or no.", keeps=True)
    caller_id_name = Column("caller_id_name", Word(), "On calls to other agents. Empty: the name.")
    caller_id_number = Column("caller_id_number", Digits(), "On calls to other agents. Empty: the extension.")
    outbound_caller_id = Column(
        "outbound_caller_id", Telephone(to_e164), "What people outside see. Empty: the site's."
    )
    local_calls = Column("may_call_local", YesNo(), "yes or no.", keeps=True)
    domestic_calls = Column("may_call_domestic", YesNo(), "yes or no.", keeps=True)
    international_calls = Column("may_call_international", YesNo(), "yes or no.", keeps=True)
    premium_calls = Column("may_call_premium", YesNo(), "yes or no.", keeps=True)
    media = Column("media", OneOf(dict(Agent.Media.choices)), "either, desk or webrtc.", keeps=True)
    call_buttons_ring = Column("button_rings", OneOf(dict(Agent.Devices.choices)), "all or last.", keeps=True)
    call_group = Column("call_group", Word(), "One word; members pick up one another's calls.")
    voicemail_pin = Column(
        "voicemail_pin", Digits(), "4 to 10 digits. Empty: kept, or generated.", keeps=True, secret=True
    )
    password = Column(
        "password", Word(), "12 characters or more. Empty: kept, or generated.", keeps=True, secret=True
    )

    class Meta:
        model = Agent
        import_id_fields = ["extension"]

    def import_data(self, *args: Any, **kwargs: Any) -> Any:
        with claims_asked_once():
            return super().import_data(*args, **kwargs)

    def wrong(self, instance: Agent, changed: set[str]) -> Mapping[str, str]:
        if "password" in changed:
            try:
                validate_password(instance.password)
            except ValidationError as refused:
                return {"password": " ".join(refused.messages)}
        return {}

    def validate_instance(self, instance: Agent, *args: Any, **kwargs: Any) -> None:
        if instance.pk is None and self.fields["voicemail_pin"] not in self._present:
            while instance.voicemail_pin == instance.extension:  # in one of a hundred large imports
                instance.voicemail_pin = new_pin()
        super().validate_instance(instance, *args, **kwargs)

    def others_wrong(self) -> Iterable[Problem]:
        """A site user has one phone: also over the agents that the file does not name."""
        if self.fields["user"] not in self._present:
            return
        of_file = {agent.extension for _, agent in self.given}
        with_user = Agent.objects.exclude(user=None).values_list("user_id", "extension")
        owner = {user: extension for user, extension in with_user if extension not in of_file}
        for number, agent in self.given:
            if agent.user_id is None:
                continue
            other = owner.setdefault(agent.user_id, agent.extension)
            if other != agent.extension:
                text = f"This site user's phone is {other} already, and a user has one phone."
                yield Problem(number, "user", agent.user.username, text)

    def before_saving(self, changed: list[Agent]) -> None:
        """Two agents may exchange their users: nobody has one for a moment."""
        if "user" in self._changed:
            Agent.objects.filter(pk__in=[agent.pk for agent in changed]).update(user=None)
