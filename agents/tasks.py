"""What an operator can ask of a registered phone, carried out by the switch's worker."""

import logging

from celery import shared_task

from eslbridge import link
from eslbridge.protocol.errors import ESLError

from .switchxml import SIP_PROFILE

log = logging.getLogger(__name__)

# What can be asked, and the switch's command for it; the registration is named by its Call-ID.
COMMANDS = {
    "end": "flush_inbound_reg {call_id}",
    "check_sync": "check_sync {call_id}",
    "restart": "flush_inbound_reg {call_id} reboot",
}


@shared_task
def ask_phone(what: str, call_id: str) -> None:
    """End one registration, or have that phone read its settings again, or restart."""
    command = COMMANDS[what].format(call_id=call_id)
    try:
        held = link.current()
        held.wait_until_ready()
        held.client.api("sofia", f"profile {SIP_PROFILE} {command}")
    except (link.LinkIsDown, ESLError) as problem:
        log.warning("%s was not sent: %s", command, problem)
