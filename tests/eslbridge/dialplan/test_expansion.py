"""`${…}` as the switch replaces it."""

from pathlib import Path

import pytest

from eslbridge.dialplan.call import State, unknowns
from eslbridge.dialplan.expansion import expand
from tests.eslbridge.dialplan.making import DOMAIN, THURSDAY, call, condition, configured, rule, user


@pytest.fixture
def state(tmp_path: Path) -> State:
    modules = (
        '<configuration name="modules.conf"><modules><load module="mod_enum"/></modules></configuration>'
    )
    files = {
        "directory/default/1020.xml": user(
            "1020", ' number-alias="2020"', callgroup="sales", toll_allow="local"
        ),
        "autoload_configs/modules.conf.xml": modules,
    }
    found = configured(tmp_path, rule(condition('field="destination_number" expression="^x$"')), **files)
    kept = {"gone": {"1020": "1"}}
    asked = call(usage={"patchbay_busy_1021": 2}, global_variables={"runs": "yes"}, stored=kept)
    state = State(asked, found, DOMAIN, "100", "public", THURSDAY)
    for name, value in {"a": "1", "name": "a", "long": "9543", "text": "O'Neil"}.items():
        state.set(name, value)
    return state


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("${a}${missing}!", "1!"),
        ("${A}", "1"),
        ("${${name}}", "1"),
        ("$a {a} $${a}", "$a {a} 1"),
        ("${long:1}|${long:-2}|${long:0:2}|${long:1:2}", "543|43|95|54"),
        (r"\${a} ${a}", "${a} 1"),
        (r"^\+?1\d$", r"^\+?1\d$"),
        ("${destination_number}@${domain}", f"100@{DOMAIN}"),
        ("${caller_id_name} ${caller_id_number}", "Ada +15551230000"),
        ("${runs}", "yes"),
        (f"${{user_exists(id 1020 {DOMAIN})}}", "true"),
        (f"${{user_exists(id 2020 {DOMAIN})}}", "true"),
        (f"${{user_exists(id 9999 {DOMAIN})}}", "false"),
        ("${user_exists(id 1020 elsewhere)}", "false"),
        (f"${{user_data(1020@{DOMAIN} var callgroup)}}", "sales"),
        (f"${{user_data(1020@{DOMAIN} var default_areacode)}}", "918"),
        (f"${{user_data(1020@{DOMAIN} attr id)}}", "1020"),
        (f"${{user_data(9999@{DOMAIN} var callgroup)}}", ""),
        ("${cond(1 == 1 ? yes : no)}", "yes"),
        ("${cond(${a} == 1 ? yes : no)}", "yes"),
        ("${cond(${missing} == 0 ? yes : no)}", "-ERR"),
        ("${cond('${missing}' == '' ? yes : no)}", "yes"),
        ("${cond(abc == abd ? yes : no)}", "no"),
        ("${cond(ab < abc ? shorter : not)}", "shorter"),
        ("${cond(${strepoch()} < 1766600000 ? closed : over)}", "over"),
        ("${cond(${strepoch()} < 1800000000 ? closed : over)}", "closed"),
        ("${cond(1 == 2 ? yes)}", ""),
        ("${cond(nothing)}", "-ERR"),
        ("${limit_usage(hash patchbay busy_1020)}", "0"),
        ("${db(select/gone/1020)}", "1"),
        ("${db(select/gone/1021)}", ""),
        (
            "${cond(${limit_usage(hash patchbay busy_1021)} == 0 ? user/1021@d : error/USER_BUSY)}",
            "error/USER_BUSY",
        ),
        ("${regex(1949|^1(949)$|%1)}", "949"),
        ("${regex(x|^1$|%1)}", "x"),
        ("${regex(x|^1$)}", "false"),
        ("${module_exists(mod_enum)}", "true"),
        ("${strftime(%Y-%m-%d %H:%M)}", "2026-12-24 17:05"),
        (f"${{group_call(sales@{DOMAIN})}}", f"user/1021@{DOMAIN},user/1020@{DOMAIN}"),
        ("${group_call(nobody)}", "error/NO_ROUTE_DESTINATION"),
        ("${toupper(abc)}", "ABC"),
    ],
)
def test_a_text_becomes_what_the_switch_makes_of_it(state: State, text: str, becomes: str) -> None:
    assert expand(state, text) == becomes


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x${sip_h_X-Tenant}", "variable sip_h_X-Tenant"),
        ("${hash(select/a/b)}", "function hash(select/a/b)"),
        ("${db(select/other/1020)}", "function db(select/other/1020)"),
        ("${cond(${uuid} == 1 ? a : b)}", "variable uuid"),
        ("${system(touch /tmp/x)}", "function system(touch /tmp/x)"),
    ],
)
def test_what_only_the_switch_knows_is_marked_and_never_done(state: State, text: str, what: str) -> None:
    assert unknowns(expand(state, text)) == [what]


def test_a_mark_stays_in_variables_that_are_made_of_it(state: State, tmp_path: Path) -> None:
    state.set("copy", expand(state, "${uuid}-x"))
    assert unknowns(expand(state, "${copy}")) == ["variable uuid"]


def test_what_expands_to_itself_ends(state: State) -> None:
    state.set("loop", "${loop}")
    assert expand(state, "${loop}") == "${loop}"


def test_a_variable_of_the_call_hides_a_global_one(state: State) -> None:
    state.set("domain", "other")
    assert expand(state, "${domain}") == "other"
