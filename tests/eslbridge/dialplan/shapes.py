"""Rules in the shapes that routes are rendered in, from a few words each."""

from dataclasses import dataclass, field

from eslbridge.switchxml import Element, Expression, document

UNREACHED = "^(?:USER_BUSY|USER_NOT_REGISTERED|SUBSCRIBER_ABSENT|GATEWAY_DOWN)$"
Actions = tuple[tuple[str, str], ...]


def action(application: str, data: str = "", *, anti: bool = False, inline: bool = False) -> Element:
    attributes = {"application": application} | ({"data": Expression(data)} if data else {})
    return Element("anti-action" if anti else "action", attributes | ({"inline": "true"} if inline else {}))


def condition(attributes: dict[str, str], *children: Element) -> Element:
    return Element("condition", {name: Expression(value) for name, value in attributes.items()}, children)


def number(expression: str, *children: Element) -> Element:
    return condition({"field": "destination_number", "expression": expression}, *children)


@dataclass(frozen=True)
class Did:
    """A DID: hours, a first destination that rings so many seconds, and where the call goes otherwise."""

    digits: str
    first: str
    """A dial string."""
    seconds: int = 20
    when_busy: Actions = (("transfer", "6000 XML patchbay"),)
    when_unanswered: Actions = (("transfer", "6000 XML patchbay"),)
    when_closed: Actions = (("hangup", "USER_BUSY"),)
    zone: str = "Europe/Berlin"
    open_at: tuple[dict[str, str], ...] = ({"wday": "2-6", "time-of-day": "09:00-17:00"},)
    closed_at: tuple[dict[str, str], ...] = ()
    closed_until: int = 0

    def elements(self) -> list[Element]:
        name = f"inbound_{self.digits}"
        following = f"next_{self.digits}"
        begin = [
            action("set", f"patchbay_did=+{self.digits}"),
            action("set", f"timezone={self.zone}", inline=True),
            action("set", "patchbay_hours=closed", inline=True),
        ]
        hours = [_hours(attributes, "open") for attributes in self.open_at]
        hours += [_hours(attributes, "closed") for attributes in self.closed_at]
        if self.closed_until:
            now = f"${{cond(${{strepoch()}} < {self.closed_until} ? closed : over)}}"
            closed = action("set", "patchbay_hours=closed", inline=True)
            hours.append(condition({"field": now, "expression": "^closed$", "break": "never"}, closed))
        ring = [
            action("set", f"call_timeout={self.seconds}"),
            action("set", "hangup_after_bridge=true"),
            action("set", "continue_on_fail=true"),
            action("bridge", self.first),
            action("transfer", f"{following} XML public"),
            *(action(*each, anti=True) for each in self.when_closed),
        ]
        decide = condition({"field": "${patchbay_hours}", "expression": "^open$"}, *ring)
        first = (number(rf"^(?:\+?1)?{self.digits.removeprefix('1')}$", *begin), *hours, decide)
        after = (
            number(f"^{following}$"),
            condition({"field": "${patchbay_did}", "expression": rf"^\+{self.digits}$"}),
            condition(
                {"field": "${originate_disposition}", "expression": UNREACHED},
                *(action(*each) for each in self.when_busy),
                *(action(*each, anti=True) for each in self.when_unanswered),
            ),
        )
        return [Element("extension", {"name": name}, first), Element("extension", {"name": following}, after)]


def _hours(attributes: dict[str, str], becomes: str) -> Element:
    return condition(
        {**attributes, "break": "never"}, action("set", f"patchbay_hours={becomes}", inline=True)
    )


@dataclass(frozen=True)
class Group:
    """A ring group: `bridges` are dial strings, one after the other, each with its seconds."""

    extension: str
    bridges: tuple[tuple[str, int], ...]
    then: Actions = ()

    def elements(self) -> list[Element]:
        actions = [action("set", "hangup_after_bridge=true"), action("set", "continue_on_fail=true")]
        for dial, seconds in self.bridges:
            actions += [action("set", f"call_timeout={seconds}"), action("bridge", dial)]
        actions += [action(*each) for each in self.then]
        return [
            Element(
                "extension", {"name": f"group_{self.extension}"}, (number(f"^{self.extension}$", *actions),)
            )
        ]


@dataclass(frozen=True)
class Outbound:
    """An outbound route for numbers that begin with `prefix`."""

    name: str
    prefix: str
    toll: str
    gateways: tuple[tuple[str, int], ...]
    seconds: int = 40
    causes: str = "GATEWAY_DOWN,NORMAL_TEMPORARY_FAILURE,INVALID_GATEWAY"

    def elements(self) -> list[Element]:
        actions = [
            action("set", "patchbay_number=$1", inline=True),
            action("set", "hangup_after_bridge=true"),
            action("set", f"continue_on_fail={self.causes}"),
            action("set", f"call_timeout={self.seconds}"),
            action("set", "effective_caller_id_number=${outbound_caller_id_number}"),
            *(
                action("limit_execute", f"hash patchbay gateway_{name} {most} bridge sofia/gateway/{name}/$1")
                for name, most in self.gateways
            ),
            action("hangup", "${originate_disposition}"),
        ]
        toll = {"field": "${toll_allow}", "expression": f"(?:^|,){self.toll}(?:,|$)"}
        conditions = (condition(toll), number(rf"^\+?({self.prefix}\d+)$", *actions))
        return [Element("extension", {"name": self.name}, (conditions[1],) if not self.toll else conditions)]


REFUSED = Element(
    "extension",
    {"name": "patchbay_refused"},
    (
        number(
            r"^\+?\d{7,15}$",
            action("set", "patchbay_refused=Not allowed"),
            action("respond", "403 Not allowed"),
            action("hangup", "OUTGOING_CALL_BARRED"),
        ),
    ),
)


@dataclass(frozen=True)
class Plan:
    """All of it, as files."""

    dids: tuple[Did, ...] = ()
    groups: tuple[Group, ...] = ()
    outbound: tuple[Outbound, ...] = ()
    users: dict[str, dict[str, str]] = field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    domain: str = "127.0.0.1"

    def files(self) -> dict[str, str]:
        found = {
            f"dialplan/public/inbound_{did.digits}.xml": document("t:1", did.elements()) for did in self.dids
        }
        for group in self.groups:
            found[f"dialplan/patchbay/20_group_{group.extension}.xml"] = document("t:2", group.elements())
        for order, route in enumerate(self.outbound):
            found[f"dialplan/patchbay/50_outbound_{order:05}_{route.name}.xml"] = document(
                "t:3", route.elements()
            )
        found["dialplan/00_patchbay.xml"] = self._context()
        found |= {
            f"directory/default/{extension}.xml": document("t:4", [_user(extension, variables)])
            for extension, variables in self.users.items()
        }
        return found | {
            f"sip_profiles/external/{name}.xml": document("t:5", [_gateway(name)]) for name in self.gateways
        }

    def _context(self) -> str:
        ring = (
            number("^[1-9][0-9]{3,5}$"),
            condition(
                {
                    "field": f"${{user_exists(id ${{destination_number}} {self.domain})}}",
                    "expression": "^true$",
                },
                action("set", "call_timeout=30"),
                action("set", "hangup_after_bridge=true"),
                action("set", "continue_on_fail=true"),
                action("bridge", f"user/${{destination_number}}@{self.domain}"),
                action("answer"),
                action("sleep", "10"),
                action("voicemail", f"default {self.domain} ${{destination_number}}"),
            ),
        )
        rules = [Element("extension", {"name": "patchbay_agents"}, ring), REFUSED]
        lines = document("t:6", [Element("context", {"name": "patchbay"}, tuple(rules))]).split("\n")
        at = next(n for n, line in enumerate(lines) if "patchbay_refused" in line and "extension" in line)
        return "\n".join([*lines[:at], '<X-PRE-PROCESS cmd="include" data="patchbay/*.xml"/>', *lines[at:]])


def _user(extension: str, variables: dict[str, str]) -> Element:
    known = {"user_context": "patchbay", "accountcode": extension, **variables}
    params = (Element("param", {"name": "password", "value": f"secret{extension}"}),)
    return Element(
        "user",
        {"id": extension},
        (
            Element("params", {}, params),
            Element(
                "variables",
                {},
                tuple(Element("variable", {"name": name, "value": value}) for name, value in known.items()),
            ),
        ),
    )


def _gateway(name: str) -> Element:
    params = {"proxy": "127.0.0.1:5090", "register": "false", "username": "u", "password": "p"}
    return Element(
        "gateway",
        {"name": name},
        tuple(Element("param", {"name": each, "value": value}) for each, value in params.items()),
    )
