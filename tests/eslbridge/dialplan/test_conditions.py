"""Which rules a call meets: the walk through a context, with what surprises in it."""

from pathlib import Path
from typing import Any

import pytest

from eslbridge.dialplan.steps import CannotTell, Looked
from tests.eslbridge.dialplan.making import condition, configured, matched, rule, steps, what_happens

HERE = 'field="destination_number" expression="^100$"'
NOT_HERE = 'field="destination_number" expression="^999$"'
DAY = 'time-of-day="09:00-18:00"'
NIGHT = 'time-of-day="20:00-23:00"'


def ends(root: Path, *rules: str, **fields: Any) -> list[str]:
    """Where the call goes; each rule hangs up with a cause of its own."""
    return what_happens(steps(configured(root, "\n".join(rules)), **fields))


BUSY, LATE, OTHER = "hangup USER_BUSY", "hangup NO_ANSWER", "hangup CALL_REJECTED"


@pytest.mark.parametrize(
    ("conditions", "cause"),
    [
        pytest.param([(HERE, BUSY)], "USER_BUSY", id="the number matches"),
        pytest.param([(NOT_HERE, BUSY)], "CALL_REJECTED", id="it does not, so the next rule is met"),
        pytest.param([("", BUSY)], "USER_BUSY", id="a condition without a field always holds"),
        pytest.param([(HERE,), (NOT_HERE, BUSY)], "CALL_REJECTED", id="all must hold"),
        pytest.param(
            [(NOT_HERE, BUSY, "-" + LATE)], "NO_ANSWER", id="an anti-action is done and ends the walk"
        ),
        pytest.param([(f'{NOT_HERE} break="never"', BUSY), (HERE, LATE)], "NO_ANSWER", id="break never"),
        pytest.param([(f'{HERE} break="on-true"', BUSY), (HERE, LATE)], "USER_BUSY", id="break on-true"),
        pytest.param([(f'{HERE} break="always"',), (HERE, LATE)], "NO_ROUTE_DESTINATION", id="break always"),
        pytest.param([(f'{NOT_HERE} break="always"',), (HERE, LATE)], "CALL_REJECTED", id="always, not held"),
        pytest.param(
            [(HERE, BUSY), (f'{NOT_HERE} break="never"',)],
            "USER_BUSY",
            id="last condition not held: others add",
        ),
        pytest.param([(DAY, BUSY)], "USER_BUSY", id="a time that fits"),
        pytest.param([(NIGHT, BUSY)], "CALL_REJECTED", id="a time that does not"),
        pytest.param(
            [(NIGHT, BUSY, "-" + LATE)], "NO_ANSWER", id="a time that does not, with an anti-action"
        ),
        pytest.param([(f"{NOT_HERE} {DAY}", BUSY)], "USER_BUSY", id="field or time: the time is enough"),
        pytest.param([(f"{HERE} {NIGHT}", BUSY)], "USER_BUSY", id="field or time: the field is enough"),
        pytest.param(
            [('field="${unset}" expression="^$"', BUSY)], "USER_BUSY", id="an unset variable is empty"
        ),
        pytest.param(
            [('field="caller_id_name" expression="^Ada$"', BUSY)], "USER_BUSY", id="the caller's name"
        ),
        pytest.param(
            [(HERE, "+set x=1"), ('field="${x}" expression="^1$"', BUSY)], "USER_BUSY", id="inline set"
        ),
        pytest.param(
            [(HERE, "set x=1"), ('field="${x}" expression="^1$"', BUSY)], "CALL_REJECTED", id="plain set"
        ),
        pytest.param(
            [
                ('field="destination_number" expression="^(1)(00)$"', "+set x=$2-${DP_MATCH[1]}"),
                ('field="${x}" expression="^00-1$"', BUSY),
            ],
            "USER_BUSY",
            id="groups",
        ),
        pytest.param(
            [(HERE, "+hangup CALL_REJECTED", BUSY)], "USER_BUSY", id="what may not be inline is skipped"
        ),
    ],
)
def test_conditions_decide_as_on_the_switch(
    tmp_path: Path, conditions: list[tuple[str, ...]], cause: str
) -> None:
    first = rule("".join(condition(*each) for each in conditions))
    assert ends(tmp_path, first, rule(condition("", OTHER))) == [f"end {cause}"]


@pytest.mark.parametrize(
    ("kind", "expressions", "holds"),
    [
        ("all", ["^100$", "^1"], True),
        ("all", ["^100$", "^2"], False),
        ("any", ["^2", "^100$"], True),
        ("any", ["^2", "^3"], False),
        ("xor", ["^100$", "^2"], True),
        ("xor", ["^100$", "^1"], False),
    ],
)
def test_several_expressions_count_together(
    tmp_path: Path, kind: str, expressions: list[str], holds: bool
) -> None:
    inner = "".join(f'<regex field="destination_number" expression="{each}"/>' for each in expressions)
    text = condition(f'regex="{kind}"', BUSY, "-" + LATE).replace("<action", f"{inner}<action", 1)
    assert ends(tmp_path, rule(text)) == ["end USER_BUSY" if holds else "end NO_ANSWER"]


def test_groups_of_several_expressions_are_those_of_the_last(tmp_path: Path) -> None:
    text = (
        '<condition regex="all"><regex field="destination_number" expression="^(1)00$"/>'
        '<regex field="caller_id_number" expression="^\\+1(\\d+)$"/>'
        '<action application="respond" data="404 $1"/></condition>'
    )
    [refused] = steps(configured(tmp_path, rule(text)))[2:]
    assert refused.reason == "5551230000"


@pytest.mark.parametrize(("inner", "cause"), [(HERE, "USER_BUSY"), (NOT_HERE, "CALL_REJECTED")])
def test_nested_conditions_must_hold_too(tmp_path: Path, inner: str, cause: str) -> None:
    nested = f"<condition {HERE}>{condition(inner, BUSY)}</condition>"
    assert ends(tmp_path, rule(nested), rule(condition("", OTHER))) == [f"end {cause}"]


def test_nested_conditions_that_are_not_required_do_not_stop_the_rule(tmp_path: Path) -> None:
    nested = f'<condition {HERE} require-nested="false">{condition(NOT_HERE, LATE)}</condition>'
    assert ends(tmp_path, rule(nested + condition(HERE, BUSY))) == ["end USER_BUSY"]


def test_a_rule_that_continues_adds_what_it_says(tmp_path: Path) -> None:
    first = rule(condition(HERE, "set call_timeout=7"), "first", ' continue="true"')
    second = rule(condition(HERE, "bridge user/1020@10.0.0.5"), "second")
    found = steps(configured(tmp_path, first + second))
    assert what_happens(found)[0] == "1020 7"
    assert matched(found) == ["second"]


def test_an_expression_as_an_element_counts(tmp_path: Path) -> None:
    text = condition('field="destination_number"', BUSY)
    inner = "<expression><![CDATA[^1(00)$]]></expression><action"
    assert ends(tmp_path, rule(text.replace("<action", inner))) == ["end USER_BUSY"]


def test_a_rule_without_conditions_is_never_met(tmp_path: Path) -> None:
    assert ends(tmp_path, rule("")) == ["end NO_ROUTE_DESTINATION"]


def test_hours_are_those_of_the_zone_that_the_rule_sets(tmp_path: Path) -> None:
    def at(zone: str) -> list[str]:
        set_zone = condition(HERE, f"+set timezone={zone}")
        return ends(
            tmp_path / zone.replace("/", "_"),
            rule(set_zone + condition('hour="9-17"', BUSY)),
            rule(condition("", OTHER)),
        )

    assert at("America/New_York") == ["end USER_BUSY"]  # 12:05 there
    assert at("Asia/Tokyo") == ["end CALL_REJECTED"]  # 02:05 there


def test_a_zone_that_the_switch_does_not_know_is_said(tmp_path: Path) -> None:
    zone = '<timezones><zone name="Here" value="EST5"/></timezones>'
    zones = f'<configuration name="timezones.conf">{zone}</configuration>'
    text = rule(condition(HERE, "+set timezone=Mars/Base") + condition('hour="9-17"', BUSY))
    found = steps(configured(tmp_path, text, **{"autoload_configs/timezones.conf.xml": zones}))
    [said] = [step for step in found if isinstance(step, CannotTell)]
    assert "Mars/Base is not in the switch's list" in said.what


@pytest.mark.parametrize(
    ("field", "expression", "why"),
    [
        ("${sip_h_X-Tenant}", "^1$", "variable sip_h_X-Tenant is known by the running switch alone"),
        ("${hash(select/a/b)}", "^1$", "function hash(select/a/b)"),
        ("destination_number", "^+1", "cannot be evaluated"),
    ],
)
def test_a_condition_that_cannot_be_evaluated_is_said(
    tmp_path: Path, field: str, expression: str, why: str
) -> None:
    first = rule(condition(f'field="{field}" expression="{expression}"', BUSY), "strange")
    found = steps(configured(tmp_path, first + rule(condition("", OTHER))))
    [said] = [step for step in found if isinstance(step, CannotTell)]
    assert said.what.startswith("whether rule strange (dialplan/public.xml) applies")
    assert why in said.what
    assert what_happens(found) == ["end CALL_REJECTED"]


def test_a_doubt_that_changes_nothing_is_not_said(tmp_path: Path) -> None:
    first = rule(
        condition('field="${rtp_has_crypto}" expression="^AES"', "set rtp_secure_media=true"),
        "srtp",
        ' continue="true"',
    )
    assert not [step for step in steps(configured(tmp_path, first)) if isinstance(step, CannotTell)]


def test_a_variable_that_a_doubtful_rule_may_set_is_in_doubt(tmp_path: Path) -> None:
    first = rule(condition('field="${sip_h_X}" expression="^1$"', "set vip=true"), "mark", ' continue="true"')
    second = rule(condition('field="${vip}" expression="^true$"', BUSY), "vip")
    [said] = [step for step in steps(configured(tmp_path, first + second)) if isinstance(step, CannotTell)]
    assert "whether rule vip" in said.what
    assert "which mark may set" in said.what


def test_rules_for_this_number_that_do_not_apply_are_told_with_the_reason(tmp_path: Path) -> None:
    others = "".join(
        rule(condition(f'field="destination_number" expression="^{each}$"', BUSY), f"did_{each}")
        for each in range(200, 220)
    )
    barred = rule(
        condition(HERE) + condition('field="${toll_allow}" expression="(?:^|,)international(?:,|$)"', BUSY),
        "outbound_7",
    )
    found = steps(configured(tmp_path, others + barred + rule(condition("", OTHER))))
    [looked] = [step for step in found if isinstance(step, Looked)]
    assert looked.count == 21
    assert [(near.rule, near.on) for near in looked.near] == [("outbound_7", "${toll_allow}")]
