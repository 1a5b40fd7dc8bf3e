"""Small hostile Modbus devices on a pseudo-terminal and on TCP: right answers, or whatever a fault makes of them."""

import asyncio
import contextlib
import os
import pty
import ssl
import time
import tty
from collections.abc import AsyncIterator, Callable, Iterable

Sent = list[tuple[float, bytes]]  # delay in seconds, bytes
Fault = Callable[[int, bytes, bytes], Sent]  # number of the request (from 1), request, right answer
Registers = Callable[[int, int, int], int | None]  # unit, function, address; None: no such register


def crc(data: bytes) -> bytes:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


def address_as_value(_unit: int, _function: int, address: int) -> int | None:
    return address


def honest(_number: int, _request: bytes, answer: bytes) -> Sent:
    return [(0.0, answer)]


class Device:
    """The register side: one PDU in, one PDU out; remembers every function code it was asked."""

    def __init__(self, units: Iterable[int] = (1,), registers: Registers = address_as_value) -> None:
        self.units = set(units)
        self.registers = registers
        self.functions: list[int] = []
        self.answered = self.refused = 0

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        self.functions.append(pdu[0])
        if unit not in self.units:
            return None
        function = pdu[0]
        if function == 0x2B:
            return bytes((0x2B, 0x0E, pdu[2], 1, 0, 0, 1, 0, 4)) + b"Peer"
        if function not in (1, 2, 3, 4):
            return bytes((function | 0x80, 1))
        address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        values = [self.registers(unit, function, address + n) for n in range(count)]
        if any(value is None for value in values):
            self.refused += 1
            return bytes((function | 0x80, 2))
        self.answered += 1
        if function in (1, 2):
            data = bytearray((count + 7) // 8)
            for place, value in enumerate(values):
                data[place // 8] |= ((value or 0) & 1) << place % 8
        else:
            data = bytearray(b"".join(((value or 0) & 0xFFFF).to_bytes(2, "big") for value in values))
        return bytes((function, len(data))) + data


class RtuPeer:
    """A pseudo-terminal with devices behind it; `baud` paces bytes as 11-bit characters.

    Answers leave in the order of their requests, as from any device; without `ordered` a delayed one is overtaken.
    """

    def __init__(
        self,
        device: Device,
        fault: Fault = honest,
        baud: int = 0,
        turnaround_s: float = 0.0,
        ordered: bool = True,
    ) -> None:
        self.device, self.fault, self.ordered = device, fault, ordered
        self._free_s = 0.0
        self.requests: list[bytes] = []
        self._char_s = 11 / baud if baud else 0.0
        self._turnaround_s = turnaround_s
        self._buffer = b""
        self._master, slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def send(self, data: bytes) -> None:
        if self._master >= 0:
            with contextlib.suppress(OSError):
                os.write(self._master, data)

    def close(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

    def _readable(self) -> None:
        with contextlib.suppress(OSError):
            self._buffer += os.read(self._master, 4096)
        while len(self._buffer) >= 7:
            size = 7 if self._buffer[1] == 0x2B else 8
            frame = self._buffer[:size]
            if len(frame) < size:
                return
            if crc(frame[:-2]) != frame[-2:]:
                self._buffer = self._buffer[1:]
                continue
            self._buffer = self._buffer[size:]
            self._serve(frame)

    def _serve(self, frame: bytes) -> None:
        self.requests.append(frame)
        pdu = self.device.answer(frame[0], frame[1:-2])
        if pdu is None:
            return
        answer = frame[:1] + pdu
        answer += crc(answer)
        loop = asyncio.get_running_loop()
        for delay_s, data in self.fault(len(self.requests), frame, answer):
            begin_s = loop.time() + delay_s + len(frame) * self._char_s + self._turnaround_s
            if self.ordered:
                begin_s = max(begin_s, self._free_s)
            self._free_s = begin_s + len(data) * self._char_s
            if self._char_s:  # the first byte tells the master when the answer began
                loop.call_at(begin_s + self._char_s, self.send, data[:1])
                loop.call_at(self._free_s, self.send, data[1:])
            elif begin_s <= loop.time():
                self.send(data)
            else:
                loop.call_at(begin_s, self.send, data)


class TcpPeer:
    """The same devices behind Modbus TCP; `port` is free after `serve` began."""

    def __init__(self, device: Device, fault: Fault = honest, tls: ssl.SSLContext | None = None) -> None:
        self.device, self.fault, self.tls = device, fault, tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._clients: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["TcpPeer"]:
        server = await asyncio.start_server(self._client, "127.0.0.1", self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        self._server = server
        try:
            yield self
        finally:
            server.close()
            self.drop()
            await asyncio.gather(*self._clients, return_exceptions=True)
            await server.wait_closed()

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        self._writers.append(writer)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await reader.readexactly(7)
                body = await reader.readexactly(int.from_bytes(header[4:6], "big") - 1)
                self.requests.append(header + body)
                pdu = self.device.answer(header[6], body)
                if pdu is None:
                    continue
                answer = header[:4] + (len(pdu) + 1).to_bytes(2, "big") + header[6:7] + pdu
                for delay_s, data in self.fault(len(self.requests), header + body, answer):
                    if delay_s:
                        loop.call_later(delay_s, writer.write, data)
                    else:
                        writer.write(data)
        writer.close()


class SystemClock:
    """The clocks of this machine, as the agent hands them to drivers."""

    def time_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()
