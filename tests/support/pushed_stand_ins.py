"""Positioning devices that talk by themselves: what can go wrong on their lines, and what then has to come of it."""

import asyncio
import contextlib
import os
import pty
import random
import time
import tty
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np

from drivers import (
    Arrival,
    DeviceOptions,
    Geodetic,
    PointOptions,
    Positions,
    Ranges,
    Sightings,
    load_profile,
    open_link,
)
from tests.support.modbus_peer import SystemClock
from tests.support.modbus_stand_ins import TIMEOUT_S, Bench, Case

UUID = "fda50693-a4e2-4fb1-afcf-c6eb07647825"
EPC = bytes.fromhex("E2801160600002084B5C0011")
LEC = b"DIST,1,AN0,0003,7.94,8.03,0.00,40.00,POS,6.95,5.37,-1.97,52\r\n"
GARBAGE = random.Random(11).randbytes(5000)


def crc8408(data: bytes) -> int:
    value = 0xFFFF
    for byte in data:
        for bit in range(8):
            odd = (value ^ byte >> bit) & 1
            value = value >> 1 ^ (0x8408 if odd else 0)
    return value


def ibeacon() -> bytes:
    """Return an advertising report of beacon 5000-3918 at -69 dBm, -63 dBm at 1 m."""
    advertised = bytes.fromhex("0201041AFF4C000215" + UUID.replace("-", "") + "13880F4EC1")
    return bytes.fromhex("043E2A02010300ECF800EEF30C1E") + advertised + b"\xbb"


def node2_frame() -> bytes:
    """Return what LinkTrack anchor 3 says of tag 11 at 40 m."""
    body = bytes.fromhex("550485000103").ljust(116, b"\0") + bytes.fromhex("c01201020b409c00645a0100000000" + "00")[:16]
    return body + bytes((sum(body) & 0xFF,))


def r2000_report() -> bytes:
    """Return a report of one tag at the third antenna."""
    frame = bytes.fromhex("A0 13 01 89 72 30 00") + EPC + b"\x4a"
    return frame + bytes((256 - sum(frame) % 256 & 0xFF,))


def ur_report() -> bytes:
    """Return a report of one tag at the third antenna."""
    frame = bytes.fromhex("14 00 EE 00 04 0C") + EPC + b"\x62"
    return frame + crc8408(frame).to_bytes(2, "little")


def sentence(text: str) -> bytes:
    value = 0
    for byte in text.encode():
        value ^= byte
    return b"$%s*%02X\r\n" % (text.encode(), value)


def gnss() -> bytes:
    """Return the sentences of a fix now, and the first of the next second."""
    now_s = time.time()
    date = time.strftime("%d%m%y", time.gmtime(now_s))
    clock, after = (f"{time.strftime('%H%M%S', time.gmtime(t))}.{int(t % 1 * 1e6):06d}" for t in (now_s, now_s + 0.01))
    place = "3604.1110,N,12018.2220,E"
    return (
        sentence(f"GNRMC,{clock},A,{place},0.1,0.0,{date},,,A")
        + sentence(f"GNGGA,{clock},{place},4,17,0.6,31.25,M,8.1,M,1.0,0001")
        + sentence(f"GNGST,{clock},1.0,0.02,0.01,45.0,0.030,0.040,0.03")
        + sentence(f"GNRMC,{after},A,{place},0.1,0.0,{date},,,A")
    )


def flip(place: int, mask: int = 4) -> Callable[[bytes], list[bytes]]:
    return lambda frame: [frame[:place] + bytes((frame[place] ^ mask,)) + frame[place + 1 :]]


def cases(damage: dict[str, Callable[[bytes], list[bytes]]], noise: bytes, cut: int = -3) -> dict[str, Case]:
    """Return what every kind has to stand, and what is its own."""
    return {
        "good line": Case(lambda frame: [frame], "value"),
        "silence": Case(lambda _frame: [], "lost"),
        "cut": Case(lambda frame: [frame[:cut]], "lost"),
        "noise before": Case(lambda frame: [noise, frame], "value"),
        "long garbage": Case(lambda _frame: [GARBAGE[n : n + 500] for n in range(0, 5000, 500)], "lost"),
        **{name: Case(change, "lost") for name, change in damage.items()},
    }


def check_rows(arrival: Arrival, device: str) -> None:
    """Check the rows of any kind but points: one tag at its own anchor or place."""
    assert isinstance(arrival, Geodetic | Ranges | Positions | Sightings)
    assert np.all(np.diff(arrival.time_us) >= 0)
    if isinstance(arrival, Geodetic):
        assert arrival.anchor_device == device
        assert set(arrival.tag) == {device}
        np.testing.assert_allclose(arrival.latitude_deg, 36 + 4.111 / 60, atol=1e-9)
        np.testing.assert_allclose(arrival.longitude_deg, 120 + 18.222 / 60, atol=1e-9)
        assert set(arrival.height_m) == {31.25}
        np.testing.assert_allclose(arrival.sigma_m, 0.05, rtol=1e-6)
        assert set(arrival.rtk) == {3}
        return
    assert arrival.anchor_device == device
    if isinstance(arrival, Ranges):
        assert set(zip(arrival.tag, arrival.anchor_id, arrival.distance_mm, strict=True)) == {(11, 3, 40_000)}
    elif isinstance(arrival, Positions):
        rows = set(zip(arrival.tag, arrival.x_mm, arrival.y_mm, arrival.z_mm, strict=True))
        assert rows == {(11, 6950, 5370, -1970)}
    elif device == "ble-hci":
        rows = set(zip(arrival.tag, arrival.anchor_id, arrival.rssi_dbm, arrival.reference_dbm, strict=True))
        assert rows == {("ours-5000-3918", 0, -69, -63)}
    else:
        assert set(zip(arrival.tag, arrival.anchor_id, strict=True)) == {(EPC.hex().upper(), 2)}
        assert np.isnan(arrival.rssi_dbm).all()


def opened(
    kind: str, options: dict[str, object], profile: str, signal: str, value: float, frame: Callable[[], bytes]
) -> Callable[[Case], Any]:
    """Return a device that pushes a frame at once (bent by the fault), a good one 0.3 s later, then ten a second."""

    @contextlib.asynccontextmanager
    async def bench(case: Case) -> AsyncIterator[Bench]:
        master, slave = pty.openpty()
        tty.setraw(master)
        tty.setraw(slave)
        link = await open_link(kind, {"port": os.ttyname(slave), **options, **case.options}, SystemClock())
        ends = [master, slave]

        async def push() -> None:
            await asyncio.sleep(0.02)
            for piece in case.fault(frame()):
                os.write(master, piece)
                await asyncio.sleep(0.01 if len(piece) < 500 else 0)
            await asyncio.sleep(2 * TIMEOUT_S)
            while True:
                os.write(master, frame())
                await asyncio.sleep(0.1)

        pushing = asyncio.create_task(push())

        def unplug() -> None:
            pushing.cancel()
            while ends:
                os.close(ends.pop())

        device = DeviceOptions(id=kind, profile=load_profile(profile), unit=0)
        points = [PointOptions(id="p", device=kind, signal=signal)]
        try:
            yield Bench(link, link.sources([device], points), [{"p": value}], unplug)
        finally:
            pushing.cancel()
            await link.close()
            unplug()

    return bench


POSITIONING: dict[str, tuple[Callable[[Case], Any], dict[str, Case]]] = {
    "linktrack": (  # Node2; an Anchor0 frame has no checksum: a bit in a distance goes unseen
        opened("linktrack", {}, "linktrack", "supply_voltage", 4.8, node2_frame),
        cases({"bit flip": flip(122)}, b"\x00\x55\x99\xff"),
    ),
    "dwm1001": (  # a line has no checksum: a digit that becomes another goes unseen
        opened("dwm1001", {"tag": 11}, "dwm1001", "tags_heard", 1.0, lambda: LEC),
        {
            **cases(
                {"bit flip in every part": lambda line: [line.replace(b",7.94", b"l7.94").replace(b",52", b",5r")]},
                b"\xff\x00DI\r\n",
            ),
            "bit flip in the distances": Case(flip(6), "value"),  # the position behind them is still whole
            "bit flip in the position": Case(lambda line: [line.replace(b"5.37", b"5>37")], "value"),
        },
    ),
    "ble-hci": (  # H4 has no checksum: a bit turned in a beacon's number goes unseen
        opened("ble-hci", {"networks": {"ours": UUID}}, "ble-hci", "tags_heard", 1.0, ibeacon),
        cases({"bit flip in a length": flip(13), "bit flip in the network": flip(25)}, b"\x00\x04\x99\xff"),
    ),
    "rfid": (
        opened("rfid", {"family": "r2000"}, "rfid-uhf", "tags_heard", 1.0, r2000_report),
        {
            **cases({"bit flip": flip(4)}, b"\x00\x89\xff"),
            "the other family": Case(lambda _frame: [ur_report()], "lost"),
        },
    ),
    "nmea": (
        opened("nmea", {"baud": 115_200}, "nmea-gnss", "satellites", 17.0, gnss),
        cases({"bit flip": lambda data: [data.replace(b"12018.2", b"12018.6")]}, b"\xff$GNGGA,1\r\n", 90),
    ),
}
