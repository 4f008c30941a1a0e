"""From a saved object to a verified file on the switch. Apps use `publishes` and `sync_states`."""

from .registry import Await, Check, Rendered, Survey, Target, publishes, publishes_always

__all__ = ["Await", "Check", "Rendered", "Survey", "Target", "publishes", "publishes_always"]
