"""From recorded traffic to a proposal: which profile a unit fits, a draft for what nobody knows, lines for points.csv.

Nothing here is documented by anybody: a draft says in its provenance that it was learned from traffic, and every value
carries the evidence it rests on. A person compares with the instrument's display before it is used.
"""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from drivers import Profile, load_profile, profile_names
from drivers.capture import Capture, CaptureHead, read_capture
from drivers.line import char_time_s, silence_s
from drivers.modbus.decode import brings
from drivers.modbus.learn import Match, Meaning, Survey, match_profile
from drivers.profile import read_profile
from edge_agent.mapping import Place, point_rows
from twin_wire.errors import ConfigError, FormatError

FIT = 0.6  # a profile above is proposed, if nothing speaks against it
UNUSED = "always holds what unused registers hold"
RESOLUTION = 3  # decimals of a float nobody has described
PERIOD_S = (0.5, 3600.0)
MATCHES_SHOWN = 3


class Unit(NamedTuple):
    """What was learned of one unit: the profile proposed (None: a draft), other fits, and the meaning of registers."""

    number: int
    period_s: float
    proposed: Profile | None
    matches: tuple[Match, ...]
    meanings: tuple[Meaning, ...]


class Lesson(NamedTuple):
    """What a capture teaches."""

    head: CaptureHead
    survey: Survey
    units: tuple[Unit, ...]
    cut: bool


def load_recording(path: Path) -> Capture:
    """Return the capture in a file; ConfigError if there is none, FormatError if it is none."""
    try:
        with path.open("rb") as file:
            return read_capture(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", faults=((str(path), str(error.strerror)),)) from error


def learn(capture: Capture) -> Lesson:
    """Return what the traffic of a capture teaches; FormatError if there is not one whole question in it."""
    head = capture.head
    char_s = char_time_s(head.baud, head.parity, head.stop_bits)
    survey = Survey(char_s, silence_s(head.baud, char_s))
    for piece in capture.pieces:
        if piece.lost:
            survey.lost()
        else:
            survey.feed(piece.data, piece.offset_us / 1e6)
    if capture.pieces:
        survey.settle(capture.pieces[-1].offset_us / 1e6 + 1)
    if not survey.asked():
        raise FormatError(
            "no whole question of a Modbus master is in this capture",
            "recorded with another baud or parity? A and B swapped? no master running?",
        )
    # What the simulator's own instruments are made of hangs on no real bus.
    profiles = [p for p in map(load_profile, profile_names()) if p.protocol == "modbus" and p.rung != "simulated"]
    return Lesson(head, survey, tuple(_unit(survey, number, profiles) for number in survey.units()), capture.cut)


def _unit(survey: Survey, number: int, profiles: list[Profile]) -> Unit:
    found = [(match, profile) for profile in profiles if (match := match_profile(survey, number, profile)) is not None]
    found.sort(key=lambda pair: -pair[0].score)
    fits = bool(found) and found[0][0].score >= FIT and found[0][0].good == found[0][0].asked
    clear = fits and (len(found) == 1 or found[1][0].score < found[0][0].score)
    periods = [asked.period_s for asked in survey.asked() if asked.request.unit == number and asked.period_s > 0]
    period_s = min(max(round(max(periods, default=1.0), 1), PERIOD_S[0]), PERIOD_S[1])
    matches = tuple(match for match, _ in found[:MATCHES_SHOWN])
    return Unit(number, period_s, found[0][1] if clear else None, matches, tuple(survey.readings(number)))


def draft_id(unit: int) -> str:
    """Return the id of the profile that is drafted for a unit."""
    return f"learned-unit-{unit}"


def draft_profile(lesson: Lesson, unit: Unit) -> str:
    """Return the TOML of a profile for a unit no profile fits; every number in it is a guess and says so."""
    head = lesson.head
    day = datetime.fromtimestamp(head.started_us / 1e6, UTC).date().isoformat()
    lines = [
        f"# Learned from the traffic of {day}: what a master reads of unit {unit.number}. Guesses: compare",
        "# every value with the instrument's display, then write its quantity, unit, decimals and range, and the page.",
        "[profile]",
        f"id = {json.dumps(draft_id(unit.number))}",
        'vendor = "unknown"',
        'model = "unknown"',
        'protocol = "modbus"',
        'rung = "simulated"  # made up here: no document and no instrument has proven it',
        "[[provenance]]",
        f"document = {json.dumps(f'learned from traffic of {day}')}",
        f"note = {json.dumps(f'heard at {head.port}; types and orders are guesses from the values seen')}",
        "[modbus]",
        f"baud = {head.baud}",
        f"parity = {json.dumps(head.parity)}",
        f"stop_bits = {head.stop_bits}",
        f"unit = {unit.number}",
    ]
    for meaning in _known(unit):
        lines += [
            "[[signal]]",
            f"id = {json.dumps(signal_id(meaning))}",
            f"name = {json.dumps(f'seen {meaning.low:g} to {meaning.high:g}')}",
            'quantity = "count"  # not known',
            'unit = "1"',
            f"function = {meaning.function}",
            f"address = {meaning.address}",
            f"type = {json.dumps(meaning.type)}",
            f"order = {json.dumps(meaning.order)}  # {'; '.join(meaning.evidence)}",
        ]
        if meaning.type == "f32":
            lines.append(f"decimals = {RESOLUTION}")
    text = "\n".join(lines) + "\n"
    read_profile(text.encode(), draft_id(unit.number))
    return text


def signal_id(meaning: Meaning) -> str:
    """Return the id of a signal in a draft."""
    return f"{'b' if meaning.type == 'bool' else 'r'}{meaning.function}_{meaning.address}"


def _known(unit: Unit) -> list[Meaning]:
    return [meaning for meaning in unit.meanings if UNUSED not in meaning.evidence]


def proposal(lesson: Lesson, folder: Path) -> dict[str, str]:
    """Return file name → text: drafts, points.csv, and the tables for gateway.toml that read them by listening."""
    files: dict[str, str] = {}
    head = lesson.head
    port = f"port = {json.dumps(head.port)}"
    if ":" in head.port and not head.port.startswith("/"):
        host, _, number = head.port.rpartition(":")
        port = f"host = {json.dumps(host)}\ntcp_port = {number}"
    tables = [
        "# to be put into gateway.toml: the bus goes on being polled by its own master, this gateway only listens\n"
        f'[[link]]\nid = "heard"\nkind = "modbus-tap"\n{port}\nbaud = {head.baud}\n'
        f'parity = "{head.parity}"\nstop_bits = {head.stop_bits}\n'
    ]
    rows: list[dict[str, str]] = []
    for unit in lesson.units:
        profile = unit.proposed
        name = profile.id if profile else ""
        if profile is None:
            if not _known(unit):
                continue
            text = draft_profile(lesson, unit)
            files[f"{draft_id(unit.number)}.toml"] = text
            profile = read_profile(text.encode(), draft_id(unit.number))
            name = str(folder.resolve() / f"{draft_id(unit.number)}.toml")
        device = f"unit-{unit.number}"
        tables.append(
            f'[[device]]\nid = "{device}"\nlink = "heard"\nprofile = {json.dumps(name)}\n'
            f"unit = {unit.number}\nperiod_s = {unit.period_s:g}\n"
        )
        asked = [a.request for a in lesson.survey.asked() if a.request.unit == unit.number and a.answered]
        heard = [signal for signal in profile.signals if any(brings(request, signal) for request in asked)]
        rows += point_rows(device, heard, Place())
    files["gateway-tap.toml"] = "\n".join(tables)
    files["points.csv"] = _csv(rows)
    return files


def _csv(rows: list[dict[str, str]]) -> str:
    out = io.StringIO()
    columns = list(dict.fromkeys(column for row in rows for column in row)) or ["point", "device", "signal"]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_proposal(lesson: Lesson, folder: Path) -> list[Path]:
    """Write the proposal into a folder; ConfigError rather than write over a file that is there."""
    files = proposal(lesson, folder)
    folder.mkdir(parents=True, exist_ok=True)
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise ConfigError(
            f"{folder} holds {', '.join(there)} already", "choose another folder", ((str(folder), "is not empty"),)
        )
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]
