"""The agent as a process remembers over a restart what its devices refuse, and says it where an installer looks."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.gateway_folder import GATEWAY, write_folder
from tests.support.modbus_peer import Device, TcpPeer
from tests.support.modbus_stand_ins import free_port
from tests.support.vouchers import voucher_line


@contextmanager
def served(device: Device, port: int) -> Iterator[None]:
    """Serve a device on another thread's loop."""
    loop = asyncio.new_event_loop()
    done, ready = asyncio.Event(), threading.Event()

    async def main() -> None:
        peer = TcpPeer(device)
        peer.port = port
        async with peer.serve():
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        loop.close()


def fan(address: str) -> dict[str, Any]:
    """Return what the page says of the fan drive and the event about it."""
    with urllib.request.urlopen(f"http://{address}/api/state", timeout=5) as response:
        state = json.load(response)
    [device] = [d for d in state["devices"] if d["id"] == "fan-1"]
    return {**device, "events": [e for e in state["active"] if e["rule"] == "device_config"]}


def said(folder: Path, address: str) -> dict[str, Any]:
    """Start the agent, wait until it says what the fan drive refuses, look on for two seconds, stop it."""
    command = [sys.executable, "-m", "edge_agent", "run", str(folder / "gateway.toml")]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        end_s = time.monotonic() + 40
        while True:
            assert time.monotonic() < end_s, (folder / "log").read_text()
            try:
                seen = fan(address)
            except OSError:
                seen = {"events": []}
            if seen["events"]:
                break
            time.sleep(0.1)
        time.sleep(2.0)
        return fan(address)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def test_what_a_device_refuses_is_said_with_its_register_and_not_asked_again_after_a_restart(tmp_path: Path) -> None:
    address, port = f"127.0.0.1:{free_port()}", free_port()
    path = write_folder(tmp_path, gateway=GATEWAY.replace("127.0.0.1:0", address), tcp_port=port)
    enroll = [sys.executable, "-m", "edge_agent", "enroll", str(path), "--voucher", voucher_line()]
    subprocess.run(enroll, check=True, capture_output=True)
    device = Device(registers=lambda _unit, _function, _address: None)
    with served(device, port):
        first = said(tmp_path, address)
        assert device.refused == 1
        again = said(tmp_path, address)
        assert device.refused == 1, "it is remembered"
    for seen in (first, again):
        assert "exception 2" in seen["reason"]
        assert seen["state"] != "down"
        [event] = seen["events"]
        assert event["point"] == "fan-1"
        assert "wrong profile or address_base" in event["text"]
