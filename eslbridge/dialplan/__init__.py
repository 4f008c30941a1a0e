"""Says what happens to a call, from the files that the switch reads. Pure: nothing is asked, nothing is run.

configuration = load("/etc/freeswitch", {"domain": "10.0.0.5"})
answer = explore(configuration, Call("+19495431333", at=now, caller_number="+15551230000"))
for sentence in in_words(answer): print(sentence)
"""

from .call import ANSWER, BUSY, NO_ANSWER, UNREGISTERED, Call
from .configuration import Configuration
from .loading import Unreadable, load
from .tracing import Answer, explore, trace
from .words import Line, Names, in_words, outline

__all__ = [
    "ANSWER",
    "BUSY",
    "NO_ANSWER",
    "UNREGISTERED",
    "Answer",
    "Call",
    "Configuration",
    "Line",
    "Names",
    "Unreadable",
    "explore",
    "in_words",
    "load",
    "outline",
    "trace",
]
