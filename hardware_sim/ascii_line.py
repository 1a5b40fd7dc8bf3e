"""Instruments that print lines by themselves: a Gill WindSonic and a Vaisala WXT520, as their manuals print them."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

from hardware_sim.pusher import Said
from twin_wire.errors import ConfigError

STX, ETX, END = b"\x02", b"\x03", b"\r\n"
STILL_M_S = 0.05  # below it a WindSonic leaves the direction out
Values = Mapping[str, float]


def windsonic(values: Values) -> bytes:
    """Return a line of Gill polar continuous, CSV: no figures where there are none, status 04 for blocked paths."""
    direction, speed = values.get("wind_direction", math.nan), values.get("wind_speed", math.nan)
    if math.isnan(speed):
        body = "Q,,,M,04,"
    elif speed < STILL_M_S or math.isnan(direction):
        body = f"Q,,{speed:06.2f},M,00,"
    else:
        body = f"Q,{round(direction) % 360:03},{speed:06.2f},M,00,"
    data = body.encode()
    checksum = reduce(lambda total, byte: total ^ byte, data)
    return STX + data + ETX + f"{checksum:02X}".encode() + END


def wxt520(values: Values) -> bytes:
    """Return an automatic composite message; what cannot be measured has # in place of its unit."""
    fields = (
        ("Dx", "wind_direction_max", "03.0f", "D"),
        ("Sx", "wind_speed_max", ".1f", "M"),
        ("Ta", "temperature", ".1f", "C"),
        ("Ua", "humidity", ".1f", "P"),
        ("Pa", "pressure", ".1f", "H"),
    )
    parts = ["0R0"]
    for name, signal, form, unit in fields:
        value = values.get(signal, math.nan)
        parts.append(f"{name}={0 if math.isnan(value) else value:{form}}{'#' if math.isnan(value) else unit}")
    return ",".join([*parts, "Rc=0.000I", "Vs=12.0V", "Vh=0.0N"]).encode() + END


WRITERS: Mapping[str, Callable[[Values], bytes]] = {"gill-windsonic": windsonic, "vaisala-wxt520-ascii": wxt520}


class Printer:
    """One instrument that prints what it shows once a period; it hears nothing."""

    def __init__(self, profile: str) -> None:
        if profile not in WRITERS:
            raise ConfigError(f"no simulated printer for profile {profile!r}", hint=f"known: {', '.join(WRITERS)}")
        self._write = WRITERS[profile]
        self._values: dict[str, float] = {}

    def show(self, signal: str, value: float) -> None:
        """Take a value, in the profile's unit; NaN for one that cannot be measured."""
        self._values[signal] = value

    def due(self, now_s: float) -> Sequence[Said]:
        """Return the line of now."""
        del now_s
        return [Said(self._write(self._values), 0)]

    def hear(self, data: bytes, now_s: float) -> Sequence[Said]:
        """Return nothing: it was set to print, not to be asked."""
        del data, now_s
        return []
