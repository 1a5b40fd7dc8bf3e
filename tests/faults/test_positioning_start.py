"""Whatever state a positioning device is in when the port opens, `start` ends with it talking, and leaves it so."""

import asyncio
import os
import pty
import tty
from collections.abc import Callable
from typing import Any

import pytest

from drivers import DeviceOptions, load_profile, open_link
from drivers.ble_frames import Stream as BleStream
from drivers.ble_hci import ScanStarter
from drivers.dwm1001 import RETRY_S, ShellStarter
from drivers.dwm1001_frames import Stream as ShellStream
from drivers.line import INBOX_BYTES_MAX
from drivers.pushed import Starter, Stream
from drivers.rfid import InventoryStarter, inventory
from drivers.rfid_frames import Stream as RfidStream
from hardware_sim.ble import Controller
from hardware_sim.dwm1001 import Module
from hardware_sim.plan import Anchor
from hardware_sim.pusher import Talker
from hardware_sim.rfid import Reader
from hardware_sim.sight import Worn
from tests.support.modbus_peer import SystemClock
from tests.support.pushed_stand_ins import ibeacon
from twin_wire.errors import LinkError

ANCHORS = [Anchor(n, "d", "main-2", 50.0 * n + 20.0) for n in range(3)]
STEP_S = 0.005


def crowd() -> list[Worn]:
    return [Worn(17, "main-2", 70.0, 0.0), Worn(18, "main-2", 21.0, 0.0)]


class Talk:
    """A driver's starter and stream against a simulated device, on a clock that costs no time."""

    def __init__(self, starter: Starter, stream: Stream, device: Talker, period_s: float = 1.0) -> None:
        self.starter, self.stream, self.device, self.period_s = starter, stream, device, period_s
        self.now_s = self.rows = self._again_s = 0.0
        self.sent: list[bytes] = []
        starter.opened(0.0)

    def run(self, seconds: float) -> int:
        """Let time pass; return how many rows came in it."""
        before, end_s = self.rows, self.now_s + seconds
        while self.now_s < end_s:
            said = list(self.device.due(self.now_s)) if self._beat() else []
            if self.now_s % 1.0 < STEP_S:
                self.starter.begin_read(self.now_s)
            data, self._again_s = self.starter.due(self.now_s)
            if data:
                self.sent.append(data)
                said += self.device.hear(data, self.now_s)
            for each in said:
                frames = self.stream.feed(each.data, self.now_s)
                self.rows += sum(frame.rows for frame in frames)
                self.starter.heard(each.data, frames, self.now_s)
            self.now_s += STEP_S
        return int(self.rows - before)

    def _beat(self) -> bool:
        return self.now_s % self.period_s < STEP_S


def in_shell(module: Module, last: str) -> Module:
    """Return the module with its shell open and a last command."""
    module.shell, module._last = True, last
    return module


@pytest.mark.parametrize("period_s", [1.0, 5.0])
@pytest.mark.parametrize(
    "state",
    [
        lambda module: module,
        lambda module: in_shell(module, ""),
        lambda module: in_shell(module, "lec"),
        lambda module: in_shell(module, "si"),
    ],
    ids=["never spoken to", "shell open", "report switched off", "asked something else"],
)
def test_a_silent_module_prints_after_a_while_and_goes_on(state: Callable[[Module], Module], period_s: float) -> None:
    talk = Talk(ShellStarter("lec"), ShellStream(), state(Module(ANCHORS, crowd, "1", tag=17)), period_s)
    talk.run(2 * RETRY_S + 20)
    assert talk.run(120.0) >= 100.0 / period_s, "it prints, and nobody switches it off again"


def test_a_module_that_prints_is_left_alone() -> None:
    talk = Talk(ShellStarter("lec"), ShellStream(), Module(ANCHORS, crowd, "1", tag=17, printing="lec"))
    assert talk.run(120.0) > 200
    assert talk.sent == []


def test_a_module_that_prints_seldom_prints_again_in_the_end() -> None:
    talk = Talk(ShellStarter("lec"), ShellStream(), Module(ANCHORS, crowd, "1", tag=17, printing="lec"), 10.0)
    talk.run(2 * RETRY_S + 20)
    assert talk.run(300.0) > 60


def test_a_controller_that_forgets_its_setting_is_set_up_again() -> None:
    controller = Controller(ANCHORS[:1], crowd, "1", scanning=False)
    talk = Talk(ScanStarter(), BleStream(), controller)
    assert talk.run(10.0) > 10
    controller.hear(bytes.fromhex("01030C00"), talk.now_s)  # it was reset
    assert talk.run(25.0) == 0
    assert talk.run(30.0) > 20


def test_a_reader_is_asked_again_and_again() -> None:
    reader = Reader(ANCHORS, crowd, "1")
    talk = Talk(InventoryStarter(inventory(255, 3)), RfidStream(), reader)
    assert talk.run(5.0) > 5
    assert reader.rounds > 20


def test_a_link_that_only_listens_has_nothing_to_send_with_and_start_gives_it() -> None:
    async def main() -> None:
        for kind, more in (("dwm1001", {}), ("ble-hci", {}), ("rfid", {"family": "r2000"})):
            options: dict[str, Any] = {"port": "/dev/null", **more}
            quiet = await open_link(kind, options, SystemClock())
            spoken = await open_link(kind, {**options, "start": True}, SystemClock())
            assert (quiet.listen_only, spoken.listen_only) == (True, False)
            assert not hasattr(quiet._listener, "write")  # type: ignore[attr-defined]

    asyncio.run(main())


def test_what_was_not_read_in_time_is_thrown_away_whole() -> None:
    async def main() -> None:
        master, slave = pty.openpty()
        tty.setraw(master)
        tty.setraw(slave)
        os.set_blocking(master, False)
        clock = SystemClock()
        link = await open_link("ble-hci", {"port": os.ttyname(slave)}, clock)
        [source] = link.sources([DeviceOptions(id="b", profile=load_profile("ble-hci"))], [])
        with pytest.raises(LinkError):  # the port is open from here on
            await source.read(clock.monotonic_s() + 0.02)
        written = 0
        while written <= INBOX_BYTES_MAX:
            try:
                written += os.write(master, ibeacon() * 20)
            except BlockingIOError:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        with pytest.raises(LinkError):
            await source.read(clock.monotonic_s() + 0.05)
        os.write(master, ibeacon())
        assert len((await source.read(clock.monotonic_s() + 1.0))[0].time_us) == 1  # type: ignore[union-attr]
        await link.close()
        os.close(master)
        os.close(slave)

    asyncio.run(main())
