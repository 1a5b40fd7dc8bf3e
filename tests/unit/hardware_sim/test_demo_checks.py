"""The demo's promises break when the facts say so, and only then; what could not be seen is not called held."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hardware_sim.demo_checks import Exported, Facts, judge, percentiles, read_export, sensors_of, summary_of

FAULT = {"kind": "missing", "index": -1, "gateway": "gw-1", "epoch": 1, "seq": 7, "text": "statement 7"}


def facts(**changes: Any) -> Facts:
    detail = {"gateways": [{"holes": [], "seq": 9, "state": "live"}], "tree_size": 12}
    verified = {
        "counts": {"entries": 12, "signatures": 12, "receipts": 0, "bodies": 12},
        "faults": [],
        "simulated": True,
    }
    agent = {
        "edge_batches_sent_total": 10.0,
        "edge_receipts_verified_total": 10.0,
        "edge_batches_refused_total": 0.0,
    }
    plain: dict[str, Any] = {
        "seconds": 170.0,
        "sensors": Counter({"dev": 30}),
        "exported": Exported(Counter({"a": 20, "b": 10}), Counter(), 0, 5),
        "device_of": {"a": "dev", "b": "dev"},
        "detail": detail,
        "agent": agent,
        "agent_exit": 0,
        "verified": verified,
        "fan_stop_at_s": 60.0,
        "warning_at_s": 90.0,
        "alarm_at_s": 99.0,
        "alarm_delay_s": 0.1,
        "receive_delays_s": [0.1, 0.2],
        "cut_states": ["late", "live"],
        "cut_happened": True,
        "backlog_s": 4.0,
        "live_after_s": 12.0,
        "mine_late_s": 0.02,
    }
    return Facts(**(plain | changes))


def broken(**changes: Any) -> set[str]:
    return {promise.name for promise in judge(facts(**changes)) if promise.held is False}


def test_when_all_is_well_every_promise_holds() -> None:
    assert all(promise.held for promise in judge(facts()))
    summary = summary_of(facts(), judge(facts()), 1)
    assert summary["held"]
    assert summary["samples_at_sensors"] == summary["samples_in_twin"] == 30
    assert summary["differing_devices"] == {}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"sensors": Counter({"dev": 31})}, {"samples"}),
        ({"sensors": Counter(), "exported": Exported(Counter(), Counter(), 0, 0)}, {"samples"}),
        ({"exported": Exported(Counter({"a": 20, "b": 10}), Counter(), 1, 5)}, {"duplicates"}),
        ({"detail": {"gateways": [{"holes": [[1, 3, 4]], "seq": 9}], "tree_size": 12}}, {"gaps"}),
        ({"verified": facts().verified | {"faults": [FAULT]}}, {"gaps", "proofs"}),
        ({"verified": facts().verified | {"faults": [FAULT | {"kind": "signature"}]}}, {"proofs"}),
        ({"verified": facts().verified | {"simulated": False}}, {"simulated"}),
        ({"agent": facts().agent | {"edge_receipts_verified_total": 9.0}}, {"receipts"}),
        ({"agent": facts().agent | {"edge_batches_refused_total": 1.0}}, {"receipts"}),
        ({"agent": {}}, {"receipts"}),
        ({"agent_exit": 1}, {"agent"}),
        ({"warning_at_s": None}, {"warning before alarm"}),
        ({"alarm_at_s": 80.0}, {"warning before alarm"}),
        ({"alarm_at_s": None, "alarm_delay_s": None}, {"warning before alarm", "alarm delay"}),
        ({"alarm_delay_s": 1.01}, {"alarm delay"}),
        ({"cut_states": ["live"]}, {"cut shown"}),
        ({"cut_happened": False}, {"cut shown", "backlog"}),
        ({"backlog_s": None}, {"backlog"}),
    ],
)
def test_each_promise_breaks_by_its_own_fact(changes: dict[str, Any], names: set[str]) -> None:
    assert broken(**changes) == names


def test_a_difference_of_one_sample_breaks_the_promise_and_says_what_is_on_record() -> None:
    exported = Exported(Counter({"a": 2999}), Counter({"a": 1}), 0, 0)
    (promise,) = (p for p in judge(facts(sensors=Counter({"dev": 3000}), exported=exported)) if p.held is False)
    assert promise.name == "samples"
    assert "1 scans on record as unanswered" in promise.text


def test_a_run_too_short_for_the_story_says_not_reached() -> None:
    short = facts(
        fan_stop_at_s=None, warning_at_s=None, alarm_at_s=None, alarm_delay_s=None, cut_happened=False, backlog_s=None
    )
    unseen = {promise.name for promise in judge(short) if promise.held is None}
    assert unseen == {"warning before alarm", "alarm delay", "cut shown", "backlog"}
    assert summary_of(short, judge(short), 1)["held"]


def test_a_difference_names_its_device() -> None:
    off = facts(sensors=Counter({"dev": 30, "gone": 4}))
    assert summary_of(off, judge(off), 1)["differing_devices"] == {"gone": {"at_sensors": 4, "in_twin": 0}}


def test_an_export_is_counted_by_what_devices_answered() -> None:
    rows = [
        "time_us,time,gateway,point,value,unit,quality,epoch,seq",
        "1,t,gw,a,0.1,%,GOOD,1,1",
        "2,t,gw,a,,%,NO_ANSWER,1,1",
        "2,t,gw,b,9.9,%,OVER_RANGE,1,1",
        "2,t,gw,b,9.9,%,OVER_RANGE,1,2",
        "2,t,gw,gw.cpu,3,%,GOOD,1,1",
    ]

    async def lines() -> AsyncIterator[str]:
        for row in rows:
            yield row

    exported = asyncio.run(read_export(lines(), ["a", "b"]))
    assert exported == Exported(Counter({"b": 2, "a": 1}), Counter({"a": 1}), 1, 1)


def test_samples_at_the_sensors_come_from_buses_alone() -> None:
    units = {"1": {"device": "x", "samples": 7}, "2": {"device": "y", "samples": 0}}
    assert sensors_of({"links": {"bus": {"units": units}, "uwb": {"frames": 9}}}) == Counter({"x": 7})


def test_percentiles_of_few_and_many() -> None:
    assert percentiles([]) == {"p50": None, "p95": None}
    assert percentiles([0.5]) == {"p50": 0.5, "p95": 0.5}
    assert percentiles([n / 100 for n in range(101)]) == {"p50": 0.5, "p95": 0.95}
