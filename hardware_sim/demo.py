"""The whole product around the simulated mine, with a story: the one room that knows the other products.

It knows them by their commands and by HTTP only, and ends by its own ids every process it started.
"""

import argparse
import asyncio
import contextlib
import csv
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from hardware_sim.demo_checks import Facts, judge, read_export, sensors_of, summary_of, write_summary
from hardware_sim.demo_page import Page
from hardware_sim.demo_parts import fresh_folder
from hardware_sim.demo_setup import LOOK_S, PEOPLE, Stage
from hardware_sim.demo_story import ALARM_SEVERITY, FAN_STOP_S, STORY_S, WARNING_SEVERITY, Plot
from twin_wire.errors import Error

STATUS_S, DRAIN_S, STOP_S = 3.0, 60.0, 20.0
HOUR_US = 3_600_000_000
MARKS = {True: "held", False: "BROKEN", None: "not reached"}


def run(options: argparse.Namespace) -> int:
    """Run the demo; 0 when it ended as asked and every promise it could check held, 1 when not."""
    return asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with aiohttp.ClientSession() as session:
        demo = Demo(options, Stage(fresh_folder(options.dir), session, stop), stop)
        try:
            return await demo.run()
        except (Error, aiohttp.ClientError, TimeoutError) as error:
            demo.explain(error)
            return 1
        finally:
            await demo.close()


class Demo:
    """One run: sets everything up, lives through the story, says what happens, checks the promises at the end."""

    def __init__(self, options: argparse.Namespace, stage: Stage, stop: asyncio.Event) -> None:
        self._options, self._stage, self._stop = options, stage, stop
        self._begun_s, self._begun_us = time.monotonic(), time.time_ns() // 1000
        self._watching: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Set up, tell the story, end; return the exit code."""
        page = await self._set_up()
        live_after_s = time.monotonic() - self._begun_s
        self._invite()
        plot = Plot(self._stage, page, self.say)
        await plot.begin()
        await self._live(page, plot)
        if self._options.seconds is None or self._stop.is_set():
            self.say("stopping")
            return 0 if self._options.seconds is None else 1
        return await self._finish(page, plot, live_after_s)

    async def close(self) -> None:
        """End the watcher, every process and the relay."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._stage.close()
        self.say(f"all processes ended; data and logs in {self._stage.folder}")

    def say(self, text: str) -> None:
        """Print one line with the seconds since the start."""
        print(f"[{time.monotonic() - self._begun_s:6.1f} s] {text}", flush=True)

    def explain(self, error: BaseException) -> None:
        """Say why it cannot go on, with the end of the log of whoever died."""
        self.say(f"the demo cannot go on: {error or type(error).__name__}")
        dead = self._stage.children.dead()
        if dead is not None:
            print(f"{dead.name} ended with {dead.process.returncode}; the end of {dead.log}:\n{dead.tail()}")

    async def _set_up(self) -> Page:
        stage = self._stage
        async with self._step("simulated mine"):
            await stage.start_mine(self._options.seed, self._options.profiles)
        async with self._step("server with a new log, marked as simulated"):
            await stage.start_server()
        async with self._step("voucher and enrolment of the gateway"):
            await stage.enrol()
        async with self._step("gateway agent, first signed batches in the twin"):
            await stage.start_agent()
            page = stage.page()
            self._watching = asyncio.create_task(page.watch())
            await stage.until(page.is_live, "the twin does not come alive")
        return page

    @asynccontextmanager
    async def _step(self, text: str) -> AsyncIterator[None]:
        print(f"[{time.monotonic() - self._begun_s:6.1f} s] {text} ...", end="", flush=True)
        begun_s = time.monotonic()
        try:
            yield
        except BaseException:
            print(flush=True)
            raise
        print(f" {time.monotonic() - begun_s:.1f} s", flush=True)

    def _invite(self) -> None:
        print(f"\n  The twin is live: {self._stage.url}/")
        for name, _, who in PEOPLE:
            print(f"    sign in as {name:10} passphrase {self._stage.passphrase(name)}   ({who})")
        print(f"  The gateway's own page: {self._stage.gateway.url}/")
        print(f"  At {FAN_STOP_S:.0f} s the local fan of heading A stops; from there the simulated world runs ×20.")
        print("  Ctrl-C ends everything.\n" if self._options.seconds is None else "", flush=True)

    async def _live(self, page: Page, plot: Plot) -> None:
        """Follow the mine until the time is up or somebody stops it."""
        seconds, said_s = self._options.seconds, 0.0
        while not self._stop.is_set() and (seconds is None or plot.now_s < seconds):
            self._stage.check_alive()
            await plot.follow()
            if time.monotonic() - said_s >= STATUS_S:
                said_s = time.monotonic()
                await self._status(page, plot)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), LOOK_S)

    async def _status(self, page: Page, plot: Plot) -> None:
        stage = self._stage
        mine, sync, detail = await asyncio.gather(stage.mine.get("/status"), stage.agent_state(), page.get())
        gateway = detail["gateways"][0]
        queue = "?" if sync is None else sync["unsent"]
        self.say(
            f"story {plot.now_s:4.0f} s  samples {mine['samples']:7}  batches {gateway['seq'] + 1:5}  "
            f"log {detail['tree_size']:5}  queue {queue:>3}  alarms {sum(detail['alarms'].values())}  "
            f"people {detail['people']}  gateway {gateway['state']}  world ×{mine['speed']:g}"
        )

    async def _finish(self, page: Page, plot: Plot, live_after_s: float) -> int:
        agent = self._stage.agent
        assert agent is not None
        await plot.mend()
        async with self._step("draining the gateway's queue"):
            await self._stage.until(plot.caught_up, "the queue does not drain", DRAIN_S)
            await plot.follow()
        async with self._step("stopping the agent"):
            counters = await self._stage.gateway.metrics()
            code = await self._stage.children.stop(agent, STOP_S)
        async with self._step("counting samples, rebuilding and verifying the log"):
            facts = await self._facts(page, plot, counters, code, live_after_s)
        promises = judge(facts)
        summary = summary_of(facts, promises, self._options.seed)
        write_summary(self._options.summary or self._stage.folder / "summary.json", summary)
        for promise in promises:
            print(f"    {MARKS[promise.held]:11} {promise.name}: {promise.text}")
        for device, counts in summary["differing_devices"].items():
            print(f"    {device}: {counts['at_sensors']} at the sensors, {counts['in_twin']} in the twin")
        delays = summary["receive_delay_s"]
        print(f"    receive delay p50 {delays['p50']} s, p95 {delays['p95']} s; live after {live_after_s:.1f} s")
        print(f"    the simulator was kept waiting {facts.mine_late_s:.3f} s at most")
        return 0 if summary["held"] else 1

    async def _facts(self, page: Page, plot: Plot, counters: dict[str, float], code: int, live_after_s: float) -> Facts:
        stage = self._stage
        status = await stage.mine.get("/status")
        with (stage.gateway_folder / "points.csv").open(encoding="utf-8", newline="") as file:
            device_of = {row["point"]: row["device"] for row in csv.DictReader(file)}
        span = f"from={self._begun_us - HOUR_US}&to={time.time_ns() // 1000 + HOUR_US}"
        return Facts(
            seconds=time.monotonic() - self._begun_s,
            sensors=sensors_of(status),
            exported=await read_export(page.lines(f"/export.csv?{span}"), device_of),
            device_of=device_of,
            detail=await page.get(),
            agent=counters,
            agent_exit=code,
            verified=await stage.verify(),
            fan_stop_at_s=FAN_STOP_S if plot.now_s >= STORY_S else None,
            warning_at_s=plot.begun_at_s(WARNING_SEVERITY),
            alarm_at_s=plot.begun_at_s(ALARM_SEVERITY),
            alarm_delay_s=plot.delay_s(ALARM_SEVERITY),
            receive_delays_s=page.delays_s,
            cut_states=plot.cut_states,
            cut_happened=plot.cut_happened,
            backlog_s=plot.backlog_s,
            live_after_s=live_after_s,
            mine_late_s=status["late_s"],
        )
