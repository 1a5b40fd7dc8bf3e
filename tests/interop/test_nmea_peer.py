"""gpsd, which we did not write, takes the same fixes from the same sentences: ours, and the simulated receiver's."""

import calendar
import json
import subprocess
import time
from typing import Any

import pytest

from drivers.nmea_frames import DAY_S, Stream
from hardware_sim.nmea import geodetic, sentence, sentences, truck
from tests.support.debian import Missing, program

RTK_OF_STATUS = {1: 0, 2: 1, 3: 3, 4: 2}  # gpsd's status → ours: autonomous, differential, RTK fixed, RTK float
MIDNIGHT_S = calendar.timegm((2026, 11, 25, 0, 0, 0))


def decoded(data: bytes) -> list[dict[str, Any]]:
    """Return the position reports of gpsd's decoder."""
    try:
        path, environment = program("gpsdecode")
    except Missing as error:
        pytest.skip(str(error))
    done = subprocess.run([path, "-j"], input=data, capture_output=True, env=environment, timeout=20, check=True)
    reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    return [report for report in reports if report["class"] == "TPV" and report["mode"] >= 2]


def test_gpsd_and_we_read_the_simulated_receiver_alike_over_midnight() -> None:
    qualities = [4, 4, 5, 5, 1, 1, 2, 4, 4, 5, 4, 1]
    data = b""
    for n, quality in enumerate(qualities):
        now_s = MIDNIGHT_S - 6 + n
        data += sentences(*geodetic(truck(now_s)), quality, 0.02, now_s)
    stream = Stream()
    ours = {
        (fix.day or 0) * DAY_S + fix.time_s: fix
        for chunk in (data, b"")
        for fix in stream.feed(chunk, 0.0 if chunk else 1.0)
    }
    theirs = decoded(data)
    assert len(theirs) >= len(qualities) - 2, "it needs a second to find the beat"
    for report in theirs:
        at_s = calendar.timegm(time.strptime(report["time"], "%Y-%m-%dT%H:%M:%S.000Z"))
        fix = ours[at_s]
        assert report["lat"] == pytest.approx(fix.latitude_deg, abs=2e-9)
        assert report["lon"] == pytest.approx(fix.longitude_deg, abs=2e-9)
        assert report["altMSL"] == pytest.approx(fix.height_m, abs=1e-4)
        assert RTK_OF_STATUS[report.get("status", 1)] == fix.rtk


def test_gpsd_and_we_refuse_the_same_sentences() -> None:
    place = "3604.1111,N,12018.2222,E"
    wrong = sentence(f"GPGGA,120001.00,{place},4,17,0.6,31.25,M,8.1,M,,").replace(b"3604", b"3605")
    none = sentence("GPGGA,120001.00,,,,,0,00,99.9,,M,,M,,")
    for data in (wrong, none):
        stream = Stream()
        assert not any(fix.rows for now_s in (0.0, 1.0) for fix in stream.feed(data, now_s))
        assert decoded(data * 3) == []
