"""What a framing does for a link: it turns a request into bytes and picks its answer, and only its, from a stream."""

from typing import Literal, NamedTuple, Protocol

from drivers.modbus.pdu import Reply, Request


class Verdict(NamedTuple):
    """Why no answer was accepted: the counter it belongs to, and a sentence for the person on site."""

    kind: Literal["timeout", "crc", "rejected"]
    text: str


class Framing(Protocol):
    """One request in flight at a time; no I/O and no clock."""

    fenced: bool  # True where an answer carries nothing that ties it to its request
    chars_per_byte: int  # how many characters on the line one byte of a frame takes
    noise_bytes: int  # thrown away so far

    def reset(self) -> None:
        """Forget the stream: a new connection begins."""

    def stale(self, data: bytes) -> list[int]:
        """Take bytes that came with nothing in flight; return the unit of every whole answer in them."""

    def begin(self, request: Request) -> bytes:
        """Return the bytes to send; from now on only an answer to them is accepted. ConfigError if it cannot be."""

    def feed(self, data: bytes) -> Reply | None:
        """Take bytes that came after `begin`; return the answer once it is whole (again for a second one)."""

    def begun(self) -> bool:
        """Tell whether bytes are there that can be the beginning of an answer."""

    def complete(self) -> bool:
        """Tell whether as many bytes as the answer needs have come without one: silence now means a broken answer."""

    def hopeless(self) -> bool:
        """Tell whether no answer can follow any more, however long one waits."""

    def broken(self) -> bool:
        """Tell, after giving up, whether the stream has lost its structure and has to be made anew."""

    def verdict(self) -> Verdict:
        """Return what to say and count when the request is given up now."""
