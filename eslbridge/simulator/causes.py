"""Causes of the end of a call: the switch's names and numbers, and what they are in SIP."""

from __future__ import annotations

import re

_NUMBERED = """
    NONE=0 UNALLOCATED_NUMBER=1 NO_ROUTE_TRANSIT_NET=2 NO_ROUTE_DESTINATION=3 CHANNEL_UNACCEPTABLE=6
    CALL_AWARDED_DELIVERED=7 NORMAL_CLEARING=16 USER_BUSY=17 NO_USER_RESPONSE=18 NO_ANSWER=19
    SUBSCRIBER_ABSENT=20 CALL_REJECTED=21 NUMBER_CHANGED=22 REDIRECTION_TO_NEW_DESTINATION=23
    EXCHANGE_ROUTING_ERROR=25 DESTINATION_OUT_OF_ORDER=27 INVALID_NUMBER_FORMAT=28 FACILITY_REJECTED=29
    RESPONSE_TO_STATUS_ENQUIRY=30 NORMAL_UNSPECIFIED=31 NORMAL_CIRCUIT_CONGESTION=34 NETWORK_OUT_OF_ORDER=38
    NORMAL_TEMPORARY_FAILURE=41 SWITCH_CONGESTION=42 ACCESS_INFO_DISCARDED=43 REQUESTED_CHAN_UNAVAIL=44
    PRE_EMPTED=45 FACILITY_NOT_SUBSCRIBED=50 OUTGOING_CALL_BARRED=52 INCOMING_CALL_BARRED=54
    BEARERCAPABILITY_NOTAUTH=57 BEARERCAPABILITY_NOTAVAIL=58 SERVICE_UNAVAILABLE=63
    BEARERCAPABILITY_NOTIMPL=65 CHAN_NOT_IMPLEMENTED=66 FACILITY_NOT_IMPLEMENTED=69
    SERVICE_NOT_IMPLEMENTED=79 INVALID_CALL_REFERENCE=81 INCOMPATIBLE_DESTINATION=88
    INVALID_MSG_UNSPECIFIED=95 MANDATORY_IE_MISSING=96 MESSAGE_TYPE_NONEXIST=97 WRONG_MESSAGE=98
    IE_NONEXIST=99 INVALID_IE_CONTENTS=100 WRONG_CALL_STATE=101 RECOVERY_ON_TIMER_EXPIRE=102
    MANDATORY_IE_LENGTH_ERROR=103 PROTOCOL_ERROR=111 INTERWORKING=127 SUCCESS=142 ORIGINATOR_CANCEL=487
    CRASH=700 SYSTEM_SHUTDOWN=701 LOSE_RACE=702 MANAGER_REQUEST=703 BLIND_TRANSFER=800 ATTENDED_TRANSFER=801
    ALLOTTED_TIMEOUT=802 USER_CHALLENGE=803 MEDIA_TIMEOUT=804 PICKED_OFF=805 USER_NOT_REGISTERED=806
    PROGRESS_TIMEOUT=807 INVALID_GATEWAY=808 GATEWAY_DOWN=809 INVALID_URL=810 INVALID_PROFILE=811
    NO_PICKUP=812 SRTP_READ_ERROR=813 BOWOUT=814 BUSY_EVERYWHERE=815 DECLINE=816 DOES_NOT_EXIST_ANYWHERE=817
    NOT_ACCEPTABLE=818 UNWANTED=819 NO_IDENTITY=820 BAD_IDENTITY_INFO=821 UNSUPPORTED_CERTIFICATE=822
    INVALID_IDENTITY=823 STALE_DATE=824 REJECT_ALL=825
"""
NUMBERS = {name: int(number) for name, number in (item.split("=") for item in _NUMBERED.split())}
NAMES = {number: name for name, number in NUMBERS.items()}

# What a caller is told, by cause (mod_sofia.c, hangup_cause_to_sip). The rest is 480.
_TOLD = {
    403: "OUTGOING_CALL_BARRED INCOMING_CALL_BARRED BEARERCAPABILITY_NOTAUTH STALE_DATE",
    404: "UNALLOCATED_NUMBER NO_ROUTE_TRANSIT_NET NO_ROUTE_DESTINATION",
    408: "NO_USER_RESPONSE",
    410: "NUMBER_CHANGED REDIRECTION_TO_NEW_DESTINATION",
    483: "EXCHANGE_ROUTING_ERROR",
    484: "INVALID_NUMBER_FORMAT INVALID_URL INVALID_GATEWAY",
    486: "USER_BUSY",
    487: "ORIGINATOR_CANCEL",
    488: "BEARERCAPABILITY_NOTIMPL INCOMPATIBLE_DESTINATION",
    501: "FACILITY_REJECTED FACILITY_NOT_IMPLEMENTED SERVICE_NOT_IMPLEMENTED",
    502: "DESTINATION_OUT_OF_ORDER INVALID_PROFILE",
    503: """REQUESTED_CHAN_UNAVAIL NORMAL_CIRCUIT_CONGESTION NETWORK_OUT_OF_ORDER NORMAL_TEMPORARY_FAILURE
    SWITCH_CONGESTION GATEWAY_DOWN BEARERCAPABILITY_NOTAVAIL""",
    504: "RECOVERY_ON_TIMER_EXPIRE",
    600: "BUSY_EVERYWHERE",
    603: "CALL_REJECTED DECLINE REJECT_ALL",
    604: "DOES_NOT_EXIST_ANYWHERE",
    606: "NOT_ACCEPTABLE",
}
_STATUS = {cause: status for status, causes in _TOLD.items() for cause in causes.split()}

# What a SIP answer means to the switch (sofia_glue_sip_cause_to_freeswitch). The rest is NORMAL_UNSPECIFIED.
_MEANT = {
    "CALL_REJECTED": (401, 402, 403, 407, 603, 608),
    "UNALLOCATED_NUMBER": (404,),
    "NO_ROUTE_DESTINATION": (485, 604),
    "RECOVERY_ON_TIMER_EXPIRE": (408, 504),
    "NUMBER_CHANGED": (410,),
    "INTERWORKING": (413, 414, 416, 420, 421, 423, 505, 513),
    "NO_USER_RESPONSE": (480,),
    "NORMAL_TEMPORARY_FAILURE": (400, 481, 500, 503),
    "USER_BUSY": (486, 600),
    "INVALID_NUMBER_FORMAT": (484,),
    "INCOMPATIBLE_DESTINATION": (488, 606),
    "NETWORK_OUT_OF_ORDER": (502,),
    "SERVICE_UNAVAILABLE": (405,),
    "SERVICE_NOT_IMPLEMENTED": (406, 415, 501),
    "EXCHANGE_ROUTING_ERROR": (482, 483),
    "ORIGINATOR_CANCEL": (487,),
    "UNWANTED": (607,),
}
_CAUSES = {status: cause for cause, statuses in _MEANT.items() for status in statuses}

_PHRASES = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    410: "Gone",
    480: "Temporarily Unavailable",
    483: "Too Many Hops",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Time-out",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
}


def known_cause(text: str) -> str:
    """A cause as the switch understands it: by name, or by the number that it begins with."""
    number = re.match(r"[0-9]+", text)
    if number:
        return NAMES.get(int(number[0]), "UNKNOWN")
    return text.upper() if text.upper() in NUMBERS else "NORMAL_CLEARING"


def in_list(rule: str, cause: str) -> bool:
    """Whether a list of names and numbers, such as ``continue_on_fail``, holds a cause."""
    named = {cause, str(NUMBERS.get(cause, ""))}
    return any(item.strip().upper() in named for item in rule.split(","))


def status_of(cause: str) -> int:
    """The SIP status that a caller gets for a cause."""
    return _STATUS.get(cause, 480)


def cause_of(status: int) -> str:
    """What the switch makes of a SIP status."""
    return _CAUSES.get(status, "NORMAL_UNSPECIFIED")


def phrase_of(status: int) -> str:
    return _PHRASES.get(status, "Because")


def q850(cause: str) -> str:
    """The cause as ISDN knows it; causes of the switch's own are normal clearing there."""
    number = NUMBERS.get(cause, 16)
    return str(number if number <= 127 else 16)
