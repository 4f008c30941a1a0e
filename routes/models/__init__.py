"""Where calls come in, whom they ring, how they go out."""

from .gateways import Gateway
from .groups import RingGroup
from .hours import BusinessHours, Holiday
from .inbound import InboundRoute
from .outbound import OutboundRoute

__all__ = ["BusinessHours", "Gateway", "Holiday", "InboundRoute", "OutboundRoute", "RingGroup"]
