"""Recorded questions and answers as a capture file: IPv4 with TCP or UDP around them, for other people's dissectors."""

import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.debian import program

RAW_IP = 101  # link type: packets begin with their IP header
CLIENT_PORT = 40_000


class Sent(NamedTuple):
    """One packet's content, and whether the client sent it."""

    from_client: bool
    data: bytes


def write_capture(path: Path, packets: list[Sent], server_port: int, udp: bool = False) -> None:
    """Write packets in order, a millisecond apart, as one connection to `server_port`."""
    out = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, RAW_IP))
    sent = {True: 1000, False: 2000}  # sequence numbers
    for number, packet in enumerate(packets):
        here, there = (CLIENT_PORT, server_port) if packet.from_client else (server_port, CLIENT_PORT)
        if udp:
            head = struct.pack(">HHHH", here, there, 8 + len(packet.data), 0)
        else:
            seq, ack = sent[packet.from_client], sent[not packet.from_client]
            head = struct.pack(">HHIIBBHHH", here, there, seq, ack, 0x50, 0x18, 65_535, 0, 0)
            sent[packet.from_client] += len(packet.data)
        addresses = (b"\x7f\0\0\1", b"\x7f\0\0\2") if packet.from_client else (b"\x7f\0\0\2", b"\x7f\0\0\1")
        size = 20 + len(head) + len(packet.data)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, number, 0, 64, 17 if udp else 6, 0, *addresses)
        out += struct.pack("<IIII", 1_700_000_000 + number // 1000, number % 1000 * 1000, size, size)
        out += ip + head + packet.data
    path.write_bytes(out)


def dissect(path: Path, fields: list[str], *options: str) -> list[list[str]]:
    """Return tshark's columns for every packet of a capture; debian.Missing without tshark."""
    tshark, environment = program("tshark")
    columns = [word for field in fields for word in ("-e", field)]
    command = [tshark, "-r", str(path), *options, "-T", "fields", "-E", "separator=\t", *columns]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]
