"""What an installer lets the gateway's page do on a bus: one job at a time, the link's polling paused meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from edge_agent.claim import Setting, Target, refuse_heard_only, target_of
from edge_agent.guess import candidates, guesses
from edge_agent.identify import SURVEY_REGISTERS, WAIT_S, Identified, Identifier
from edge_agent.mapping import link_at
from edge_agent.probe import Probe
from twin_wire.errors import ConfigError, Error, LinkError
from twin_wire.readings import Event

if TYPE_CHECKING:
    from edge_agent.agent import Agent
    from edge_agent.scan import Progress, Scan

WATCH_S_MAX = 600.0  # registers are watched so long, then polling goes on even if the installer has left
WATCH_PERIOD_S = 1.5
LOOK_AGAIN_S = 5.0
WATCH_MAX = 60
EVIDENCE_MAX = 12
MATCHES_MAX = 5


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to work: a port or address, the characters there, and a unit."""

    target: str
    pause: bool = False  # the installer agrees that the link's polling stops meanwhile
    baud: int = 0  # 0: all that are likely (scan), else 9600
    parity: str = ""
    stop_bits: int = 1
    rtu: bool = False
    unit: int = 1
    units: str = ""  # of a scan; "": all
    only_master: bool = False
    function: int = 3  # of registers to watch
    address: int = 0
    count: int = 20

    @property
    def setting(self) -> Setting:
        """The one setting to use; ConfigError if it is none."""
        if self.parity not in ("", "N", "E", "O") or self.stop_bits not in (1, 2) or not 0 <= self.baud <= 4_000_000:
            raise ConfigError("no such setting", faults=(("setting", f"{self.baud} {self.parity}{self.stop_bits}"),))
        return Setting(self.baud or 9600, self.parity or "N", self.stop_bits)


class Job:
    """One piece of work: what it is, how far it is, what came of it."""

    def __init__(self, kind: str, target: str, link: str) -> None:
        self.kind, self.target, self.link = kind, target, link
        self.state = "running"  # done, failed, stopped
        self.progress: dict[str, Any] = {}
        self.result: dict[str, Any] = {}
        self.error = self.hint = ""
        self.begun_s = time.monotonic()
        self.ended_s = 0.0
        self.stopping = asyncio.Event()
        self.stop: Callable[[], None] = lambda: None  # what else has to be told

    def shown(self) -> dict[str, Any]:
        """Return the job as JSON."""
        ended_s = self.ended_s or time.monotonic()
        names = ("kind", "target", "link", "state", "progress", "result", "error", "hint")
        return {**{name: getattr(self, name) for name in names}, "took_s": round(ended_s - self.begun_s, 1)}


class Bench:
    """The jobs of one agent; belongs to the event loop."""

    def __init__(self, agent: "Agent") -> None:
        self.job: Job | None = None
        self._agent = agent
        self._task: asyncio.Task[None] | None = None

    async def start(self, kind: str, place: Place) -> Job:
        """Begin a job; ConfigError if one runs, the place is forbidden, or its link is polled and not to be paused."""
        work = {"scan": self._scan, "identify": self._identify, "registers": self._watch}[kind]
        target = target_of(place.target)
        config = self._agent.config
        await asyncio.to_thread(refuse_heard_only, target, config)  # names are looked up, which may take seconds
        link = await asyncio.to_thread(link_at, config, target)
        if self._task is not None and not self._task.done():
            raise ConfigError("another job runs", "stop it first")
        if link and not place.pause:
            hint = "agree that its polling stops meanwhile: its points have no readings for so long"
            raise ConfigError(f"link {link} is polled there", hint)
        job = self.job = Job(kind, str(target), link)
        self._task = asyncio.create_task(self._run(job, work, target, place), name=f"bench {kind}")
        return job

    def stop(self) -> None:
        """Ask the job to end; what it found stays."""
        if self.job is not None and self.job.state == "running":
            self.job.stopping.set()
            self.job.stop()

    async def close(self) -> None:
        """End whatever runs."""
        self.stop()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=5.0)
            self._task.cancel()

    async def _run(
        self, job: Job, work: Callable[[Job, Target, Place], Awaitable[None]], target: Target, place: Place
    ) -> None:
        try:
            async with self._paused(job.link):
                await work(job, target, place)
            job.state = "stopped" if job.stopping.is_set() else "done"
        except Error as error:
            job.state, job.error, job.hint = "failed", str(error), error.hint
        except OSError as error:
            job.state, job.error = "failed", str(error)
        finally:
            if job.state == "running":
                job.state, job.error = "failed", "ended before its time; the agent's log says why"
            job.ended_s = time.monotonic()

    @contextlib.asynccontextmanager
    async def _paused(self, link: str) -> AsyncIterator[None]:
        """Hold a link's polling, as a condition of the record, and begin it again whatever happens."""
        agent = self._agent
        if not link:
            yield
            return
        text = f"polling of {link} is paused for work on its bus, ordered on the gateway's page"
        await agent.lines.pause(link)
        agent.own.begin(Event("poll_paused", 0, link, agent.clock.time_us(), 0, "agent/1", {}, text))
        try:
            yield
        finally:
            agent.lines.resume(link)
            agent.own.end(link, "poll_paused", {}, agent.clock.time_us())

    async def _scan(self, job: Job, target: Target, place: Place) -> None:
        from edge_agent.scan import LISTEN_S, Plan, Scan, settings_of, units_of  # brings minimalmodbus, for this alone

        plan = Plan(
            settings=settings_of(place.baud or None, place.parity or None),
            units=units_of(place.units),
            listen_s=LISTEN_S,
            only_master=place.only_master,
            rtu=place.rtu,
        )

        def tell(now: "Progress") -> None:
            job.progress = {"done": now.done, "planned": now.planned, "left_s": round(now.left_s, 1)}
            job.progress |= {"setting": now.setting, "unit": now.unit}
            job.result = _scanned(scan)

        scan = Scan(target, plan, tell)
        job.stop = scan.stop
        await asyncio.to_thread(scan.run)
        job.result = _scanned(scan)

    async def _identify(self, job: Job, target: Target, place: Place) -> None:
        def tell(text: str) -> None:
            job.progress = {"text": text}

        async with Probe(target, place.setting, WAIT_S, rtu=place.rtu) as probe:
            working = asyncio.ensure_future(
                Identifier(probe, place.unit, tell).run(LOOK_AGAIN_S, place.address, min(place.count, SURVEY_REGISTERS))
            )
            job.stop = lambda: _ignore(working.cancel())
            try:
                job.result = _identified(await working)
            except asyncio.CancelledError:
                if not job.stopping.is_set():  # the agent ends, not the installer's patience
                    raise

    async def _watch(self, job: Job, target: Target, place: Place) -> None:
        """Read the same registers again and again until stopped."""
        if place.function not in (3, 4) or not 1 <= place.count <= WATCH_MAX or place.address + place.count > 65_536:
            raise ConfigError(f"up to {WATCH_MAX} registers by function 3 or 4", faults=(("count", "or function"),))
        end_s = time.monotonic() + WATCH_S_MAX
        first: dict[int, int] = {}
        reads = 0
        async with Probe(target, place.setting, WAIT_S, rtu=place.rtu) as probe:
            while not job.stopping.is_set() and time.monotonic() < end_s:
                seen = await probe.read(place.unit, place.function, place.address, place.count)
                if seen.code != 0:
                    raise LinkError(f"unit {place.unit}: {seen.text}", "other function, address or fewer registers?")
                words = [int.from_bytes(seen.data[k : k + 2], "big") for k in range(0, len(seen.data), 2)]
                values = dict(zip(range(place.address, place.address + place.count), words, strict=True))
                first = first or values
                reads += 1
                job.progress = {"reads": reads}
                frames = {"request": seen.request.hex(" "), "answer": seen.answer.hex(" ")}
                job.result = {
                    **frames,
                    "registers": _registers(first, values),
                    "guesses": _rows(guesses(first, values)),
                }
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_PERIOD_S):
                        await job.stopping.wait()


def _ignore(_: object) -> None:
    pass


def _scanned(scan: "Scan") -> dict[str, Any]:
    rows = [
        {
            "unit": found.unit,
            "baud": found.setting.baud if found.setting else 0,
            "parity": found.setting.parity if found.setting else "",
            "stop_bits": found.setting.stop_bits if found.setting else 1,
            "function": found.function,
            "said": found.said,
        }
        for found in scan.found
    ]
    return {"found": rows, "noise": scan.noise, "ignores_unit": scan.ignores_unit}


def _identified(found: Identified) -> dict[str, Any]:
    matches = [
        {
            "profile": match.profile.id,
            "vendor": match.profile.vendor,
            "model": match.profile.model,
            "share": round(match.share, 3),
            "evidence": [each._asdict() for each in match.evidence[:EVIDENCE_MAX]],
        }
        for match in found.matches
        if match.weight > 0
    ]
    guessed = {str(function): _rows(rows) for function, rows in found.guesses.items()}
    identity = {str(number): text for number, text in found.identity.items() if text}
    return {"identity": identity, "matches": matches[:MATCHES_MAX], "guesses": guessed}


def _rows(guessed: Any) -> list[dict[str, Any]]:
    return [{**guess._asdict(), "value": _number(guess.value), "reasons": list(guess.reasons)} for guess in guessed]


def _registers(first: dict[int, int], now: dict[int, int]) -> list[dict[str, Any]]:
    """Return every register with the readings of it that are possible, the likeliest first."""
    rows = []
    for address, word in now.items():
        made = [(g.type, g.order, _number(g.value)) for g in candidates(address, first, now)]
        rows.append({"address": address, "word": word, "moved": first[address] != word, "candidates": made})
    return rows


def _number(value: float | str) -> float | str | None:
    return value if isinstance(value, str) or value == value else None  # NaN is not JSON
