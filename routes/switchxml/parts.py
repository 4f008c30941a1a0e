"""The pieces that the dialplan's rules are made of."""

from collections.abc import Callable, Iterable
from hashlib import sha256

from agents.switchxml import CONTEXT, MACHINE_ANSWERS
from eslbridge.publishing import Check, Rendered, Target
from eslbridge.switchxml import Element, Expression, document

from .. import outbound
from ..destinations import MESSAGE, NUMBER, ROUTE, VOICEMAIL, Destination
from ..models.outbound import WAY_CAUSES
from ..models.pointing import Pointing

BY_NAME = "dialplan/patchbay"
# A gateway that says nothing at all costs half a minute. One that does not even say so soon that the number
# rings is given up when there is another; carriers may need seconds for that.
PROGRESS_SECONDS = 10


def action(application: str, data: str = "", *, inline: bool = False, tag: str = "action") -> Element:
    """One application. `data` with `${…}` in it must be an Expression: text of ours."""
    attributes: dict[str, str] = {"application": application}
    if data:
        attributes["data"] = data
    if inline:
        attributes["inline"] = "true"
    return Element(tag, attributes)


def setting(name: str, value: object, *, inline: bool = False, tag: str = "action") -> Element:
    text = f"{name}={value}"
    data = Expression(text) if isinstance(value, Expression) else text
    return action("set", data, inline=inline, tag=tag)


def instead(elements: Iterable[Element]) -> tuple[Element, ...]:
    """These actions as anti-actions: for when the condition does not match."""
    return tuple(Element("anti-action", each.attributes, each.children) for each in elements)


def condition(field: str, expression: str, *children: Element, goes_on: bool = False) -> Element:
    """`goes_on`: the next condition is looked at also when this one does not match."""
    attributes = {"field": Expression(field), "expression": Expression(expression)}
    return Element("condition", attributes | ({"break": "never"} if goes_on else {}), children)


def extension(name: str, *conditions: Element, goes_on: bool = False) -> Element:
    """`goes_on`: the rules that follow are looked at also when this one matches."""
    return Element("extension", {"name": name} | ({"continue": "true"} if goes_on else {}), conditions)


def transfer(number: str, context: str = CONTEXT) -> Element:
    return action("transfer", f"{number} XML {context}")


def with_revision(
    owner: str, path: str, context: str, make: Callable[[Element], Iterable[Element]]
) -> Rendered:
    """The file of rules that `make` makes around an action that names exactly this content, and the question
    that proves that the switch has read it into the context."""
    mark = "patchbay_revision"
    unmarked = document(owner, make(setting(mark, "")))
    revision = sha256(unmarked.encode()).hexdigest()[:16]
    return Rendered(
        unmarked.replace(f'data="{mark}="', f'data="{mark}={revision}"'),
        (
            Check(
                f"xml_locate dialplan context name {context}",
                f"{mark}={revision}",
                f"The file was written and reloaded, but the switch does not read {path}: "
                f"its context {context} must include the files of that directory",
            ),
        ),
    )


# --- destinations ----------------------------------------------------------------------------------


def go_to(destination: Destination | None, of: Pointing, target: Target) -> list[Element]:
    """The actions that send the call there for good; without a destination it ends."""
    if not destination:
        return [action("hangup", Expression("${originate_disposition}"))]
    found = of.target(destination)
    if destination.model is not None and found is None:
        return [action("hangup", "UNALLOCATED_NUMBER")]
    ways = {
        VOICEMAIL: lambda: voicemail(found.extension, target),
        ROUTE: lambda: [transfer(found.digits, "public")],
        NUMBER: lambda: forward(destination.target),
        MESSAGE: lambda: message(destination.target),
    }
    return ways.get(destination.kind, lambda: [transfer(found.extension)])()


def message(sound: str) -> list[Element]:
    playing = action("playback", sound)
    return [action("answer"), action("sleep", "500"), playing, action("hangup", "NORMAL_CLEARING")]


def voicemail(extension: str, target: Target) -> list[Element]:
    box = f"default {target.domain} {extension}"
    return [action(*MACHINE_ANSWERS), action("answer"), action("sleep", "500"), action("voicemail", box)]


def forward(number: str) -> list[Element]:
    """Call a number outside by the outbound route that takes it: an administrator has allowed it here.

    Allowed is this number only: the variables stay on the caller's leg, who may be transferred later.
    """
    try:
        plan = outbound.plan(number)
    except outbound.NotAllowed:
        return [action("hangup", "NO_ROUTE_DESTINATION")]
    shown = [setting("outbound_caller_id_number", plan.caller_id)] if plan.caller_id else []
    allowed = [
        setting("patchbay_forward", number.removeprefix("+")),
        setting("patchbay_forward_toll", plan.route.toll_class),
    ]
    return [*shown, *allowed, transfer(number)]


def rung(destination: Destination, of: Pointing, target: Target) -> list[str]:
    """What `bridge` rings, one after the other: an agent's phone, or a number outside by each gateway.
    Empty: nothing."""
    if destination.kind == "agent":
        found = of.target(destination)
        return [f"user/{found.extension}@{target.domain}"] if found and found.is_active else []
    try:
        plan = outbound.plan(destination.target)
    except outbound.NotAllowed:
        return []
    shown = [f"origination_caller_id_number={plan.caller_id}"] if plan.caller_id else []
    patience = [f"leg_progress_timeout={PROGRESS_SECONDS}"]
    last = len(plan.gateways) - 1
    return [
        _with([*shown, *(patience if place < last else [])], f"sofia/gateway/{gateway.name}/{plan.digits}")
        for place, gateway in enumerate(plan.gateways)
    ]


def _with(variables: list[str], call: str) -> str:
    return f"[{','.join(variables)}]{call}" if variables else call


def bridges(calls: list[str]) -> list[Element]:
    """Rings the first; the next when the way to that one was bad, not when the callee did not want the call.

    (`a|b` would also ring a callee who is busy again, and does not mean what it seems to among others that
    ring at the same time.)
    """
    first, others = calls[:1], calls[1:]
    again = f"${{cond(${{regex(m:~${{originate_disposition}}~{'|'.join(WAY_CAUSES)})}} == true ? %s)}}"
    return [action("bridge", Expression(call)) for call in (*first, *(again % each for each in others))]
