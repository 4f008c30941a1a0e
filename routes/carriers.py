"""What common carriers ask for, to fill a new gateway's form in: host names as they document them."""

from dataclasses import asdict, dataclass

from django.utils.text import slugify


@dataclass(frozen=True)
class Carrier:
    """The fields of a gateway that follow from the carrier; `advice` is what only the customer knows."""

    name: str
    proxy: str
    advice: str
    registers: bool = True
    transport: str = "udp"
    caller_id_in_from: bool = True
    caller_id_header: str = "pid"
    prepend: str = "+"

    @property
    def key(self) -> str:
        """The id of its data on the page."""
        return f"carrier-{slugify(self.name)}"

    @property
    def fields(self) -> dict[str, object]:
        values = asdict(self)
        for name in ("name", "advice", "prepend"):
            del values[name]
        return values


CARRIERS = [
    Carrier(
        "Twilio",
        "example.pstn.twilio.com",
        "Replace “example” by your trunk's name; with an IP access list there is no registration.",
        registers=False,
    ),
    Carrier("Telnyx", "sip.telnyx.com", "User name and password of the SIP connection."),
    Carrier(
        "VoIP.ms",
        "atlanta1.voip.ms",
        "Choose the server that is nearest to you; the account number is the user name.",
        prepend="",
    ),
    Carrier(
        "Flowroute",
        "us-west-or.sip.flowroute.com",
        "Access key as user name; or register off with an IP rule.",
    ),
    Carrier(
        "Bandwidth",
        "",
        "The address that Bandwidth gave you; it knows yours, so there is no registration.",
        registers=False,
    ),
    Carrier("Vonage", "sip.nexmo.com", "API key as user name, API secret as password."),
    Carrier("sipgate", "sipconnect.sipgate.de", "SIP-ID and SIP password of the trunk."),
    Carrier("Deutsche Telekom", "tel.t-online.de", "Registration number as user name.", transport="tcp"),
    Carrier("easybell", "voip.easybell.de", "SIP user name and password of the trunk."),
    Carrier("OVH", "sip.ovh.fr", "The line's number with 0033 as user name.", prepend="00"),
    Carrier(
        "Another FreeSWITCH or Asterisk",
        "",
        "The other side's address; both sides know each other, so there is no registration.",
        registers=False,
    ),
]
