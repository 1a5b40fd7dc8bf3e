"""What the demo needs of the machine it runs on: child processes of its own, free ports, a link that can be cut."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

from twin_wire.errors import ConfigError, Error

RELAY_BYTES = 65_536
KILL_AFTER_S = 10.0
TAIL_LINES = 12


class Child:
    """A process the demo started, with its log."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name, self.process, self.log = name, process, log

    @property
    def alive(self) -> bool:
        """Tell whether it runs."""
        return self.process.returncode is None

    def tail(self) -> str:
        """Return the last lines of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {self.name}: {line}" for line in lines[-TAIL_LINES:])


class Children:
    """All processes of one demo; whatever happens they are ended by their own ids, newest first."""

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self.all: list[Child] = []

    async def start(self, name: str, command: str, *words: object) -> Child:
        """Start a console script of ours in a session of its own, so that Ctrl-C reaches the demo alone."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *script(command),
                *map(str, words),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self.all.append(child)
        return child

    async def ask(self, command: str, *words: object, within_s: float = 60.0, codes: tuple[int, ...] = (0,)) -> str:
        """Run a console script to its end and return what it printed; Error with its own words if it failed."""
        process = await asyncio.create_subprocess_exec(
            *script(command),
            *map(str, words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), within_s)
        except (TimeoutError, asyncio.CancelledError):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        if process.returncode not in codes:
            said = err.decode(errors="replace").strip() or out.decode(errors="replace").strip()
            raise Error(f"{command} {words[0]} ended with {process.returncode}: {said}")
        return out.decode(errors="replace")

    def dead(self) -> Child | None:
        """Return a child that ended although nobody asked it to."""
        return next((child for child in self.all if not child.alive), None)

    async def stop(self, child: Child, within_s: float = KILL_AFTER_S) -> int:
        """Ask a child to end (SIGTERM), insist after a while (SIGKILL); return its exit code."""
        if child in self.all:
            self.all.remove(child)
        if child.alive:
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(child.process.wait(), within_s)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    child.process.kill()
                await child.process.wait()
        return child.process.returncode or 0

    async def stop_all(self) -> None:
        """End every child, newest first."""
        for child in reversed(list(self.all)):
            await self.stop(child)


class Relay:
    """A TCP relay on 127.0.0.1 whose link can be cut: connections break, new ones are refused."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port, self._target_port = port, target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Return the address a gateway is told."""
        return f"http://127.0.0.1:{self.port}"

    async def mend(self) -> None:
        """Let connections through."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        ours = [writer]
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
            ours.append(back)
            self._writers.add(back)
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        except OSError:
            pass  # nobody behind the relay: the caller sees its connection end
        finally:
            for each in ours:
                self._writers.discard(each)
                each.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, OSError):
        while data := await reader.read(RELAY_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


def script(command: str) -> list[str]:
    """Return how to call one of our console scripts in this environment."""
    beside = Path(sys.executable).parent / command
    if beside.is_file():
        return [str(beside)]
    return [sys.executable, "-P", "-m", command.replace("-", "_")]


def free_port(wished: int, taken: set[int]) -> int:
    """Return the wished port if nobody has it, else another free one; it is then taken."""
    for port in (wished, 0):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
        taken.add(found)
        return found
    raise ConfigError("no free TCP port on 127.0.0.1")


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner can read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def fresh_folder(given: Path | None) -> Path:
    """Return an empty folder for one demo; ConfigError if the given one already holds something."""
    folder = (given or Path("demo-data") / time.strftime("%Y%m%d-%H%M%S")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty", hint="the demo begins a new log: give it a new folder")
    return folder
