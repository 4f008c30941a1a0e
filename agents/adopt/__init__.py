"""Imports the users of a hand-made configuration as agents, so that their phones stay registered.

`reading` finds them as the switch does, `planning` says of each what would come over and what cannot,
`applying` makes the agents and puts their files in the place of the hand-made ones.
"""

from .applying import NotAdopted, adopt
from .planning import Candidate, Place, plan
from .reading import HandMade, Unreadable, read

__all__ = ["Candidate", "HandMade", "NotAdopted", "Place", "Unreadable", "adopt", "plan", "read"]
