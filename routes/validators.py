"""The rules for numbers are the agents' own: an outbound caller ID is one, too."""

from agents.numbers import in_words, to_e164

__all__ = ["in_words", "to_e164"]
