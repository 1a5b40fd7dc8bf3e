"""A bus heard under every fault of line and bus: not one wrong value, and not one byte of ours on the wire."""

import asyncio
import os
import pty
import random
import sys
import termios
import tty
from pathlib import Path

import numpy as np
import pytest

from drivers import DeviceOptions, PointOptions, open_link
from drivers.line import Chunk
from drivers.modbus.tap import Heard, Tap
from drivers.ports import line_of, listener_of, split_port
from edge_agent.claim import refuse_heard_only, target_of
from edge_agent.config import load_config
from tests.support.gateway_folder import GATEWAY, write_folder
from tests.support.heard_bus import BLOCKS, CHAR_S, GAP_S, Rates, Scene, chunks, scene
from tests.support.modbus_peer import SystemClock
from tests.support.modbus_stand_ins import modbus_profile
from tests.support.tap_stand_in import Master
from twin_wire.errors import ConfigError, LinkError
from twin_wire.readings import Block

FAULTS = {  # and the share of the answers on the wire that has to come through
    "a clean line": (Rates(), 0.99),
    "devices silent": (Rates(silent=0.05), 0.95),
    "refusals": (Rates(refuses=0.1), 0.99),
    "late answers": (Rates(late=0.05), 0.6),
    "writes and broadcasts": (Rates(writes=0.2), 0.99),
    "questions out of order": (Rates(stray=0.2), 0.6),
    "bits flipped": (Rates(flip=0.05), 0.8),
    "bytes garbled": (Rates(garble=0.05), 0.75),
    "bytes lost": (Rates(drop=0.05), 0.7),
    "bytes added": (Rates(insert=0.05), 0.7),
    "frames cut": (Rates(cut=0.05), 0.8),
    "questions missed": (Rates(missing_request=0.05), 0.9),
    "answers missed": (Rates(missing_answer=0.05), 0.85),
    "both missed": (Rates(missing_request=0.05, missing_answer=0.05), 0.75),
    "noise between": (Rates(noise=0.05), 0.7),
    "frames heard twice": (Rates(twice=0.05), 0.9),
    "all at once": (Rates(*[0.02] * 15)._replace(late=0.0), 0.4),
}


def listen(happened: Scene, seed: int, latency_s: float = 0.002) -> tuple[list[Heard], list[Heard]]:
    """Return the pairs the tap gave out, and those of them that are wrong."""
    tap = Tap(CHAR_S, GAP_S)
    got: list[Heard] = []
    end_s = 0.0
    for data, end_s in chunks(random.Random(seed), happened.heard, latency_s):
        got += tap.feed(data, end_s)
    got += tap.settle(end_s + 1)
    values = [heard for heard in got if not heard.code]
    wrong = [h for h in values if (h.request, h.data) not in happened.truth and h.answer not in happened.forged]
    return values, wrong


@pytest.mark.parametrize("fault", FAULTS)
def test_under_this_fault_nothing_wrong_is_given_out_and_most_comes_through(fault: str) -> None:
    rates, share = FAULTS[fault]
    happened = scene(11, 2000, rates)
    values, wrong = listen(happened, 11)
    sys.stdout.write(f"{fault}: {len(values)} of {happened.answers} = {len(values) / happened.answers:.1%}\n")
    assert not wrong
    assert len(values) >= share * happened.answers


def mutate(mutations: int, first_seed: int) -> None:
    """Let the tap hear lines with random faults, one after the other, until so many have happened."""
    done = given = said = 0
    seed = first_seed
    while done < mutations:
        rng = random.Random(seed)
        rates = Rates(*[rng.choice((0.0, 0.02, 0.05, 0.2)) for _ in Rates._fields])._replace(late=0.0)
        blocks = tuple(rng.sample(BLOCKS, rng.randint(1, len(BLOCKS))))
        happened = scene(seed, 500, rates, blocks, rng.choice((0.0, 0.3, 0.8, 2.0)))
        values, wrong = listen(happened, seed, rng.choice((0.0, 0.001, 0.004)))
        assert not wrong, f"seed {seed}: {wrong[0]}"
        done += happened.mutations
        given += len(values)
        said += happened.answers
        seed += 1
    sys.stdout.write(f"{done} mutations, {given} of {said} answers given out\n")
    assert given > said / 20


def test_twenty_thousand_random_mutations_give_nobody_a_wrong_value() -> None:
    mutate(20_000, 1)  # a million of them are long


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_million_random_mutations_give_nobody_a_wrong_value() -> None:
    mutate(1_000_000, 1_000_000)


def open_for_hearing(path: str):
    [port] = split_port({"port": path})
    return listener_of(port, SystemClock(), quiet=True)


def test_the_port_is_open_for_reading_alone_and_the_system_refuses_a_write() -> None:
    async def main() -> None:
        near, far = pty.openpty()
        ear = open_for_hearing(os.ttyname(far))
        await ear.open()
        name = os.ttyname(far)
        held = [fd for fd in map(int, os.listdir("/proc/self/fd")) if fd != far and link_of(fd) == name]
        assert len(held) == 1
        flags = int(dict(line.split(":\t") for line in fdinfo(held[0]).splitlines() if ":\t" in line)["flags"], 8)
        assert flags & os.O_ACCMODE == os.O_RDONLY
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(held[0], b"\x01")
        ear.close()
        os.close(near)
        os.close(far)

    asyncio.run(main())


def link_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def fdinfo(fd: int) -> str:
    return Path(f"/proc/self/fdinfo/{fd}").read_text()


def test_a_terminal_that_echoes_by_habit_echoes_nothing_of_the_bus() -> None:
    async def main() -> None:
        near, far = pty.openpty()  # as the system makes it: cooked, with echo
        os.set_blocking(near, False)
        assert termios.tcgetattr(far)[3] & termios.ECHO
        ear = open_for_hearing(os.ttyname(far))
        await ear.open()
        os.write(near, b"\x01\x03\x00\x64\x00\x04\x05\xd6")
        chunk: Chunk = await ear.receive(SystemClock().monotonic_s() + 1)
        assert chunk.data == b"\x01\x03\x00\x64\x00\x04\x05\xd6"
        with pytest.raises(BlockingIOError):
            os.read(near, 64)
        settings = termios.tcgetattr(far)  # somebody turns the echo on: the output is stopped as well
        settings[3] |= termios.ECHO
        termios.tcsetattr(far, termios.TCSANOW, settings)
        os.write(near, b"\x01\x03")
        await asyncio.sleep(0.05)
        with pytest.raises(BlockingIOError):
            os.read(near, 64)
        ear.close()
        tty.setraw(far)
        os.write(far, b"after")  # whoever opens the port next may speak
        await asyncio.sleep(0.01)
        assert os.read(near, 64).endswith(b"after")
        os.close(near)
        os.close(far)

    asyncio.run(main())


def test_a_port_somebody_polls_is_refused_and_he_goes_on_undisturbed() -> None:
    async def main() -> None:
        master = Master()
        [port] = split_port({"port": master.path})
        poller = line_of(port, SystemClock())
        await poller.open()
        with pytest.raises(LinkError, match="cannot open"):
            await open_for_hearing(master.path).open()
        poller.write(b"question")
        await asyncio.sleep(0.01)
        assert master.heard_back == b"question"
        poller.close()
        master.close()

    asyncio.run(main())


def test_a_bus_that_is_tapped_is_never_scanned(tmp_path: Path) -> None:
    (tmp_path / "bus-1").touch()
    path = write_folder(tmp_path, GATEWAY.replace('kind = "modbus-rtu"', 'kind = "modbus-tap"'))
    with pytest.raises(ConfigError, match="nothing may be sent on it"):
        refuse_heard_only(target_of(str(tmp_path / "bus-1")), load_config(path))


def test_the_monitor_port_of_a_converter_is_heard_and_gets_no_byte() -> None:
    happened = scene(3, 60, Rates(noise=0.05), BLOCKS[:3], pause_s=0.05)

    async def main() -> tuple[list[Block], bytes]:
        spoken: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def monitor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            begin_s = asyncio.get_running_loop().time() - happened.heard[0].start_s
            for segment in happened.heard:
                await asyncio.sleep(max(0.0, begin_s + segment.start_s - asyncio.get_running_loop().time()))
                if reader.at_eof():
                    break
                writer.write(segment.data)
            spoken.set_result(await reader.read())
            writer.close()

        async with await asyncio.start_server(monitor, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            link = await open_link("modbus-tap", {"host": "127.0.0.1", "tcp_port": port}, SystemClock())
            profile = modbus_profile([(f"r{a}", a) for a in range(100, 104)])
            device = DeviceOptions(id="d", profile=profile, period_s=0.5)
            [source] = link.sources([device], [PointOptions(id=s.id, device="d", signal=s.id) for s in profile.signals])
            blocks: list[Block] = []
            while len(blocks) < 4:
                blocks += [a for a in await source.read(SystemClock().monotonic_s() + 5) if isinstance(a, Block)]
            await link.close()
            return blocks, await asyncio.wait_for(spoken, 5)

    blocks, spoken = asyncio.run(main())
    assert spoken == b""
    true = {tuple(np.frombuffer(data, ">u2")) for request, data in happened.truth if request == BLOCKS[0]}
    assert {tuple(block.value[:, 0].astype(int)) for block in blocks} <= true
