"""What a line's errors say about its wires: who is silent, what comes damaged, where bytes come that nobody sent.

The counters are those of a running agent, or of questions asked here on a bus that nobody polls. The rules are the
trade's rules of thumb; each finding names what was counted, so that a person can judge.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from drivers import Profile
from edge_agent.claim import Setting, Target
from edge_agent.config import Config
from edge_agent.probe import Probe
from edge_agent.tables import LinkTable
from twin_wire.errors import LinkError

ASKED = 20  # questions to each device
SILENCES_MAX = 5  # in a row: enough
WAIT_S = 0.3
SHARE = 0.02  # of answers lost or damaged: below, a line is well
SYSFS = Path("/sys/class/tty")


class Finding(NamedTuple):
    """One thing that was looked at; `advice` is empty when it is well."""

    what: str
    seen: str
    advice: str = ""


class Count(NamedTuple):
    """What came of the questions to one device."""

    device: str
    unit: int
    asked: int
    answers: int
    timeouts: int
    crc_errors: int
    rejected: int
    noise_bytes: int
    echo: bool = False


def judge_line(link: str, counts: Sequence[Count]) -> list[Finding]:
    """Return what the counters of all devices of a line say together."""
    asked = [count for count in counts if count.asked]
    if not asked:
        return []
    findings = [_device(link, count) for count in asked]
    what = f"wires of {link}"
    if any(count.echo for count in asked):
        advice = "set echo = true on the link: the adapter hears itself; or switch its echo off"
        return [*findings, Finding(what, "our own questions come back", advice)]
    silent = [count for count in asked if not count.answers and not count.crc_errors and not count.noise_bytes]
    damaged = [count for count in asked if count.crc_errors + count.rejected > SHARE * count.asked]
    noisy = sum(count.noise_bytes for count in asked)
    if len(silent) == len(asked):
        advice = "power? swap A and B; common ground; port and baud: edge-agent scan tries them all"
        return [*findings, Finding(what, "nobody answers and not a byte comes", advice)]
    if not any(count.answers for count in asked):
        advice = "bytes come but no frame: another baud or parity (edge-agent scan), or A and B swapped"
        return [*findings, Finding(what, f"only damaged bytes, {noisy} of them", advice)]
    if len(damaged) == len(asked) > 1:
        advice = (
            "all devices: 120 ohm at both ends and only there, bias at one end, shield grounded once, far from drives"
        )
        findings.append(Finding(what, "answers of every device come damaged", advice))
    elif damaged:
        names = ", ".join(count.device for count in damaged)
        advice = (
            "the end of the line or a long stub there: 120 ohm at the last device, no star; two devices on one unit?"
        )
        findings.append(Finding(what, f"answers come damaged from {names} alone", advice))
    elif noisy > sum(count.answers for count in asked):
        advice = "bias resistors missing: the line floats between frames; or another master talks"
        findings.append(Finding(what, f"{noisy} stray bytes between whole answers", advice))
    elif not silent:
        findings.append(Finding(what, f"{sum(count.answers for count in asked)} whole answers"))
    return findings


def _device(link: str, count: Count) -> Finding:
    what = f"device {count.device}"
    lost = count.timeouts + count.crc_errors + count.rejected
    seen = (
        f"unit {count.unit} on {link}: {count.answers} of {count.asked} answered, {count.timeouts} time-outs, "
        f"{count.crc_errors} damaged, {count.rejected} wrong, {count.noise_bytes} stray bytes"
    )
    if not count.answers:
        return Finding(what, seen, "its power, its unit number, its two wires")
    if count.timeouts > SHARE * count.asked and not count.crc_errors:
        return Finding(what, seen, "slow or busy: raise its period or timeout_ms; a loose wire loses answers too")
    return Finding(what, seen, "see the wires of the link" if lost > SHARE * count.asked else "")


def counts_of_state(state: Mapping[str, Any], link: str) -> list[Count]:
    """Return the counters of a running agent's devices on one line."""
    counts = []
    for device in state["devices"]:
        if device["link"] == link:
            told = device["counts"]
            answers = told["answers"] + told["exceptions"]
            lost = told["timeouts"] + told["crc_errors"] + told["rejected"]
            counts.append(
                Count(
                    device["id"],
                    device["unit"],
                    answers + lost,
                    answers,
                    told["timeouts"],
                    told["crc_errors"],
                    told["rejected"],
                    told["noise_bytes"],
                )
            )
    return counts


async def ask_line(config: Config, link: LinkTable, asked: int = ASKED) -> list[Count]:
    """Ask every Modbus device of a serial line some questions of its profile; LinkError if the bus is in use."""
    options = link.options
    target = Target(port=str(options["port"]))
    setting = Setting(options.get("baud", 9600), options.get("parity", "N"), options.get("stop_bits", 1))
    counts = []
    async with Probe(target, setting, WAIT_S, echo=bool(options.get("echo"))) as probe:
        for device in (d for d in config.devices if d.link == link.id):
            profile = config.profiles[device.profile]
            if profile.protocol == "modbus":
                counts.append(await _ask_device(probe, device.id, device.unit, profile, asked))
    return counts


async def _ask_device(probe: Probe, name: str, unit: int, profile: Profile, questions: int) -> Count:
    signal = profile.signals[0]
    echoes = lost = timeouts = wrong = noise_bytes = 0
    for number in range(questions):
        seen = await probe.read(unit, signal.function, signal.address, signal.count)
        heard = probe.stats[unit].noise_bytes - noise_bytes
        noise_bytes += heard
        echoes += "only our own request came back" in seen.text or (
            seen.code is not None and heard == len(seen.request)
        )
        if seen.code is not None:
            continue
        lost += 1
        timeouts += seen.text.endswith(": no answer")
        wrong += seen.text.endswith("instead")
        if timeouts == number + 1 >= SILENCES_MAX:
            break
        await probe.forget()
    asked = number + 1
    damaged = lost - timeouts - wrong
    return Count(name, unit, asked, asked - lost, timeouts, damaged, wrong, noise_bytes, echoes > asked / 2)


def adapter_latency(port: str) -> Finding | None:
    """Return what a USB adapter does to timing; None where there is no such setting."""
    name = Path(port).resolve().name
    timer = SYSFS / name / "device" / "latency_timer"
    try:
        milliseconds = int(timer.read_text("ascii"))
    except (OSError, ValueError):
        return None
    seen = f"{name} collects bytes for up to {milliseconds} ms"
    if milliseconds <= 2:
        return Finding(f"adapter {name}", seen)
    advice = (
        f"the driver asks for less when it opens the port; if polling is slow: echo 1 > {timer}, or a udev rule "
        'ATTR{latency_timer}="1"'
    )
    return Finding(f"adapter {name}", seen, advice)


async def wiring(config: Config, state: Mapping[str, Any] | None, ask: bool) -> list[Finding]:
    """Return what can be said of the wires: from a running agent's counters, or by asking where nobody polls."""
    findings: list[Finding] = []
    for link in config.links:
        port = link.options.get("port")
        if not isinstance(port, str):
            continue
        latency = adapter_latency(port)
        findings += [latency] if latency else []
        if state is not None:
            findings += judge_line(link.id, counts_of_state(state, link.id))
        elif ask and link.kind == "modbus-rtu" and not link.options.get("listen_only"):
            try:
                findings += judge_line(link.id, await ask_line(config, link))
            except LinkError as error:
                findings.append(Finding(f"wires of {link.id}", str(error), error.hint or "see the port"))
        elif link.kind == "modbus-rtu":
            findings.append(
                Finding(f"wires of {link.id}", "not asked: --wiring asks, if no other master is on the bus")
            )
    return findings
