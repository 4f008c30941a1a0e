"""A gateway in its SIP profile, and what the switch must be told beside a reload."""

from collections.abc import Iterable, Iterator
from hashlib import sha256

from django.conf import settings

from eslbridge.publishing import Await, Check, Rendered, Target, publishes
from eslbridge.switchxml import Element, document

from ..models import Gateway

# A carrier that cannot be reached is asked again so soon.
RETRY_SECONDS = 30
# A registered gateway that is ended takes its registration back in the next seconds. The new one must not
# register before: the late un-REGISTER would end its registration at the carrier, and no call would come in.
UNREGISTER_SECONDS = 3.0
_REGISTERS = '<param name="register" value="true"/>'


def gateway_path(gateway: Gateway) -> str:
    return f"sip_profiles/{gateway.profile}/{gateway.name}.xml"


def _told(path: str, old: str | None, new: str | None, target: Target) -> Iterable[str | Await]:
    """A new gateway is found by a rescan. A changed one must be ended first; calls through it go on."""
    _, profile, file = path.split("/")
    name = file.removesuffix(".xml")
    rescan = (f"sofia profile {profile} rescan",)
    if old == "":
        yield from rescan
        return
    yield f"sofia profile {profile} killgw {name}"
    yield Await(
        f"sofia status gateway {name}",
        "Invalid Gateway!",
        rescan if new else (),
        f"The switch lets go of the old gateway{'; the new one comes up when it has' if new else ''}. "
        "Calls under way go on.",
        seconds=0 if old and _REGISTERS not in old else UNREGISTER_SECONDS,
    )


@publishes(
    Gateway,
    directory=tuple(f"sip_profiles/{profile}" for profile in settings.FS_GATEWAY_PROFILES),
    path=gateway_path,
    after_reload=_told,
)
def gateway_file(gateway: Gateway, target: Target) -> Rendered | None:
    """The gateway's file, or None while it is off."""
    if not gateway.is_active:
        return None
    owner = f"routes.gateway:{gateway.pk}"
    unmarked = document(owner, [_gateway(gateway, "")])
    revision = sha256(unmarked.encode()).hexdigest()[:16]
    mark = 'name="patchbay_revision" value="'
    return Rendered(
        unmarked.replace(f'{mark}"', f'{mark}{revision}"'),
        (
            Check(
                f"sofia_gateway_data {gateway.name} var patchbay_revision",
                revision,
                f"The file was written and reloaded, but the switch runs no such gateway {gateway.name}: its "
                f"profile {gateway.profile} must include {gateway.profile}/*.xml, know the transport "
                f"{gateway.transport}, and have no other gateway of this name",
            ),
        ),
    )


def _gateway(gateway: Gateway, revision: str) -> Element:
    params = [
        Element("param", {"name": name, "value": value}, field_name=field)
        for name, value, field in _params(gateway)
        if value
    ]
    # By the revision the running gateway tells which content it was made from.
    variables = [*_variables(gateway), ("patchbay_revision", revision)]
    outbound = [
        Element("variable", {"name": name, "value": value, "direction": "outbound"})
        for name, value in variables
    ]
    return Element("gateway", {"name": gateway.name}, (*params, Element("variables", {}, tuple(outbound))))


def _params(gateway: Gateway) -> Iterator[tuple[str, str, str]]:
    yield "proxy", gateway.proxy, "Proxy"
    yield "realm", gateway.realm, "Realm"
    yield "outbound-proxy", gateway.outbound_proxy, "Outbound proxy"
    yield "register", "true" if gateway.registers else "false", "Register"
    yield "username", gateway.username or "patchbay", "User name"
    yield "password", gateway.password, "Password"
    yield "from-user", gateway.username, "User name"
    yield "from-domain", gateway.from_domain, "From domain"
    yield "register-transport", gateway.transport, "Transport"
    yield "caller-id-in-from", "true" if gateway.caller_id_in_from else "false", "Caller ID in From"
    yield "ping", str(gateway.ping_seconds) if gateway.ping_seconds else "", "Ping"
    yield "retry-seconds", str(RETRY_SECONDS), "Retry"
    # A call from a carrier comes to the user name that registered: the number dialled is in its To.
    yield "extension", "auto_to_user", "Extension"
    yield "context", "public", "Context"


def _variables(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """What is no parameter of a gateway, but of the calls that go out by it (parse_gateways in sofia.c)."""
    yield "sip_cid_type", gateway.caller_id_header
    if gateway.codecs:
        yield "absolute_codec_string", gateway.codecs
