"""What the link tells the apps. Receivers run on the link's one dispatcher thread, in the switch's order.

They get batches, and are called with `send_robust`: one that raises is logged and stops no other.
"""

from django.dispatch import Signal

# switch: Switch, client: Client. Logged in and subscribed: take a snapshot here, events follow after.
link_up = Signal()
# switch: Switch, reason: str. What is shown from now on is old.
link_down = Signal()
# switch: Switch, events: list[Event]. CHANNEL_*, CALL_UPDATE, RECORD_* and BACKGROUND_JOB, in order.
channel_events = Signal()
# switch: Switch, client: Client, events: list[Event]. CUSTOM sofia::register and its like.
registration_events = Signal()
# switch: Switch, client: Client, events: list[Event]. CUSTOM sofia::gateway_add, _state and _delete.
gateway_events = Signal()
# switch: Switch, client: Client. With a HEARTBEAT now and then: correct what was missed.
compare = Signal()
# switch: Switch, kinds: set[str] ("agents.agent"). Changes were published, or failed.
published = Signal()
# kinds: set[str]. Changes were queued (sent after the transaction that made them).
queued = Signal()
