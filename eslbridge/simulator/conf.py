"""Writes a small configuration tree in the shape of the switch's vanilla one, for the simulator to read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent

VARS = """\
<include>
  <X-PRE-PROCESS cmd="set" data="default_password={default_password}"/>
  <X-PRE-PROCESS cmd="set" data="sound_prefix=$${{sounds_dir}}/en/us/callie"/>
  <X-PRE-PROCESS cmd="set" data="domain={domain}"/>
  <X-PRE-PROCESS cmd="set" data="domain_name=$${{domain}}"/>
  <X-PRE-PROCESS cmd="set" data="hold_music=local_stream://moh"/>
  <X-PRE-PROCESS cmd="set" data="use_profile=external"/>
  <X-PRE-PROCESS cmd="set" data="rtp_sdes_suites=AES_CM_128_HMAC_SHA1_80|AES_CM_128_HMAC_SHA1_32"/>
  <X-PRE-PROCESS cmd="set" data="global_codec_prefs=OPUS,G722,PCMU,PCMA,H264,VP8"/>
  <X-PRE-PROCESS cmd="set" data="outbound_codec_prefs=OPUS,G722,PCMU,PCMA,H264,VP8"/>
  <X-PRE-PROCESS cmd="set" data="unroll_loops=true"/>
  <X-PRE-PROCESS cmd="set" data="outbound_caller_name=FreeSWITCH"/>
  <X-PRE-PROCESS cmd="set" data="outbound_caller_id=0000000000"/>
  <X-PRE-PROCESS cmd="set" data="call_debug=false"/>
  <X-PRE-PROCESS cmd="set" data="default_areacode=918"/>
  <X-PRE-PROCESS cmd="set" data="default_country=US"/>
  <X-PRE-PROCESS cmd="set" data="us-ring=%(2000,4000,440,480)"/>
  <X-PRE-PROCESS cmd="set" data="default_provider=example.com"/>
</include>
"""

ROOT = """\
<?xml version="1.0"?>
<document type="freeswitch/xml">
  <X-PRE-PROCESS cmd="include" data="vars.xml"/>
  <section name="configuration" description="Modules">
    <X-PRE-PROCESS cmd="include" data="autoload_configs/*.xml"/>
  </section>
  <section name="dialplan" description="Where calls go">
    <X-PRE-PROCESS cmd="include" data="dialplan/*.xml"/>
  </section>
  <section name="directory" description="Users">
    <X-PRE-PROCESS cmd="include" data="directory/*.xml"/>
  </section>
</document>
"""

DIRECTORY = """\
<include>
  <domain name="$${domain}">
    <params>
      <param name="dial-string" value="{^^:sip_invite_domain=${dialed_domain}\
:presence_id=${dialed_user}@${dialed_domain}}\
${sofia_contact(*/${dialed_user}@${dialed_domain})},${verto_contact(${dialed_user}@${dialed_domain})}"/>
    </params>
    <variables>
      <variable name="record_stereo" value="true"/>
      <variable name="default_gateway" value="$${default_provider}"/>
      <variable name="default_areacode" value="$${default_areacode}"/>
      <variable name="transfer_fallback_extension" value="operator"/>
    </variables>
    <groups>
      <group name="default">
        <users>
          <X-PRE-PROCESS cmd="include" data="default/*.xml"/>
        </users>
      </group>
      <group name="sales">
        <users>
          <user id="1000" type="pointer"/>
          <user id="1001" type="pointer"/>
        </users>
      </group>
      <group name="support">
        <users>
          <user id="1010" type="pointer"/>
          <user id="1011" type="pointer"/>
        </users>
      </group>
    </groups>
  </domain>
</include>
"""

USER = """\
<include>
  <user id="{user}">
    <params>
      <param name="password" value="$${{default_password}}"/>
      <param name="vm-password" value="{user}"/>
    </params>
    <variables>
      <variable name="toll_allow" value="domestic,international,local"/>
      <variable name="accountcode" value="{user}"/>
      <variable name="user_context" value="default"/>
      <variable name="effective_caller_id_name" value="Extension {user}"/>
      <variable name="effective_caller_id_number" value="{user}"/>
      <variable name="outbound_caller_id_name" value="$${{outbound_caller_name}}"/>
      <variable name="outbound_caller_id_number" value="$${{outbound_caller_id}}"/>
      <variable name="callgroup" value="techsupport"/>
    </variables>
  </user>
</include>
"""


def _extension(name: str, number: str, *actions: tuple[str, str], more: str = "") -> str:
    lines = [
        f'    <extension name="{name}"{more}>',
        f'      <condition field="destination_number" expression="{number}">',
    ]
    lines += [_action(application, data) for application, data in actions]
    return "\n".join([*lines, "      </condition>", "    </extension>"])


def _action(application: str, data: str) -> str:
    return f'        <action application="{application}"' + (f' data="{data}"/>' if data else "/>")


_UNLOOP = """\
    <extension name="unloop">
      <condition field="${unroll_loops}" expression="^true$"/>
      <condition field="${sip_looped_call}" expression="^true$">
        <action application="deflect" data="${destination_number}"/>
      </condition>
    </extension>"""

_GLOBAL = """\
    <extension name="tod_example" continue="true">
      <condition wday="2-6" hour="9-18">
        <action application="set" data="open=true"/>
      </condition>
    </extension>
    <extension name="global" continue="true">
      <condition field="${call_debug}" expression="^true$" break="never">
        <action application="info"/>
      </condition>
      <condition field="${rtp_has_crypto}" expression="^($${rtp_sdes_suites})$" break="never">
        <action application="set" data="rtp_secure_media=true"/>
      </condition>
      <condition field="${endpoint_disposition}" expression="^(DELAYED NEGOTIATION)"/>
      <condition field="${switch_r_sdp}" break="never"
                 expression="(AES_CM_128_HMAC_SHA1_32|AES_CM_128_HMAC_SHA1_80)">
        <action application="set" data="rtp_secure_media=true"/>
      </condition>
      <condition>
        <action application="hash" data="insert/${domain_name}-spymap/${caller_id_number}/${uuid}"/>
        <action application="hash"
                data="insert/${domain_name}-last_dial/${caller_id_number}/${destination_number}"/>
        <action application="hash" data="insert/${domain_name}-last_dial/global/${uuid}"/>
        <action application="export" data="RFC2822_DATE=${strftime(%a, %d %b %Y %T %z)}"/>
      </condition>
    </extension>"""

_ENUM = """\
    <extension name="enum">
      <condition field="${module_exists(mod_enum)}" expression="true"/>
      <condition field="destination_number" expression="^(.*)$">
        <action application="transfer" data="$1 enum"/>
      </condition>
    </extension>"""

_BIND = "execute_extension"
_LAST = "insert/${domain_name}-last_dial"


def _default_context() -> str:
    """Context default: what vanilla does with a number, in vanilla's order; our files come at the end."""
    local = (
        ("export", "dialed_extension=$1"),
        ("bind_meta_app", f"1 b s {_BIND}::dx XML features"),
        (
            "bind_meta_app",
            "2 b s record_session::$${recordings_dir}/${caller_id_number}.${strftime(%Y-%m-%d-%H-%M-%S)}.wav",
        ),
        ("bind_meta_app", f"3 b s {_BIND}::cf XML features"),
        ("bind_meta_app", f"4 b s {_BIND}::att_xfer XML features"),
        ("set", "ringback=${us-ring}"),
        ("set", "transfer_ringback=$${hold_music}"),
        ("set", "call_timeout=30"),
        ("set", "hangup_after_bridge=true"),
        ("set", "continue_on_fail=true"),
        ("hash", "insert/${domain_name}-call_return/${dialed_extension}/${caller_id_number}"),
        ("hash", f"{_LAST}_ext/${{dialed_extension}}/${{uuid}}"),
        ("set", "called_party_callgroup=${user_data(${dialed_extension}@${domain_name} var callgroup)}"),
        ("hash", f"{_LAST}_ext/${{called_party_callgroup}}/${{uuid}}"),
        ("hash", f"{_LAST}_ext/global/${{uuid}}"),
        ("hash", f"{_LAST}/${{called_party_callgroup}}/${{uuid}}"),
        ("bridge", "user/${dialed_extension}@${domain_name}"),
        ("answer", ""),
        ("sleep", "1000"),
        ("bridge", "loopback/app=voicemail:default ${domain_name} ${dialed_extension}"),
    )
    rules = [
        _UNLOOP,
        _extension(
            "redial",
            "^(redial|870)$",
            ("transfer", "${hash(select/${domain_name}-last_dial/${caller_id_number})}"),
        ),
        _GLOBAL,
        _extension(
            "eavesdrop",
            r"^88(\d{4})$|^\*0(.*)$",
            ("answer", ""),
            ("eavesdrop", "${hash(select/${domain_name}-spymap/$1$2)}"),
        ),
        _extension(
            "call_return",
            r"^\*69$|^869$|^lcr$",
            ("transfer", "${hash(select/${domain_name}-call_return/${caller_id_number})}"),
        ),
        _extension(
            "extension-intercom",
            "^8(10[01][0-9])$",
            ("set", "dialed_extension=$1"),
            ("export", "sip_auto_answer=true"),
            ("bridge", "user/${dialed_extension}@${domain_name}"),
        ),
        _extension("Local_Extension", "^(10[01][0-9])$", *local),
        _extension("group_dial_sales", "^2000$", ("bridge", "${group_call(sales@${domain_name})}")),
        _extension("group_dial_support", "^2001$", ("bridge", "group/support@${domain_name}")),
        _extension(
            "operator",
            "^(operator|0)$",
            ("set", "transfer_ringback=$${hold_music}"),
            ("transfer", "1000 XML features"),
        ),
        _extension(
            "vmain",
            r"^vmain$|^4000$|^\*98$",
            ("answer", ""),
            ("sleep", "1000"),
            ("voicemail", "check default ${domain_name}"),
        ),
        _extension(
            "nb_conferences", r"^(30\d{2})$", ("answer", ""), ("conference", "$1-${domain_name}@default")
        ),
        _extension(
            "wb_conferences", r"^(31\d{2})$", ("answer", ""), ("conference", "$1-${domain_name}@wideband")
        ),
        _extension(
            "uwb_conferences",
            r"^(32\d{2})$",
            ("answer", ""),
            ("conference", "$1-${domain_name}@ultrawideband"),
        ),
        _extension(
            "cdquality_conferences",
            r"^(33\d{2})$",
            ("answer", ""),
            ("conference", "$1-${domain_name}@cdquality"),
        ),
        _extension(
            "video_conferences", r"^(3[5-8]\d{2})$", ("answer", ""), ("conference", "$1@video-mcu-stereo")
        ),
        _extension("ivr_demo", "^5000$", ("answer", ""), ("sleep", "2000"), ("ivr", "demo_ivr")),
        _extension(
            "park", "^5900$", ("set", "fifo_music=$${hold_music}"), ("fifo", "5900@${domain_name} in")
        ),
        _extension("unpark", "^5901$", ("answer", ""), ("fifo", "5900@${domain_name} out nowait")),
        _extension(
            "valet_park", "^(6000)$", ("answer", ""), ("valet_park", "valet_parking_lot ask 1 11 10000")
        ),
        _extension(
            "valet_park", r"^((?!6000)60\d{2})$", ("answer", ""), ("valet_park", "valet_parking_lot $1")
        ),
        _extension("wait", "^wait$", ("pre_answer", ""), ("sleep", "20000"), ("answer", ""), ("hangup", "")),
        _extension(
            "ringback_180", "^9180$", ("ring_ready", ""), ("sleep", "20000"), ("answer", ""), ("hangup", "")
        ),
        _extension("show_info", "^9192$", ("answer", ""), ("info", ""), ("sleep", "250"), ("hangup", "")),
        _extension("delay_echo", "^9195$", ("answer", ""), ("delay_echo", "5000")),
        _extension("echo", "^9196$", ("answer", ""), ("echo", "")),
        _extension(
            "milliwatt",
            "^9197$",
            ("answer", ""),
            ("playback", "{loops=-1}tone_stream://%(251,0,1004);loops=-1"),
        ),
        _extension("hold_music", "^9664$", ("answer", ""), ("playback", "$${hold_music}")),
        '    <X-PRE-PROCESS cmd="include" data="default/*.xml"/>',
        _ENUM,
        _extension(
            "acknowledge_call",
            "^(.*)$",
            ("acknowledge_call", ""),
            ("ring_ready", ""),
            ("playback", "$${hold_music}"),
        ),
    ]
    return _context("default", rules)


def _public_context() -> str:
    """Context public: what comes from outside."""
    outside = dedent("""\
        <extension name="outside_call" continue="true">
          <condition>
            <action application="set" data="outside_call=true"/>
            <action application="export" data="RFC2822_DATE=${strftime(%a, %d %b %Y %T %z)}"/>
          </condition>
        </extension>
        <extension name="call_debug" continue="true">
          <condition field="${call_debug}" expression="^true$" break="never">
            <action application="info"/>
          </condition>
        </extension>""")
    rules = [
        _UNLOOP,
        "\n".join("    " + line for line in outside.splitlines()),
        _extension("public_extensions", "^(10[01][0-9])$", ("transfer", "$1 XML default")),
        _extension("public_conference_extensions", "^(3[5-8][01][0-9])$", ("transfer", "$1 XML default")),
        '    <X-PRE-PROCESS cmd="include" data="public/*.xml"/>',
    ]
    return _context("public", rules)


def _features_context() -> str:
    rules = [
        _extension("dx", "^dx$", ("answer", ""), ("sleep", "1000")),
        _extension("cf", "^cf$", ("answer", ""), ("sleep", "1000")),
        _extension("att_xfer", "^att_xfer$", ("answer", ""), ("sleep", "1000")),
    ]
    return _context("features", rules)


def _context(name: str, rules: list[str]) -> str:
    return "\n".join(["<include>", f'  <context name="{name}">', *rules, "  </context>", "</include>", ""])


def _profile(name: str, port: int, context: str, inside: str) -> str:
    return "\n".join(
        [
            f'<profile name="{name}">',
            inside,
            "  <settings>",
            f'    <param name="context" value="{context}"/>',
            f'    <param name="sip-port" value="{port}"/>',
            '    <param name="dialplan" value="XML"/>',
            '    <param name="force-register-domain" value="$${domain}"/>',
            "  </settings>",
            "</profile>",
            "",
        ]
    )


_GATEWAYS = '  <gateways>\n    <X-PRE-PROCESS cmd="include" data="external/*.xml"/>\n  </gateways>'
_SOFIA = """\
<configuration name="sofia.conf" description="SIP">
  <profiles>
    <X-PRE-PROCESS cmd="include" data="../sip_profiles/*.xml"/>
  </profiles>
</configuration>
"""
_EVENT_SOCKET = """\
<configuration name="event_socket.conf" description="Event socket">
  <settings>
    <param name="listen-ip" value="127.0.0.1"/>
    <param name="listen-port" value="8021"/>
    <param name="password" value="ClueCon"/>
  </settings>
</configuration>
"""


def write_vanilla(
    conf_dir: Path | str,
    *,
    domain: str = "127.0.0.1",
    default_password: str = "1234",  # noqa: S107 - what every fresh vanilla configuration has
    users: Iterable[int] = (),
) -> None:
    """Writes the tree where it is missing; existing files are left as they are.

    ``users`` get a file each in ``directory/default`` with the default password, like vanilla's 1000 to 1019.
    """
    base = Path(conf_dir)
    files = {
        "freeswitch.xml": ROOT,
        "vars.xml": VARS.format(default_password=default_password, domain=domain),
        "autoload_configs/sofia.conf.xml": _SOFIA,
        "autoload_configs/event_socket.conf.xml": _EVENT_SOCKET,
        "directory/default.xml": DIRECTORY,
        "dialplan/default.xml": _default_context(),
        "dialplan/features.xml": _features_context(),
        "dialplan/public.xml": _public_context(),
        "sip_profiles/internal.xml": _profile(
            "internal", 5060, "public", '  <aliases><alias name="default"/></aliases>'
        ),
        "sip_profiles/external.xml": _profile("external", 5080, "public", _GATEWAYS),
    }
    files |= {f"directory/default/{user}.xml": USER.format(user=user) for user in users}
    for name in ("directory/default", "dialplan/default", "dialplan/public", "sip_profiles/external"):
        (base / name).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = base / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
