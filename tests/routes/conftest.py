"""The publisher and what it needs, as in the tests of the bridge."""

from tests.eslbridge.conftest import esl, publisher, switch  # noqa: F401
