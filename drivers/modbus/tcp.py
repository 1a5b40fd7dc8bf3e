"""Modbus TCP frames: the MBAP header ties every answer to its request by transaction and unit."""

import struct

from drivers.modbus.framing import Verdict
from drivers.modbus.pdu import PDU_BYTES_MAX, Function, Read, Reply, Request, answer_bytes, reply_of, request_pdu
from twin_wire.errors import ConfigError

_HEADER = struct.Struct(">HHHB")
HEADER_BYTES = 7  # transaction 2, protocol 2, length 2, unit 1 (Messaging on TCP/IP 1.0b, 3.1.3)
AHEAD_STEP = 0x9E36  # and one more; odd, so that all 65,536 numbers come by
LENGTH_MIN, LENGTH_MAX = 3, PDU_BYTES_MAX + 1  # the length field counts the unit: an exception is the shortest


class TcpFraming:
    """The frames of one connection; transactions are counted, so an answer given up is known when it comes."""

    fenced = False
    chars_per_byte = 1

    def __init__(self, heartbeat: bytes = b"") -> None:
        self.noise_bytes = 0
        self._heartbeat = heartbeat  # what may lie between two frames; none can begin with it
        self._buffer = bytearray()
        self._transaction = 0
        self._request: Request = Read(0, Function.READ_HOLDING_REGISTERS, 0, 1)
        self._broken = False
        self._refused = ""
        self._ahead: dict[int, Request] = {}  # several questions at once, by transaction

    def reset(self) -> None:
        """Forget the stream: a new connection begins."""
        self._buffer.clear()
        self._broken = False

    def stale(self, data: bytes) -> list[int]:
        """Take bytes that came with nothing in flight; return the unit of every whole answer in them."""
        self._buffer += data
        units = []
        while (frame := self._next()) is not None:
            units.append(frame[6])
        return units

    def begin(self, request: Request) -> bytes:
        """Return the request's frame under a new transaction; ConfigError if it does not read."""
        if not 0 <= request.unit <= 255:
            raise ConfigError(f"unit {request.unit} is not within 0 to 255")
        pdu = request_pdu(request)
        self._transaction = (self._transaction + 1) & 0xFFFF
        self._request = request
        self._refused = ""
        return _HEADER.pack(self._transaction, 0, len(pdu) + 1, request.unit) + pdu

    def feed(self, data: bytes) -> Reply | None:
        """Take bytes; return the answer whose transaction, unit, function and length are the ones in flight."""
        self._buffer += data
        while (frame := self._next()) is not None:
            if int.from_bytes(frame[:2], "big") != self._transaction:
                continue  # the answer to a request given up before
            pdu = frame[HEADER_BYTES:]
            if frame[6] == self._request.unit and answer_bytes(self._request, pdu) == len(pdu):
                return reply_of(pdu, frame)
            self._refused = f"unit {frame[6]} answered function {pdu[0]} with {len(pdu)} bytes"
        return None

    def begin_ahead(self, request: Request) -> tuple[int, bytes]:
        """Return transaction and frame of one of several questions asked at once."""
        self._transaction += AHEAD_STEP  # no two of a window differ in one bit
        frame = self.begin(request)
        self._ahead[self._transaction] = request
        return self._transaction, frame

    def feed_ahead(self, data: bytes) -> list[tuple[int, Reply]]:
        """Take bytes; return the answers in them that are their questions' own, each once."""
        self._buffer += data
        found = []
        while (frame := self._next()) is not None:
            transaction, pdu = int.from_bytes(frame[:2], "big"), frame[HEADER_BYTES:]
            request = self._ahead.get(transaction)
            if request is not None and frame[6] == request.unit and answer_bytes(request, pdu) == len(pdu):
                del self._ahead[transaction]
                found.append((transaction, reply_of(pdu, frame)))
        return found

    def end_ahead(self) -> None:
        """Expect none of them any more; what still comes is dropped, for its transaction is over."""
        self._ahead.clear()
        self._transaction = (self._transaction + 1) & 0xFFFF

    def begun(self) -> bool:
        """Tell whether bytes of a frame came."""
        return bool(self._buffer)

    def complete(self) -> bool:
        """Tell nothing: on TCP the length field and not silence ends an answer."""
        return False

    def hopeless(self) -> bool:
        """Tell whether the transaction was answered wrongly or the stream is broken: nothing can follow."""
        return bool(self._refused) or self._broken

    def broken(self) -> bool:
        """Tell, after giving up, whether the stream is lost: not Modbus TCP, or half an answer and no more."""
        return self._broken or bool(self._buffer)

    def verdict(self) -> Verdict:
        """Return why there is no answer."""
        asked = f"unit {self._request.unit}"
        if self._broken:
            return Verdict("crc", f"{asked}: what came is not Modbus TCP")
        if self._refused:
            return Verdict("rejected", f"{asked}: {self._refused} instead")
        if self._buffer:
            return Verdict("timeout", f"{asked}: only {len(self._buffer)} bytes of an answer came")
        return Verdict("timeout", f"{asked}: no answer")

    def _next(self) -> bytes | None:
        """Take the next whole frame off the stream."""
        buffer = self._buffer
        while self._heartbeat and buffer.startswith(self._heartbeat):
            del buffer[: len(self._heartbeat)]
        if len(buffer) < HEADER_BYTES or self._broken:
            return None
        length = buffer[4] << 8 | buffer[5]
        if buffer[2] or buffer[3] or not LENGTH_MIN <= length <= LENGTH_MAX:
            self._broken = True
            self.noise_bytes += len(buffer)
            buffer.clear()
            return None
        if len(buffer) < 6 + length:
            return None
        frame = bytes(buffer[: 6 + length])
        del buffer[: 6 + length]
        return frame


class DatagramFraming(TcpFraming):
    """The same frames, one per datagram: what is not exactly one frame is thrown away and nothing is carried over."""

    def stale(self, data: bytes) -> list[int]:
        """Take a datagram that came with nothing in flight; return the unit of its frame."""
        return super().stale(self._one(data))

    def feed(self, data: bytes) -> Reply | None:
        """Take a datagram; return the answer in flight if it is that."""
        return super().feed(self._one(data))

    def _one(self, data: bytes) -> bytes:
        whole = len(data) > HEADER_BYTES and data[2:4] == b"\0\0" and 6 + (data[4] << 8 | data[5]) == len(data)
        if whole and len(data) <= 6 + LENGTH_MAX:
            return data
        self.noise_bytes += len(data)
        return b""
