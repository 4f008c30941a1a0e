"""What the simulated switch says of itself: the version that the recordings were made with."""

VERSION = "1.11.3-dev"
GIT = "git cc93a68 2026-08-21 14:10:14Z 64bit"
FULL_VERSION = "1.11.3-dev+git~20260821T141014Z~cc93a683ca~64bit"
