"""Why a point has no value on a bus that is only heard, in words for the person on site."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from drivers.modbus.decode import brings
from drivers.profile import Signal
from twin_wire.errors import LinkError

if TYPE_CHECKING:
    from drivers.modbus.tap_link import TapLink
    from drivers.modbus.tap_source import TapSource

LISTEN_S, LISTEN_PERIODS = 10.0, 3.0  # how long a master may take for one round before "never" is said
NAMED_MAX = 8
TABLES = {1: "coils", 2: "discrete inputs", 3: "holding registers", 4: "input registers"}


def why_missing(link: "TapLink", source: "TapSource") -> LinkError | None:
    """Return that the master does not read some of the source's registers, None if it does or too little was heard."""
    listened_s = link.clock.monotonic_s() - link.open_s
    asked = list(link.tap.polls)
    if not asked or listened_s < max(LISTEN_S, LISTEN_PERIODS * source.group.period_s):
        return None
    units = sorted({request.unit for request in asked})
    if source.unit not in units:
        return LinkError(
            f"the bus's master never asks unit {source.unit}; it asks {_list(units)}",
            "right unit number? if it is, the master has to be set to read this device",
        )
    asked = [request for request in asked if request.unit == source.unit]
    never = [signal for signal in source.signals if not any(brings(request, signal) for request in asked)]
    if not never:
        return None
    return LinkError(
        f"the bus's master never reads {_registers(never)} of unit {source.unit}",
        "take these points off, or have the master read them whole",
    )


def why_nothing(link: "TapLink", source: "TapSource") -> LinkError:
    """Return why a read brought not one value."""
    tap = link.tap
    if not link.heard_bytes:
        return LinkError("nothing is heard on the bus", "is its master running? A and B wired, ground joined?")
    if not tap.polls:
        return LinkError(
            f"{link.heard_bytes} bytes were heard and no whole question among them",
            "another baud or parity? A and B swapped? `edge-agent record` shows what comes",
        )
    ours = {request: poll for request, poll in tap.polls.items() if request.unit == source.unit}
    asked = [poll for request, poll in ours.items() if any(brings(request, s) for s in source.signals)]
    if not asked:
        return LinkError(f"the bus's master has not read these registers of unit {source.unit} so far")
    slowest_s = max((poll.period_s for poll in asked), default=0.0)
    if any(poll.answered for poll in asked) and slowest_s > 1.5 * source.group.period_s:
        return LinkError(
            f"the bus's master reads unit {source.unit} every {slowest_s:.3g} s, not every {source.group.period_s:g} s",
            f"period_s = {max(1, round(slowest_s)):g} would fit",
        )
    untied = tap.untied_of.get(source.unit, 0)
    if untied:
        return LinkError(
            f"no answer of unit {source.unit} could be tied to its question with certainty ({untied} so far)",
            "noise, lost bytes or late answers on the bus: look at wiring and termination",
        )
    if tap.damaged_of.get(source.unit, 0):
        return LinkError(f"the answers of unit {source.unit} come damaged", "look at wiring, ground and termination")
    return LinkError(f"unit {source.unit} gave no answer to the bus's master", "powered? does the master get values?")


def _registers(signals: Iterable[Signal]) -> str:
    words = []
    by_table: dict[int, list[str]] = {}
    for signal in signals:
        last = signal.address + signal.count - 1
        name = f"{signal.address}" if last == signal.address else f"{signal.address}-{last}"
        by_table.setdefault(signal.function, []).append(name)
    for function, names in sorted(by_table.items()):
        words.append(f"{TABLES[function]} {_list(dict.fromkeys(names))}")
    return " and ".join(words)


def _list(items: Iterable[object]) -> str:
    words = [str(item) for item in items]
    more = f" and {len(words) - NAMED_MAX} more" if len(words) > NAMED_MAX else ""
    return ", ".join(words[:NAMED_MAX]) + more
