"""What can go wrong on an event socket. Every error here is an `ESLError`."""

from typing import ClassVar, Self


class ESLError(Exception):
    """Base of every error of the Event Socket. `transient` says whether trying again later can help."""

    transient: ClassVar[bool] = True

    def fresh(self) -> Self:
        """A copy to raise: one error raised in several places would collect the tracebacks of all."""
        copy = type(self).__new__(type(self), *self.args)
        copy.__dict__.update(self.__dict__)
        copy.__cause__ = self.__cause__
        return copy


class ConnectionLost(ESLError):
    """There is no connection: it could not be made, it ended, or it was closed."""


class Timeout(ESLError, TimeoutError):
    """The answer did not come in time. The command may still have been carried out."""


class Rejected(ESLError):
    """The switch refuses this address (`apply-inbound-acl` in event_socket.conf)."""


class CommandFailed(ESLError):
    """The switch answered `-ERR …` or `-USAGE …`. `reply` keeps its words, without the trailing newline."""

    transient = False

    def __init__(self, reply: str, command: str = "") -> None:
        super().__init__(f"{command}: {reply}" if command else reply)
        self.reply = reply
        self.command = command


class AuthenticationFailed(CommandFailed):
    """The switch refuses the user or the password."""


class CallEnded(CommandFailed):
    """The channel hung up, or is no longer ours. `cause` is its hang-up cause, '' when that is not known."""

    def __init__(self, cause: str, command: str = "") -> None:
        super().__init__(f"-ERR the call has ended: {cause or 'cause unknown'}", command)
        self.cause = cause


class NeedsFull(CommandFailed):
    """An outbound conversation may control only its own channel, because the dialplan did not say `full`."""

    def __init__(self, command: str) -> None:
        super().__init__(
            '-ERR the dialplan must say `full`: <action application="socket" data="host:port async full"/>',
            command,
        )


class ProtocolError(ESLError):
    """The peer sent something, or was asked for something, that the protocol does not allow here."""


class MissingContentType(ProtocolError):
    """A frame without `Content-Type`: the stream is not (or no longer) an event socket's."""


class UnhandledContentType(ProtocolError):
    """A frame whose `Content-Type` is not one that mod_event_socket sends."""


class FrameTooLarge(ProtocolError):
    """A header block or a body is larger than the configured limit; nothing of it was kept."""


class InvalidJSON(ProtocolError):
    """The body of a `text/event-json` frame is not a JSON object of strings."""
