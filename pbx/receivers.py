"""What the site does with the bridge's news: tell the open pages."""

from eslbridge import signals
from eslbridge.store import announce


def connect() -> None:
    for signal in (signals.link_up, signals.link_down):
        signal.connect(_link_changed, dispatch_uid="site link", weak=False)
    for signal in (signals.published, signals.queued):
        signal.connect(_changes_moved, dispatch_uid="site changes", weak=False)


def _link_changed(sender: object, **_: object) -> None:
    announce("switch", "calls", "agents", "changes")


def _changes_moved(sender: object, **_: object) -> None:
    announce("changes")
