"""A Modbus link: its sources share one bus and what is learned about each unit; or it only listens."""

from collections.abc import Mapping, Sequence

from drivers.line import Listener
from drivers.link import DeviceOptions, PointOptions, Source, Stats, poll_groups
from drivers.modbus.bus import Bus
from drivers.modbus.pdu import Identify, exception_text, identification
from drivers.modbus.source import ModbusSource
from drivers.modbus.turnaround import Turnaround
from twin_wire.errors import ConfigError, DeviceError


class ModbusLink:
    """Polls the devices of one line; it has no method that could change one."""

    listen_only = False

    def __init__(self, bus: Bus, unit_max: int) -> None:
        self._bus = bus
        self._unit_max = unit_max
        self._sources: list[ModbusSource] = []
        self._turnarounds: dict[int, Turnaround] = {}

    @property
    def connected(self) -> bool:
        """Tell whether the port is open."""
        return self._bus.connected

    def sources(self, devices: Sequence[DeviceOptions], points: Sequence[PointOptions]) -> list[Source]:
        """Return one source per device and period; ConfigError with every fault."""
        groups = poll_groups(devices, points)
        faults: list[tuple[str, str]] = []
        for place, device in enumerate(devices):
            if device.profile.protocol != "modbus":
                faults.append((f"devices[{place}].profile", f"{device.profile.id!r} does not speak Modbus"))
            if not 0 <= device.unit <= self._unit_max or (device.unit == 0 and self._unit_max < 255):
                faults.append((f"devices[{place}].unit", f"{device.unit} is not a unit number of this kind of link"))
        by_id = {device.id: device for device in devices}
        by_point = {point.id: point for point in points}
        made: list[ModbusSource] = []
        for group in groups:
            device = by_id[group.device]
            if faults:
                continue
            try:
                source = ModbusSource(
                    self._bus, group, device, [by_point[point] for point in group.points], self._turnaround(device)
                )
            except ConfigError as error:
                faults.append((f"device {device.id!r}", str(error)))
                continue
            made.append(source)
        if faults:
            raise ConfigError(f"{faults[0][0]}: {faults[0][1]} ({len(faults)} faults)", faults=tuple(faults))
        self._sources += made
        return list(made)

    def learned(self) -> dict[str, object]:
        """Return what the devices' registers taught, by device, JSON-able."""
        kept: dict[str, dict[str, object]] = {}
        for source in self._sources:
            kept.setdefault(source.group.device, {})[source.group.id] = source.learned.document(
                self._bus.clock.monotonic_s()
            )
        return dict(kept)

    def recall(self, document: Mapping[str, object]) -> None:
        """Take back what `learned` gave in an earlier run; what does not fit is ignored."""
        for source in self._sources:
            groups = document.get(source.group.device)
            rows = groups.get(source.group.id) if isinstance(groups, dict) else None
            if isinstance(rows, dict):
                source.learned.recall(rows, self._bus.clock.monotonic_s())

    def notes(self) -> list[str]:
        """Return what an installer should know of the line beside its counters."""
        return self._bus.notes()

    def utilisation(self) -> float:
        """Return the predicted share of the line's time its sources need."""
        return sum(source.pace().scan_s / source.group.period_s for source in self._sources)

    async def identify(self, unit: int, deadline_s: float, level: int = 1) -> dict[int, str]:
        """Ask a unit who it is (function 43/14): object number → text; DeviceError where it does not know."""
        turnaround = self._turnarounds.get(unit) or Turnaround(0.02, 1.0)
        answered = await self._bus.exchange(Identify(unit, level), turnaround, Stats(), deadline_s, _never)
        if answered.reply.code:
            raise DeviceError(f"unit {unit}: {exception_text(answered.reply.code)}", answered.reply.code)
        return identification(answered.reply.data)

    async def close(self) -> None:
        """Release the port; a read in flight ends with LinkError."""
        self._bus.close()

    def _turnaround(self, device: DeviceOptions) -> Turnaround:
        modbus = device.profile.modbus
        return self._turnarounds.setdefault(
            device.unit, Turnaround(modbus.turnaround_ms / 1e3, modbus.timeout_ms / 1e3, device.timeout_ms / 1e3)
        )


class ModbusListener:
    """A bus that another master polls: it can be heard and nothing can be sent on it, for there is no transmitter."""

    listen_only = True

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    @property
    def connected(self) -> bool:
        """Tell whether the port is open."""
        return self._listener.connected

    def sources(self, devices: Sequence[DeviceOptions], points: Sequence[PointOptions]) -> list[Source]:
        """Refuse every polling source with ConfigError."""
        if not points and not devices:
            return []
        text = "this link is listen_only: it has no transmitter, and polling needs one"
        raise ConfigError(
            text,
            'kind = "modbus-tap" takes readings from what another master asks; listen_only = false if there is none',
            tuple((f"devices[{place}]", text) for place in range(len(devices))) or (("points", text),),
        )

    def utilisation(self) -> float:
        """Return 0: it sends nothing."""
        return 0.0

    async def close(self) -> None:
        """Release the port."""
        self._listener.close()


def _never(_address: int, _length: int) -> bool:
    return False
