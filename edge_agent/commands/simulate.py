"""`edge-agent simulate`: this very configuration against simulated devices, with live values in the terminal."""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path

from edge_agent.agent import Agent
from edge_agent.clock import SystemClock
from edge_agent.commands.say import config_argument, say
from edge_agent.identity import load_identity, now_s, voucher_from
from edge_agent.simulate import Stage, enroll_simulated, simulated
from twin_wire.readings import Quality
from twin_wire.voucher import Voucher

EPILOG = """Nothing of the real gateway is touched: ports, state and key are of a copy (default: the folder `simulated`
beside gateway.toml), everything sealed is marked as simulated, and nothing is sent unless --voucher names one of a log
that is marked as simulated. Needs the command hardware-sim.
"""
REDRAW_S, LINES_S = 1.0, 5.0
BEGIN_LOOK_S = 0.1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configuration and how long to run."""
    parser.epilog = EPILOG
    config_argument(parser)
    parser.add_argument("--seconds", type=float, metavar="S", help="end by itself (default until Ctrl-C)")
    parser.add_argument("--dir", type=Path, help="folder of the copy (default `simulated` beside gateway.toml)")
    parser.add_argument("--page", default="127.0.0.1:8766", help="where its page listens (default 127.0.0.1:8766)")
    parser.add_argument("--voucher", help="of a simulated log: send there")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same values (default 1)")


def run(given: argparse.Namespace) -> int:
    """Run until stopped; 0 if every simulated device has answered."""
    voucher = voucher_from(given.voucher, now_s()) if given.voucher else None
    folder = given.dir or given.config.absolute().parent / "simulated"
    return asyncio.run(_simulate(given, folder, voucher))


async def _simulate(given: argparse.Namespace, folder: Path, voucher: Voucher | None) -> int:
    async with simulated(given.config, folder, given.page, given.seed) as stage:
        await asyncio.to_thread(enroll_simulated, stage.config, voucher)
        agent = Agent(stage.config, *load_identity(stage.config), SystemClock())
        say(f"SIMULATED devices for {given.config}; copy in {folder}; page http://{given.page}")
        for name in stage.missing:
            say(f"not simulated: link {name}")
        showing = asyncio.create_task(_show(agent, given.seconds))
        try:
            await agent.run()
        finally:
            showing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await showing
        return _outcome(agent, stage)


async def _show(agent: Agent, seconds: float | None) -> None:
    """Show all values again and again; stop the agent after `seconds`."""
    loop = asyncio.get_running_loop()
    terminal = sys.stdout.isatty()
    while agent.pollers and not any(poller.turns for poller in agent.pollers):  # noqa: ASYNC110  kernels compile
        await asyncio.sleep(BEGIN_LOOK_S)
    end_s = loop.time() + seconds if seconds else float("inf")
    while loop.time() < end_s:
        await asyncio.sleep(min(REDRAW_S if terminal else LINES_S, max(0.05, end_s - loop.time())))
        lines = _values(agent)
        if terminal:
            sys.stdout.write("\033[2J\033[H")
        say("\n".join(["SIMULATED  Ctrl-C ends it", *lines]))
    agent.stop()


def _values(agent: Agent) -> list[str]:
    units = {point.row.point: (point.signal.unit, point.signal.point_decimals) for point in agent.config.points}
    lines = []
    for poller in agent.pollers:
        for turn in poller.turns:
            group = turn.source.group
            block = agent.latest.get(group.points)
            for column, point in enumerate(group.points):
                unit, decimals = units[point]
                value = f"{block.value[column, -1]:.{decimals}f}" if block is not None else "-"
                quality = Quality(int(block.quality[column, -1])).name if block is not None else "NO DATA YET"
                lines.append(f"  {point:32} {value:>12} {unit:8} {quality}")
    return lines


def _outcome(agent: Agent, stage: Stage) -> int:
    answered = {device for poller in agent.pollers for device in poller.last_answer_us}
    silent = [device.id for device in stage.config.devices if device.id not in answered]
    say(f"{len(answered)} of {len(stage.config.devices)} devices answered, {agent.samples} values, boot {agent.boot}")
    unserved = {name.split()[0] for name in stage.missing}
    failed = [device.id for device in stage.config.devices if device.id in silent and device.link not in unserved]
    if failed:
        say(f"no answer from {', '.join(failed)}")
    return 1 if failed else 0
