"""Small configurations and calls for the tests of the tracer."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eslbridge.dialplan import Answer, Call, Configuration, explore, load, trace
from eslbridge.dialplan.call import Outcome, nobody_answers
from eslbridge.dialplan.steps import HungUp, Matched, Refused, Ring, Step, Voicemail

DOMAIN = "10.0.0.5"
THURSDAY = datetime(2026, 12, 24, 17, 5, tzinfo=UTC)

MAIN = """\
<?xml version="1.0"?>
<document type="freeswitch/xml">
  <X-PRE-PROCESS cmd="include" data="vars.xml"/>
  <section name="configuration">
    <X-PRE-PROCESS cmd="include" data="autoload_configs/*.xml"/>
  </section>
  <section name="dialplan">
    <X-PRE-PROCESS cmd="include" data="dialplan/*.xml"/>
  </section>
  <section name="directory">
    <domain name="$${domain}">
      <params><param name="dial-string" value="${sofia_contact(*/${dialed_user}@${dialed_domain})}"/></params>
      <variables><variable name="default_areacode" value="918"/></variables>
      <groups>
        <group name="default"><users>
          <X-PRE-PROCESS cmd="include" data="directory/default/*.xml"/>
        </users></group>
        <group name="sales"><users>
          <user id="1021" type="pointer"/>
          <user id="1020" type="pointer"/>
          <user id="1099" type="pointer"/>
        </users></group>
      </groups>
    </domain>
  </section>
</document>
"""
SOFIA = """\
<configuration name="sofia.conf"><profiles><profile name="external"><gateways>
<X-PRE-PROCESS cmd="include" data="../sip_profiles/external/*.xml"/>
</gateways></profile></profiles></configuration>
"""


def file(text: str) -> str:
    """As the publisher writes: the include tags on lines of their own."""
    return f"<include>\n{text}\n</include>\n"


def user(extension: str, more: str = "", **variables: str) -> str:
    known = {"user_context": "patchbay", **variables}
    lines = "".join(f'<variable name="{name}" value="{value}"/>' for name, value in known.items())
    return file(f'<user id="{extension}"{more}>\n<variables>{lines}</variables></user>')


def write(root: Path, files: Mapping[str, str]) -> Path:
    """A configuration directory with users 1020 to 1022 and the gateway carrier1, and these files."""
    usual = {
        "freeswitch.xml": MAIN,
        "vars.xml": file(f'<X-PRE-PROCESS cmd="set" data="domain={DOMAIN}"/>'),
        "autoload_configs/sofia.conf.xml": SOFIA,
        "sip_profiles/external/carrier1.xml": file('<gateway name="carrier1"></gateway>'),
        **{f"directory/default/{each}.xml": user(each) for each in ("1020", "1021", "1022")},
    }
    for name, text in {**usual, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def context(rules: str, name: str = "public") -> dict[str, str]:
    """The file of one context."""
    return {f"dialplan/{name}.xml": file(f'<context name="{name}">\n{rules}\n</context>')}


def rule(conditions: str, name: str = "rule", more: str = "") -> str:
    return f'<extension name="{name}"{more}>{conditions}</extension>'


def condition(attributes: str, *actions: str) -> str:
    """Actions are written “bridge user/1020”, anti-actions with a - before, inline ones with a +."""
    return f"<condition {attributes}>{''.join(map(_action, actions))}</condition>"


def _action(text: str) -> str:
    tag = "anti-action" if text.startswith("-") else "action"
    inline = ' inline="true"' if text.lstrip("-").startswith("+") else ""
    name, _, data = text.lstrip("-+").partition(" ")
    escaped = data.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return f'<{tag} application="{name}" data="{escaped}"{inline}/>'


def configured(root: Path, rules: str, name: str = "public", **more: str) -> Configuration:
    return load(write(root, {**context(rules, name), **more}))


def call(number: str = "100", **fields: Any) -> Call:
    return Call(number, **{"at": THURSDAY, "caller_number": "+15551230000", "caller_name": "Ada", **fields})


def outcomes(**by_name: str) -> Outcome:
    """What targets do, by their names (an extension with a _ before); the others ring in vain."""
    known = {name.lstrip("_"): said for name, said in by_name.items()}
    return lambda target: known.get(target.name) or nobody_answers(target)


def steps(
    configuration: Configuration, number: str = "100", outcome: Outcome = nobody_answers, **fields: Any
):
    return trace(configuration, call(number, **fields), outcome).steps


def explored(configuration: Configuration, number: str = "100", **fields: Any) -> Answer:
    return explore(configuration, call(number, **fields))


def what_happens(found: tuple[Step, ...]) -> list[str]:
    """The main things in short: “1020+1021 20” rings, “vm 1020”, “refused 403”, “end CAUSE”."""
    said = []
    for step in found:
        match step:
            case Ring():
                names = "+".join(target.digits or target.name for target in step.ringing) or "nobody"
                said.append(f"{names} {step.seconds}")
            case Voicemail():
                said.append(f"vm {step.mailbox}")
            case Refused():
                said.append(f"refused {step.status}")
            case HungUp():
                said.append(f"end {step.cause}")
    return said


def matched(found: tuple[Step, ...]) -> list[str]:
    return [step.rule for step in found if isinstance(step, Matched)]
