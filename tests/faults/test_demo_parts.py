"""The demo's own tools: a link that can be cut, processes that are ended by their ids, folders that stay whole."""

import asyncio
import contextlib
import socket
import time
from pathlib import Path

import pytest

from hardware_sim.demo_parts import Children, Relay, free_port, fresh_folder, write_private
from twin_wire.errors import ConfigError, Error


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_a_cut_link_breaks_what_is_open_refuses_what_is_new_and_comes_back() -> None:
    async def run() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        relay = Relay(free_port(0, set()), server.sockets[0].getsockname()[1])
        await relay.mend()
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"one")
        assert await reader.read(10) == b"one"
        await relay.cut()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", relay.port)
        with contextlib.suppress(ConnectionError):
            assert await reader.read(10) == b""
        writer.close()
        await relay.mend()
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"two")
        assert await reader.read(10) == b"two"
        writer.close()
        await relay.cut()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)  # let the echoing side see the end

    asyncio.run(run())


def test_a_process_that_ends_by_itself_is_noticed_with_its_words(tmp_path: Path) -> None:
    async def run() -> None:
        children = Children(tmp_path)
        await children.start("mine", "hardware-sim", "run", "--dir", tmp_path / "x", "--profiles", tmp_path)
        deadline = time.monotonic() + 20
        while children.dead() is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        dead = children.dead()
        assert dead is not None
        assert dead.process.returncode == 2
        assert "no profile" in dead.tail()
        await children.stop_all()
        with pytest.raises(Error, match="no profile"):
            await children.ask("hardware-sim", "site", "--dir", tmp_path / "x", "--profiles", tmp_path)

    asyncio.run(run())


def test_children_are_asked_to_end_and_do(tmp_path: Path) -> None:
    async def run() -> tuple[int, list[str]]:
        children = Children(tmp_path)
        port = free_port(0, set())
        mine = await children.start("mine", "hardware-sim", "run", "--dir", tmp_path / "x", "--tcp-port", port)
        while not (tmp_path / "x" / "dev" / "uwb-2").exists():
            assert mine.alive
            await asyncio.sleep(0.05)
        code = await children.stop(mine)
        return code, [entry.name for entry in (tmp_path / "x" / "dev").iterdir()]

    assert asyncio.run(run()) == (0, [])


def test_a_wished_port_is_given_once_and_never_when_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        busy = server.getsockname()[1]
        taken: set[int] = set()
        first = free_port(busy, taken)
        assert first != busy
        assert free_port(first, taken) != first


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    assert fresh_folder(tmp_path / "new").is_dir()
    (tmp_path / "new" / "x").touch()
    with pytest.raises(ConfigError):
        fresh_folder(tmp_path / "new")


def test_secrets_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "x")
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
