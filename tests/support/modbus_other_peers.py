"""The hostile devices of modbus_peer.py on other carriers: ASCII on a pseudo-terminal, UDP, TLS, calling us."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.modbus_peer import Device, Fault, RtuPeer, crc, honest


def lrc_frame(body: bytes) -> bytes:
    """Return unit and PDU as an ASCII frame."""
    return b":" + (body + bytes((-sum(body) & 0xFF,))).hex().upper().encode() + b"\r\n"


class AsciiPeer(RtuPeer):
    """Devices that speak ASCII frames."""

    def _readable(self) -> None:
        with contextlib.suppress(OSError):
            self._buffer += os.read(self._master, 4096)
        while b"\r\n" in self._buffer:
            frame, _, self._buffer = self._buffer.partition(b"\r\n")
            body = bytes.fromhex(frame[1:].decode())
            assert sum(body) & 0xFF == 0
            self.requests.append(frame + b"\r\n")
            pdu = self.device.answer(body[0], body[1:-1])
            if pdu is None:
                continue
            loop = asyncio.get_running_loop()
            for delay_s, data in self.fault(len(self.requests), frame + b"\r\n", lrc_frame(body[:1] + pdu)):
                loop.call_later(delay_s, self.send, data)


class UdpPeer(asyncio.DatagramProtocol):
    """Devices that answer datagrams; `port` is known once `serve` began."""

    def __init__(self, device: Device, fault: Fault = honest) -> None:
        self.device, self.fault = device, fault
        self.requests: list[bytes] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["UdpPeer"]:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        try:
            yield self
        finally:
            self.transport.close()

    def stop(self) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.requests.append(data)
        pdu = self.device.answer(data[6], data[7:])
        if pdu is not None:
            answer = data[:4] + (len(pdu) + 1).to_bytes(2, "big") + data[6:7] + pdu
            for delay_s, piece in self.fault(len(self.requests), data, answer):
                asyncio.get_running_loop().call_later(delay_s, self.transport.sendto, piece, address)


class CallingPeer:
    """A device behind a 4G unit: it connects to us, says who it is, and answers RTU or TCP frames."""

    def __init__(
        self,
        device: Device,
        fault: Fault = honest,
        registration: bytes = b"",
        heartbeat: bytes = b"",
        tcp: bool = False,
    ) -> None:
        self.device, self.fault, self.registration, self.heartbeat = device, fault, registration, heartbeat
        self.requests: list[bytes] = []
        self.calls = 0
        self._tcp = tcp

    @contextlib.asynccontextmanager
    async def call(self, port: int) -> AsyncIterator["CallingPeer"]:
        """Keep a connection to `port`, made again whenever it is lost."""
        self._task = asyncio.create_task(self._keep(port))
        try:
            yield self
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def stop(self) -> None:
        self._task.cancel()

    async def _keep(self, port: int) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                self.calls += 1
                writer.write(self.registration)
                try:
                    await self._answer(reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(0.02)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            request = await reader.readexactly(12 if self._tcp else 8)
            self.requests.append(request)
            unit, pdu_in = (request[6], request[7:]) if self._tcp else (request[0], request[1:-2])
            pdu = self.device.answer(unit, pdu_in)
            if pdu is None:
                continue
            if self._tcp:
                answer = request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu
            else:
                answer = request[:1] + pdu
                answer += crc(answer)
            if self.heartbeat:
                writer.write(self.heartbeat)
                await asyncio.sleep(0.01)  # a packet of its own, as these units send it
            for delay_s, data in self.fault(len(self.requests), request, answer):
                if delay_s:
                    loop.call_later(delay_s, writer.write, data)
                else:
                    writer.write(data)


def self_signed(folder: Path, name: str = "device.mine.example") -> tuple[Path, Path]:
    """Return (certificate, key) files of a device that signed for itself, for `name` and 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a TLS device serves with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
