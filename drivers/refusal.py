"""What a device means by refusing, and so what is to be done: mend the configuration, wait, look at the device."""

from enum import StrEnum


class Refusal(StrEnum):
    """One reaction per member; the codes are those of Modbus Application Protocol 1.1b3, 7."""

    CONFIG = "config"  # this question will never be answered: said once, asked again only now and then
    BUSY = "busy"  # the same question will be answered after a pause
    FAULT = "fault"  # the device reports a failure of its own
    UNIT_DOWN = "unit_down"  # a gateway answers for a unit it cannot reach: the link itself is well


_MEANINGS = {
    1: Refusal.CONFIG,
    2: Refusal.CONFIG,
    3: Refusal.CONFIG,
    5: Refusal.BUSY,
    6: Refusal.BUSY,
    10: Refusal.UNIT_DOWN,
    11: Refusal.UNIT_DOWN,
}


def meaning(code: int) -> Refusal:
    """Return what an exception code asks for; 4, 8 and codes outside the standard are faults of the device."""
    return _MEANINGS.get(code, Refusal.FAULT)
