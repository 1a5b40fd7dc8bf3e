"""`edge-agent learn`: what a recorded bus teaches about its devices."""

import argparse
from pathlib import Path

from drivers.modbus.learn import Meaning
from edge_agent.commands.say import say
from edge_agent.learn import Lesson, Unit, draft_id, learn, load_recording, write_proposal

EPILOG = """examples:
  edge-agent record /dev/ttyUSB0 --baud 9600 --out bus.capture
  edge-agent learn bus.capture                 the questions, the profiles that fit, the registers with the evidence
  edge-agent learn bus.capture --out proposal  and write points.csv, gateway-tap.toml and drafts of profiles there

Meanings are guesses. Compare each with the instrument's display; a draft says that nobody has documented it.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the capture and where the proposal goes."""
    parser.epilog = EPILOG
    parser.add_argument("capture", type=Path, help="what edge-agent record wrote")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the proposal there")


def run(given: argparse.Namespace) -> int:
    """Learn and tell; 0 if there was anything to learn."""
    lesson = learn(load_recording(given.capture))
    _tell_bus(lesson)
    for unit in lesson.units:
        _tell_unit(unit)
    if given.out:
        say()
        for path in write_proposal(lesson, given.out):
            say(f"wrote {path}")
        say("next: compare with the displays, then put the tables into gateway.toml and run edge-agent check")
    return 0


def _tell_bus(lesson: Lesson) -> None:
    counts = lesson.survey.counts
    tied = counts.paired / counts.requests if counts.requests else 0.0
    say(
        f"{counts.requests} questions of a master, {counts.answers} answers, {tied:.1%} of the questions tied to theirs"
    )
    doubts = {
        "without an answer": counts.unanswered,
        "answers without their question": counts.orphans,
        "late answers": counts.late,
        "that could belong to two questions": counts.ambiguous,
        "damaged": counts.damaged,
        "too slow to be sure": counts.slow,
        "refused": counts.exceptions,
        "writes of the master": counts.writes,
        "bytes of noise": counts.noise_bytes,
    }
    say("  " + ", ".join(f"{number} {what}" for what, number in doubts.items() if number))
    if lesson.cut:
        say("  the recording breaks off in the middle of a line")
    say()
    say("unit  function  address  length  period s  asked  answered  refused")
    for row in lesson.survey.asked():
        ask = row.request
        say(
            f"{ask.unit:4}  {int(ask.function):8}  {ask.address:7}  {ask.length:6}  {row.period_s:8.2f}  "
            f"{row.asked:5}  {row.answered:8}  {row.refused:7}"
        )


def _tell_unit(unit: Unit) -> None:
    say()
    proposed = f"profile {unit.proposed.id}" if unit.proposed else f"no profile: a draft, {draft_id(unit.number)}"
    say(f"unit {unit.number}: {proposed}")
    for match in unit.matches:
        say(f"  {match.profile}: {match.score:.2f}, {match.good} of {match.asked} signals read are plausible")
        for evidence in match.evidence:
            say(f"    {evidence}")
    if unit.proposed is None:
        for meaning in unit.meanings:
            say(f"  {_text(meaning)}")
            say(f"    {'; '.join(meaning.evidence)}")


def _text(meaning: Meaning) -> str:
    where = f"{meaning.function}/{meaning.address}"
    order = f" {meaning.order}" if meaning.size > 1 else ""
    scaled = ""
    if meaning.type in ("u16", "i16") and meaning.low != meaning.high:
        tens = [f"÷{by}: {meaning.low / by:g} to {meaning.high / by:g}" for by in (10, 100)]
        scaled = f"  ({', '.join(tens)})"
    return f"{where:8}  {meaning.type}{order}  {meaning.low:g} to {meaning.high:g}, last {meaning.newest:g}{scaled}"
