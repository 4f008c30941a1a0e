"""Levels of the switch's log."""

from __future__ import annotations

LOG_LEVELS = ("console", "alert", "crit", "err", "warning", "notice", "info", "debug")
DEBUG = LOG_LEVELS.index("debug")
# Finer than debug: debug1 and so on.
HIGHEST = 9


def log_level(word: str) -> int | None:
    """The number of a level by its name or number; None for anything else."""
    if word.isdigit():
        return min(int(word), HIGHEST)
    return LOG_LEVELS.index(word.lower()) if word.lower() in LOG_LEVELS else None
