"""For every kind of link: a device to read, what can go wrong on its line, and what then has to come of it."""

from collections.abc import Callable
from typing import Any

from tests.support.modbus_stand_ins import MODBUS, TIMEOUT_S, Bench, Case, modbus_profile
from tests.support.pushed_stand_ins import POSITIONING
from tests.support.tap_stand_in import TAP_CASES, modbus_tap
from tests.support.text_stand_ins import TEXT

__all__ = ["STAND_INS", "TIMEOUT_S", "Bench", "Case", "modbus_profile"]


STAND_INS: dict[str, tuple[Callable[[Case], Any], dict[str, Case]]] = {
    **MODBUS,
    **POSITIONING,
    "modbus-tap": (modbus_tap, TAP_CASES),
    **TEXT,
}
