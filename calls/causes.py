"""Why a call was not answered or ended, in words."""

import re

# Why the callee was not reached, or why a call ended.
CAUSES = {
    "USER_NOT_REGISTERED": "The phone is not registered.",
    "SUBSCRIBER_ABSENT": "The switch does not know this extension.",
    "USER_BUSY": "Busy.",
    "NO_ANSWER": "No answer.",
    "NO_USER_RESPONSE": "No answer.",
    "ALLOTTED_TIMEOUT": "No answer.",
    "CALL_REJECTED": "Rejected.",
    "ORIGINATOR_CANCEL": "Cancelled.",
    "LOSE_RACE": "Answered on another phone.",
    "NO_ROUTE_DESTINATION": "No route to this number.",
    "INVALID_GATEWAY": "No such gateway.",
    "GATEWAY_DOWN": "The gateway is down.",
    "UNALLOCATED_NUMBER": "This number does not exist.",
    "INVALID_NUMBER_FORMAT": "This number is not complete.",
    "OUTGOING_CALL_BARRED": "Not allowed.",
    "NORMAL_TEMPORARY_FAILURE": "The other side has a temporary failure.",
    "DESTINATION_OUT_OF_ORDER": "The phone cannot be reached.",
    "NETWORK_OUT_OF_ORDER": "The network does not work.",
    "RECOVERY_ON_TIMER_EXPIRE": "The phone does not respond.",
    "MEDIA_TIMEOUT": "No sound came any more.",
    "INCOMPATIBLE_DESTINATION": "The phones have no codec in common.",
    "MANAGER_REQUEST": "Ended by an administrator.",
    "SYSTEM_SHUTDOWN": "The switch was shut down.",
    "NORMAL_CLEARING": "",
}
# Why the phone of the one who dials did not answer.
PHONE_CAUSES = {
    "USER_NOT_REGISTERED": "Phone {} is not registered.",
    "SUBSCRIBER_ABSENT": "The switch does not know extension {}.",
    "USER_BUSY": "Phone {} is busy.",
    "NO_ANSWER": "Phone {} did not answer.",
    "NO_USER_RESPONSE": "Phone {} did not answer.",
    "ALLOTTED_TIMEOUT": "Phone {} did not answer.",
    "CALL_REJECTED": "Phone {} rejected the call.",
    "NORMAL_CLEARING": "Cancelled.",
    "ORIGINATOR_CANCEL": "Cancelled.",
    "INCOMPATIBLE_DESTINATION": "Phone {} has no codec in common with the switch.",
    "DESTINATION_OUT_OF_ORDER": "Phone {} cannot be reached.",
    "RECOVERY_ON_TIMER_EXPIRE": "Phone {} does not respond.",
}
_CAUSE = re.compile(r"[A-Z][A-Z_]+", re.ASCII)


def in_words(cause: str) -> str:
    """A hang-up cause as a sentence; the switch's own words when there are no better ones."""
    if cause in CAUSES or not _CAUSE.fullmatch(cause):
        return CAUSES.get(cause, cause)
    return cause.replace("_", " ").capitalize() + "."


def phone_in_words(extension: str, cause: str) -> str:
    """Why an agent's own phone was not answered, as a sentence."""
    if cause in PHONE_CAUSES:
        return PHONE_CAUSES[cause].format(extension)
    return f"Phone {extension}: {in_words(cause)}"
