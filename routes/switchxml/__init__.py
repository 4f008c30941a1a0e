"""How routing reaches the switch: importing this registers every kind of file."""

from . import context, gateways, groups, inbound, outbound

__all__ = ["context", "gateways", "groups", "inbound", "outbound"]
