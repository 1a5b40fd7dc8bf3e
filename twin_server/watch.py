"""What only the server can see of a gateway: whether it speaks, how far behind it is, where its clock stands. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from twin_server.alarms import SERVER, Book
from twin_server.store.rows import Gateway as GatewayRow
from twin_server.store.rows import StoredEvent
from twin_server.twin import CLOCK_SLACK_US, NO_TIME_US, Gateway, Twin

SECOND_US = 1_000_000
PERIOD_US = 10 * SECOND_US  # a gateway seals every 10 s …
WATCHED_PERIOD_US = SECOND_US  # … and every second once it has heard that somebody watches
HEARD_US = 15 * SECOND_US  # by then it has heard it
BEHIND_US = 60 * SECOND_US  # newest data older than this: catching up, not live
LATE_US = 120 * SECOND_US
STATES = ("live", "backfilling", "late", "silent")  # rising concern


class Condition(NamedTuple):
    """Something the server holds true of a gateway now; begin_us is when it began, if that is known by itself."""

    gateway: str
    rule: str  # silent, late, clock
    begin_us: int
    severity: int
    numbers: dict[str, float]
    text: str


def period_us(watched_since_us: int | None, now_us: int) -> int:
    """Return how often gateways are expected to send; `watched_since_us` None: nobody watches."""
    heard = watched_since_us is not None and now_us - watched_since_us > HEARD_US
    return WATCHED_PERIOD_US if heard else PERIOD_US


def late_after_us(period_us: int) -> int:
    """Return after how long without a word a gateway is late: three periods and the way."""
    return 3 * period_us + 2 * SECOND_US


def silent_after_us(period_us: int, silent_us: int) -> int:
    """Return after how long without a word a gateway is shown as silent: sooner while somebody watches."""
    return silent_us if period_us == PERIOD_US else min(silent_us, 16 * period_us)


def state(gateway: Gateway, missing: int, now_us: int, period_us: int, silent_us: int) -> str:
    """Return live, late, silent or backfilling; `missing` statements are known to exist and are not here yet."""
    unheard_us = now_us - gateway.last_received_us
    if unheard_us > silent_after_us(period_us, silent_us):
        return "silent"
    if unheard_us > late_after_us(period_us):
        return "late"
    if missing or (gateway.last_event_us != NO_TIME_US and now_us - gateway.last_event_us > BEHIND_US):
        return "backfilling"
    return "live"


def state_at(last_event_us: int, at_us: int) -> str:
    """Return what a replay shows of a gateway: live while its readings reach up to the time shown, else late."""
    return "live" if at_us - last_event_us <= late_after_us(PERIOD_US) else "late"


def worst(states: list[str]) -> str:
    """Return the state of an enterprise from those of its gateways; silent when it has none."""
    return max(states, key=STATES.index, default="silent")


def holes(row: GatewayRow | None) -> list[tuple[int, int, int]]:
    """Return the (epoch, first, last) numbers missing below what was received in the newest epoch."""
    if row is None:
        return []
    found, last = [], row.seq
    for epoch, first, end in sorted(row.above):
        if epoch == row.epoch:
            if first > last + 1:
                found.append((epoch, last + 1, first - 1))
            last = max(last, end)
    return found


def missing(row: GatewayRow | None) -> int:
    """Return how many statements lie in the holes."""
    return sum(last - first + 1 for _, first, last in holes(row))


def conditions(twin: Twin, now_us: int, started_us: int, silent_us: int) -> list[Condition]:
    """Return what holds now and has to be on record; after our own start every gateway has time to speak first."""
    found = []
    for name, gateway in sorted(twin.gateways.items()):
        unheard_us = now_us - gateway.last_received_us
        if unheard_us > silent_us:
            if now_us - started_us > silent_us:
                since_us = gateway.last_received_us
                text = f"Nothing has been received from gateway {name} since then"
                found.append(Condition(name, "silent", since_us, 2, {"unheard_s": round(unheard_us / 1e6)}, text))
            continue
        behind_us = now_us - gateway.last_event_us
        if gateway.last_event_us != NO_TIME_US and behind_us > LATE_US:
            text = f"Gateway {name} sends, but its newest reading is more than {LATE_US // SECOND_US} s old"
            found.append(Condition(name, "late", now_us, 3, {"behind_s": round(behind_us / 1e6)}, text))
        received_us, _, _, delay_us = gateway.newest
        if delay_us < -CLOCK_SLACK_US:
            text = f"The clock of gateway {name} runs ahead of the server's"
            found.append(Condition(name, "clock", received_us, 3, {"ahead_s": round(-delay_us / 1e6, 3)}, text))
    return found


def words(book: Book, twin: Twin, now: list[Condition], now_us: int) -> Iterator[StoredEvent]:
    """Yield what has to be logged: begins of conditions not in the book, ends of those that hold no more."""
    open_now = {(word.gateway, word.rule): word for word in _open(book)}
    holds = {(each.gateway, each.rule) for each in now}
    for each in now:
        if (each.gateway, each.rule) not in open_now:
            yield _word(each, now_us)
    for (name, rule), word in open_now.items():
        gateway = twin.gateways.get(name)
        if (name, rule) in holds or gateway is None:
            continue
        # What a gateway does while it is silent nobody knows: the other conditions wait for its next word.
        if rule != "silent" and (name, "silent") in holds:
            continue
        ended_us = gateway.last_received_us if rule == "silent" else now_us
        if ended_us > word.begin_us:
            yield word._replace(end_us=ended_us, updated_us=now_us)


def _open(book: Book) -> Iterator[StoredEvent]:
    for (_, point, _), series in book.words.items():
        if not point:
            yield from (word for word in series if word.detector == SERVER and word.end_us == 0)


def _word(each: Condition, now_us: int) -> StoredEvent:
    return StoredEvent(
        gateway=each.gateway,
        point="",
        rule=each.rule,
        begin_us=each.begin_us,
        end_us=0,
        severity=each.severity,
        detector=SERVER,
        numbers=each.numbers,
        text=each.text,
        epoch=0,
        seq=0,
        index=-1,
        received_us=now_us,
        updated_us=now_us,
    )
