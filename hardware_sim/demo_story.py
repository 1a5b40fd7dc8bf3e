"""The demo's story as it unfolds: the fan stops, methane climbs, the link is cut and mended, the backlog arrives."""

import time
from collections.abc import Callable
from typing import Any

from hardware_sim.demo_page import Page
from hardware_sim.demo_setup import Stage

FAN_STOP_S, CUT_AFTER_ALARM_S, CUT_S = 60.0, 3.0, 30.0
ALARM_PATIENCE_S = 60.0  # after the fan stop; the link is cut then even without an alarm
STORY_S = 150.0  # what the whole story needs
POINT, WARNING_SEVERITY, ALARM_SEVERITY = "ch4-a-face", 3, 2
NOTICE_S = 86_400.0


class Plot:
    """Follows one story and remembers when things happened; times in seconds of the story."""

    def __init__(self, stage: Stage, page: Page, say: Callable[[str], None]) -> None:
        self._stage, self._page, self._say = stage, page, say
        self._begun_s, self._begun_us = time.monotonic(), time.time_ns() // 1000
        self._speed = 1.0
        self._cut_s: float | None = None
        self._mended_s: float | None = None
        self.cut_states: list[str] = []  # what the page said of the gateway while the link was cut
        self.backlog_s: float | None = None  # from the mended link to no backlog

    @property
    def now_s(self) -> float:
        """Return the seconds since the story began."""
        return time.monotonic() - self._begun_s

    @property
    def cut_happened(self) -> bool:
        """Tell whether the link has been cut."""
        return self._cut_s is not None

    async def begin(self) -> None:
        """Let the simulator begin the story."""
        await self._stage.mine.post("/scenario", name="fan-stop")
        self._begun_s, self._begun_us = time.monotonic(), time.time_ns() // 1000

    async def follow(self) -> None:
        """Look at everything once and do what is due."""
        await self._follow_speed()
        if self._cut_s is None and self._is_cut_due():
            self._page.states.clear()
            await self._stage.relay.cut()
            self._cut_s = self.now_s
            self._say(f"the link to the server is cut for {CUT_S:.0f} s; the gateway keeps reading and sealing")
        elif self._cut_s is not None and self._mended_s is None and self.now_s - self._cut_s > CUT_S:
            await self.mend()
        elif self._mended_s is not None and self.backlog_s is None and await self.caught_up():
            self.backlog_s = self.now_s - self._mended_s
            self._say(f"the backlog is in after {self.backlog_s:.1f} s: no hole in the log")

    async def mend(self) -> None:
        """Bring a cut link back."""
        if self._cut_s is None or self._mended_s is not None:
            return
        self.cut_states = sorted(self._page.states)
        await self._stage.relay.mend()
        self._mended_s = self.now_s
        self._say(f"the link is back; meanwhile the page said of the gateway: {', '.join(self.cut_states)}")

    async def caught_up(self) -> bool:
        """Tell whether the server has everything up to now, without a hole."""
        gateway = (await self._page.get())["gateways"][0]
        state = await self._stage.agent_state()
        return bool(gateway["state"] == "live" and not gateway["holes"] and state is not None and state["unsent"] <= 1)

    def first(self, severity: int) -> dict[str, Any] | None:
        """Return the story point's first alarm at least so urgent that began in this story."""
        found = [
            alarm
            for alarm in self._page.alarms.values()
            if alarm["point"].rpartition(":")[2] == POINT
            and alarm["rule"].startswith("limit_high")
            and 1 <= alarm["severity"] <= severity
            and alarm["begin_us"] >= self._begun_us
        ]
        return min(found, key=lambda alarm: int(alarm["begin_us"]), default=None)

    def begun_at_s(self, severity: int) -> float | None:
        """Return when in the story that alarm's condition began, None if it never did."""
        alarm = self.first(severity)
        return None if alarm is None else round((alarm["begin_us"] - self._begun_us) / 1e6, 2)

    def delay_s(self, severity: int) -> float | None:
        """Return the seconds from the poll that saw the limit crossed to the page, None without an alarm."""
        alarm = self.first(severity)
        return None if alarm is None else round((self._page.seen_us[alarm["id"]] - alarm["begin_us"]) / 1e6, 3)

    def _is_cut_due(self) -> bool:
        alarm = self.first(ALARM_SEVERITY)
        if alarm is None:
            return self.now_s > FAN_STOP_S + ALARM_PATIENCE_S
        return time.time_ns() / 1e9 - self._page.seen_us[alarm["id"]] / 1e6 > CUT_AFTER_ALARM_S

    async def _follow_speed(self) -> None:
        speed = (await self._stage.mine.get("/status"))["speed"]
        if speed == self._speed:
            return
        self._speed = speed
        if speed > 1:
            self._say(f"the local fan of heading A has stopped; the simulated world now runs ×{speed:g}")
            text = f"Simulated world runs ×{speed:g}; wire time is real. 模拟世界以 {speed:g} 倍速运行，采集时间真实。"
            await self._page.put_notice("world", text, speed, NOTICE_S)
        else:
            self._say("the fan runs again, the air is clean; the simulated world is back at its own pace")
            await self._page.put_notice("world", "", 1.0, 1.0)
