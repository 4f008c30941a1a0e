"""A FreeSWITCH for people who have none: the real protocol, the real files, simulated phones and calls."""

from .simulator import Simulator

__all__ = ["Simulator"]
