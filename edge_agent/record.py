"""Writes down everything that is said on a serial line, without saying anything: a capture to learn from or replay."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from drivers import Clock
from drivers.capture import CaptureHead, Piece, encode_head, encode_piece
from drivers.modbus.tap import Tap
from drivers.ports import listener_of, split_port
from edge_agent.claim import Setting, Target
from edge_agent.manifest import software
from twin_wire.errors import ConfigError

PROGRESS_S = 1.0
SYNC_S = 5.0  # what a power cut can take
MEGABYTES_MAX = 256


class Plan(NamedTuple):
    """What to listen to, for how long at most (0: until stopped), and how large the file may become."""

    target: Target
    setting: Setting
    seconds: float
    out: Path
    megabytes: float = 64.0


class Progress(NamedTuple):
    """How far it is: what was heard, and what of it Modbus makes sense of."""

    seconds: float
    heard_bytes: int
    file_bytes: int
    questions: int
    units: tuple[int, ...]
    tied: int  # answers with their question


class Recorder:
    """One recording; `stop` ends it in order."""

    def __init__(self, plan: Plan, clock: Clock, tell: Callable[[Progress], None]) -> None:
        """Check the plan; ConfigError."""
        if not 0 <= plan.seconds <= 366 * 86_400 or not 0.001 <= plan.megabytes <= MEGABYTES_MAX:
            text = f"seconds within 0 to a year, megabytes within 0.001 to {MEGABYTES_MAX}"
            raise ConfigError(text, faults=(("record", text),))
        self.progress = Progress(0.0, 0, 0, 0, (), 0)
        self.full = False
        self._plan, self._clock, self._tell = plan, clock, tell
        [port] = split_port(_options(plan))
        self._ear = listener_of(port, clock, quiet=True)
        self._tap = Tap(self._ear.char_s, self._ear.gap_s)
        self._stopping = False
        self._lost = 0

    def stop(self) -> None:
        """End the recording with what there is."""
        self._stopping = True

    async def run(self) -> Progress:
        """Record until the time is over, the file is full or `stop`; LinkError when the port goes (the file stays)."""
        plan = self._plan
        await self._ear.open()
        try:
            with plan.out.open("xb", buffering=0) as file:
                await self._record(file.fileno())
        except FileExistsError as error:
            text = f"{plan.out} is there already"
            raise ConfigError(
                text, "choose another name: a recording is never written over", (("out", text),)
            ) from error
        except OSError as error:
            raise ConfigError(f"{plan.out}: {error.strerror}", faults=(("out", str(error.strerror)),)) from error
        finally:
            self._ear.close()
        return self.progress

    async def _record(self, fd: int) -> None:
        plan, clock = self._plan, self._clock
        head = CaptureHead(
            started_us=clock.time_us(),
            port=str(plan.target),
            baud=plan.setting.baud,
            parity=plan.setting.parity,
            stop_bits=plan.setting.stop_bits,
            software=software(),
        )
        begin_s = told_s = synced_s = clock.monotonic_s()
        end_s = begin_s + plan.seconds if plan.seconds else float("inf")
        size = os.write(fd, encode_head(head))
        while not (self._stopping or self.full) and clock.monotonic_s() < end_s:
            chunk = await self._ear.receive(min(end_s, clock.monotonic_s() + 0.25))
            now_s = clock.monotonic_s()
            lost = self._ear.lost_bytes - self._lost
            pieces = []
            if lost:
                self._lost += lost
                self._tap.lost()
                pieces.append(Piece(round((now_s - begin_s) * 1e6), b"", lost))
            if chunk.data:
                pieces.append(Piece(max(0, round((chunk.time_s - begin_s) * 1e6)), chunk.data))
            lines = b"".join(map(encode_piece, pieces))
            self.full = size + len(lines) > plan.megabytes * 1e6
            if lines and not self.full:
                size += os.write(fd, lines)
            tied = len(self._tap.feed(chunk.data, chunk.time_s) if chunk.data else self._tap.settle(now_s))
            self._count(now_s - begin_s, len(chunk.data), size, tied)
            if now_s - synced_s >= SYNC_S:
                await asyncio.to_thread(os.fsync, fd)  # a slow card takes seconds, and the line goes on talking
                synced_s = now_s
            if now_s - told_s >= PROGRESS_S:
                self._tell(self.progress)
                told_s = now_s
        os.fsync(fd)

    def _count(self, seconds: float, heard: int, size: int, tied: int) -> None:
        before = self.progress
        units = tuple(sorted({request.unit for request in self._tap.polls}))
        questions = self._tap.counts.requests
        self.progress = Progress(seconds, before.heard_bytes + heard, size, questions, units, before.tied + tied)


def _options(plan: Plan) -> dict[str, object]:
    options: dict[str, object] = {
        "baud": plan.setting.baud,
        "parity": plan.setting.parity,
        "stop_bits": plan.setting.stop_bits,
    }
    if plan.target.port:
        return options | {"port": plan.target.port}
    return options | {"host": plan.target.host, "tcp_port": plan.target.tcp_port}


def run_recorder(recorder: Recorder) -> Progress:
    """Record on an event loop of its own."""
    return asyncio.run(recorder.run())
