"""A simulated site with a positioning source of every kind: its folder starts a gateway, and rows say what is true."""

import asyncio
import math
import time
from pathlib import Path

import numpy as np
import pytest

import drivers
from drivers import Arrival, Geodetic, Link, Positions, Ranges, Sightings, Source
from drivers.linktrack_frames import Stream
from edge_agent.claim import Target, refuse_heard_only
from edge_agent.clock import SystemClock
from edge_agent.config import Config, load_config
from edge_agent.manifest import build_manifest
from edge_agent.position.locator import Locator
from hardware_sim.ble import name_of
from hardware_sim.devices import Floor
from hardware_sim.linktrack import Tag, node2, tag0
from hardware_sim.nmea import truck
from hardware_sim.plan import Anchor, place_of
from hardware_sim.rfid import epc_of
from hardware_sim.sight import Worn
from hardware_sim.site import Site, SiteOptions, build_site, write_site
from hardware_sim.sources import TAG, with_sources
from twin_wire.errors import ConfigError, LinkError
from twin_wire.geodesy import grid_of
from twin_wire.structure import Georeference

PROFILES = Path(drivers.__file__).parent / "profiles"
SECONDS = 7.0
PEOPLE = [
    Worn(TAG, "main-2", 150.0, 0.5),
    Worn(18, "main-2", 160.0, -0.5),
    Worn(19, "main-2", 101.0, 0.0),
    Worn(20, "heading-b", 300.0, 0.0),
]
KINDS = ("linktrack", "dwm1001", "ble-hci", "rfid", "nmea")


def whole_site() -> Site:
    return with_sources(build_site(PROFILES), PROFILES)


def site() -> Site:
    """Return the positioning sources of the demo mine and nothing else."""
    whole = whole_site()
    links = tuple(link for link in whole.links if link.kind in KINDS)
    names = {link.id for link in links}
    return whole._replace(links=links, devices=tuple(device for device in whole.devices if device.link in names))


PLACED = site().anchors


async def listen(source: Source, into: list[Arrival]) -> None:
    """Read as the poll loop does, once a second."""
    clock = SystemClock()
    while True:
        try:
            into += await source.read(clock.monotonic_s() + source.pace().budget_s + 1.0)
        except LinkError:
            continue
        await asyncio.sleep(source.group.period_s)


async def heard_of(config: Config, floor: Floor) -> tuple[dict[str, list[Arrival]], dict[str, Source]]:
    """Return what every link of the folder gave in a few seconds, and its source."""
    clock = SystemClock()
    heard: dict[str, list[Arrival]] = {}
    opened_of: dict[str, Source] = {}
    links: list[Link] = []
    tasks = [asyncio.create_task(line.run()) for line in floor.lines.values()]
    await asyncio.sleep(0.1)
    for link in config.links:
        opened = await drivers.open_link(link.kind, link.options, clock)
        [source] = opened.sources(config.device_options(link.id), config.point_options(link.id))
        heard[link.id], opened_of[link.id] = [], source
        links.append(opened)
        tasks.append(asyncio.create_task(listen(source, heard[link.id])))
    await asyncio.sleep(SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for opened in links:
        await opened.close()
    return heard, opened_of


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("site")
    write_site(site(), folder, SiteOptions())
    return load_config(folder / "gateway.toml")


@pytest.fixture(scope="module")
def heard(config: Config) -> dict[str, list[Arrival]]:
    folder = config.folder
    floor = Floor(site(), folder, 0, 1, lambda: PEOPLE, lambda _answer: None)
    found, opened = asyncio.run(heard_of(config, floor))
    for name, source in opened.items():
        assert source.stats.crc_errors == source.stats.rejected == 0, name
    return found


def rows(arrivals: list[Arrival], kind: type) -> list[Arrival]:
    found = [arrival for arrival in arrivals if isinstance(arrival, kind)]
    assert found
    return found


def straight_m(person: Worn, anchor: Anchor) -> float:
    metres = math.dist(place_of(person.roadway, person.chainage_m), place_of(anchor.roadway, anchor.chainage_m))
    return math.hypot(metres, person.side_m)


@pytest.mark.parametrize("device", ["uwb-2", "dwm-worn"])
def test_ranges_are_the_true_distances_or_longer(heard: dict[str, list[Arrival]], device: str) -> None:
    people = {person.tag: person for person in PEOPLE}
    anchors = {anchor.id: anchor for anchor in PLACED if anchor.device == device}
    errors = []
    for arrival in rows(heard[device], Ranges):
        assert isinstance(arrival, Ranges)
        for tag, anchor, distance_mm in zip(arrival.tag, arrival.anchor_id, arrival.distance_mm, strict=True):
            errors.append(distance_mm / 1000 - straight_m(people[int(tag)], anchors[int(anchor)]))
    assert len(errors) >= 3
    assert min(errors) > -0.5
    assert device == "uwb-2" or abs(float(np.median(errors))) < 0.3
    assert device != "dwm-worn" or {TAG} == {int(t) for a in rows(heard[device], Ranges) for t in a.tag}  # type: ignore[union-attr]


@pytest.mark.parametrize(("device", "tags"), [("dwm-worn", {TAG}), ("dwm-ears", {TAG, 18, 19})])
def test_positions_are_where_the_tags_are(heard: dict[str, list[Arrival]], device: str, tags: set[int]) -> None:
    people, seen = {person.tag: person for person in PEOPLE}, set()
    for arrival in rows(heard[device], Positions):
        assert isinstance(arrival, Positions)
        for tag, *xyz in zip(arrival.tag, arrival.x_mm, arrival.y_mm, arrival.z_mm, strict=True):
            person = people[int(tag)]
            place = [mm / 1000 for mm in xyz]
            assert math.dist(place, place_of(person.roadway, person.chainage_m)) < 1.5
            seen.add(int(tag))
    assert seen == tags


@pytest.mark.parametrize("device", ["ble-1", "ble-2", "ble-3"])
def test_beacons_are_heard_as_strong_as_they_are_near(heard: dict[str, list[Arrival]], device: str) -> None:
    anchor = next(anchor for anchor in PLACED if anchor.device == device)
    names = {name_of(person.tag): person for person in PEOPLE}
    strengths: dict[str, list[float]] = {}
    for arrival in rows(heard[device], Sightings):
        assert isinstance(arrival, Sightings)
        assert set(arrival.anchor_id) == {0}
        assert set(arrival.reference_dbm) == {-59}
        for tag, rssi in zip(arrival.tag, arrival.rssi_dbm, strict=True):
            strengths.setdefault(tag, []).append(float(rssi))
    assert {18} <= {names[tag].tag for tag in strengths} <= {TAG, 18, 19}
    for tag, found in strengths.items():
        expected = -59 - 22 * math.log10(straight_m(names[tag], anchor))
        if expected > -85:  # of a weaker one only the strong moments are heard
            assert float(np.mean(found)) == pytest.approx(expected, abs=4 * 5 / math.sqrt(len(found)))


@pytest.mark.parametrize(("device", "expected"), [("rfid-gate", {(0, 19), (1, 18)}), ("rfid-door", {(0, TAG)})])
def test_readers_see_the_tags_at_their_antennas(
    heard: dict[str, list[Arrival]], device: str, expected: set[tuple[int, int]]
) -> None:
    tags = {epc_of(person.tag).hex().upper(): person.tag for person in PEOPLE}
    found = set()
    for arrival in rows(heard[device], Sightings):
        assert isinstance(arrival, Sightings)
        assert np.isnan(arrival.rssi_dbm).all()
        found |= {(int(anchor), tags[tag]) for anchor, tag in zip(arrival.anchor_id, arrival.tag, strict=True)}
    assert found == expected


def test_the_truck_is_where_and_when_its_receiver_says(heard: dict[str, list[Arrival]]) -> None:
    here = Georeference(latitude_deg=36.07, longitude_deg=120.33, height_m=125.0)
    count = 0
    for arrival in rows(heard["truck"], Geodetic):
        assert isinstance(arrival, Geodetic)
        x, y, _ = grid_of(here, arrival.latitude_deg, arrival.longitude_deg, arrival.height_m)
        for n, time_us in enumerate(arrival.time_us):
            assert abs(time_us / 1e6 - time.time()) < 60
            true = truck(time_us / 1e6)
            assert math.hypot(x[n] - true.x_m, y[n] - true.y_m) < 5 * arrival.sigma_m[n] + 0.05
            assert arrival.rtk[n] in (0, 2, 3)
            count += 1
    assert count >= 2


def test_the_gateway_places_every_tag_where_it_is(config: Config, heard: dict[str, list[Arrival]]) -> None:
    assert config.site.structure is not None
    locator = Locator(config.site.structure, build_manifest(config, "e1", True, "test/1"))
    said = [
        arrival for found in heard.values() for arrival in found if isinstance(arrival, Ranges | Positions | Sightings)
    ]
    true: dict[str, Worn] = {}
    for person in PEOPLE:
        true |= dict.fromkeys((f"tag-{person.tag}", epc_of(person.tag).hex().upper(), name_of(person.tag)), person)
    placed: dict[str, float] = {}
    for arrival in sorted(said, key=lambda arrival: int(arrival.time_us[-1])):
        fixes = locator.feed(arrival)
        for n, tag in enumerate(fixes.tag):
            roadway = config.site.structure.roadways[fixes.roadway[n]].id
            place = place_of(roadway, fixes.chainage_mm[n] / 1000)
            placed[tag] = math.dist(place, place_of(true[tag].roadway, true[tag].chainage_m)) * 1000 / fixes.sigma_mm[n]
    assert {f"tag-{person.tag}" for person in PEOPLE} <= placed.keys()
    assert {name_of(TAG), name_of(18), epc_of(TAG).hex().upper(), epc_of(18).hex().upper()} <= placed.keys()
    assert max(placed.values()) < 4.5, "further off than the spread it gives allows"


def test_frames_of_a_tag_and_of_an_anchor_say_what_they_were_made_from() -> None:
    tag, anchor = tag0(Tag(7, (0.0, 250.123, 0.0, 1.5)), 5, volts=3.65), node2(3, [(11, 40.0), (12, 0.25)], 5)
    own, others = Stream().feed(tag + anchor, 0.0)
    assert own.ranges.tolist() == [[7, 1, 250_123], [7, 3, 1500]]
    assert (own.voltage_mv, own.tags) == (3650, 1)
    assert others.ranges.tolist() == [[11, 3, 40_000], [12, 3, 250]]
    assert (others.voltage_mv, others.tags) == (12_000, 2)


def test_the_demo_mine_with_every_source_has_no_fault_and_no_scan_may_disturb_one(tmp_path: Path) -> None:
    write_site(whole_site(), tmp_path, SiteOptions())
    config = load_config(tmp_path / "gateway.toml")
    assert {link.kind for link in config.links} >= set(KINDS)
    for link in config.links:
        if link.kind in KINDS:
            with pytest.raises(ConfigError, match="nothing may be sent"):
                refuse_heard_only(Target(port=str(link.options["port"])), config)
