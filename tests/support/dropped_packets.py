"""Run in a network namespace of its own: packets vanish without a word, and the driver has to find out by itself.

`python -m tests.support.dropped_packets TIMEOUT_S` prints after how many seconds the connection was given up, after how
many more values came again once the cable was mended, and how many connections were made.
"""

import asyncio
import subprocess
import sys

from drivers import open_link
from tests.support.modbus_peer import Device, TcpPeer
from tests.support.modbus_stand_ins import modbus_profile
from tests.support.reading import CLOCK, sources_of
from twin_wire.errors import LinkError


def cable(state: str) -> None:
    """Put the namespace's only interface up or down: what is sent while it is down is lost."""
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


async def main(timeout_s: float) -> None:
    cable("up")
    async with TcpPeer(Device()).serve() as peer:
        link = await open_link("modbus-tcp", {"host": "127.0.0.1", "tcp_port": peer.port}, CLOCK)
        [source] = sources_of(link, modbus_profile([("a", 7)], timeout_ms=1e3 * timeout_s))
        await source.read(CLOCK.monotonic_s() + source.pace().budget_s)
        cable("down")
        begin_s = CLOCK.monotonic_s()
        while link.connected:
            try:
                await source.read(CLOCK.monotonic_s() + source.pace().budget_s)
            except LinkError:
                continue
            raise AssertionError("a value came through a cut cable")
        given_up_s = CLOCK.monotonic_s() - begin_s
        cable("up")
        for _ in range(50):
            try:
                await source.read(CLOCK.monotonic_s() + source.pace().budget_s)
                break
            except LinkError:
                await asyncio.sleep(0.1)
        print(f"{given_up_s:.2f} {CLOCK.monotonic_s() - begin_s - given_up_s:.2f} {peer.connections}")  # noqa: T201
        await link.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
