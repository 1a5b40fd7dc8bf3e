"""The instruments that come with the product: every number has its document, every kind of instrument is there."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from drivers import load_profile, profile_names
from drivers.modbus.decode import Decoder, Field
from drivers.profile import PROFILES, Profile

# What a mine's gateway meets, and the quantities a profile of that kind has to give.
KINDS = {
    "Gas": {"CH4", "CO", "H2S", "O2", "CO2"},
    "Air flow and velocity": {"wind_speed", "air_flow"},
    "Pressure": {"differential_pressure"},
    "Dust": {"dust", "pm10"},
    "Temperature and humidity": {"temperature", "humidity"},
    "Weather and barometric pressure": {"pressure", "wind_speed", "wind_direction", "rain"},
    "Rain": {"rain", "rain_intensity"},
    "Noise": {"noise"},
    "Fan and pump drives": {"fan_speed", "current", "flow"},
    "Power meters": {"power", "energy"},
    "Vibrating wire, level, pore pressure": {"frequency", "level", "pressure"},
    "Displacement and tilt": {"displacement", "angle"},
    "Current loops": {"loop_current"},
    "Gateways of gateways": {"data_age"},
}


def table() -> dict[str, list[str]]:
    """Return the rows of the README, by heading."""
    found: dict[str, list[str]] = {}
    kind = ""
    for line in (PROFILES / "README.md").read_text().splitlines():
        if line.startswith("## "):
            kind = line[3:]
        elif line.startswith("| ["):
            found.setdefault(kind, []).append(line)
    return found


def row_of(profile: Profile) -> str:
    quantities = ", ".join(dict.fromkeys(signal.quantity for signal in profile.signals))
    source = profile.provenance[0]
    document = source.document.partition(" (")[0] + (f", {source.page}" if source.page else "")
    instrument = f"[{profile.id}]({profile.id}.toml) | {profile.vendor} {profile.model}"
    return f"| {instrument} | {quantities} | {profile.rung} | {document} |"


def maps() -> list[Profile]:
    """Return the register maps; what talks by itself (positioning, hosts, lines) is described by its driver."""
    return [profile for profile in map(load_profile, profile_names()) if profile.protocol == "modbus"]


def names_in(rows: list[str]) -> list[str]:
    return [Path(row.split("](")[1].split(")")[0]).stem for row in rows]


def test_the_readme_has_the_row_of_every_register_map_and_no_wrong_row() -> None:
    rows = [row for kind in table().values() for row in kind]
    listed = names_in(rows)
    assert len(set(listed)) == len(listed)
    due = {profile.id: profile for profile in [*map(load_profile, listed), *maps()]}.values()
    wrong = [row_of(profile) for profile in due if row_of(profile) not in rows]
    assert not wrong, "rows for drivers/profiles/README.md:\n" + "\n".join(wrong)


def test_every_kind_of_instrument_a_mine_has_is_there_and_at_least_25_real_ones() -> None:
    rows = table()
    real = set[str]()
    for kind, quantities in KINDS.items():
        profiles = [load_profile(name) for name in names_in(rows[kind])]
        assert quantities <= {signal.quantity for profile in profiles for signal in profile.signals}, kind
        real |= {profile.id for profile in profiles}
    assert all(load_profile(name).rung != "simulated" for name in real)
    assert len(real) >= 25


@pytest.mark.parametrize("profile", maps(), ids=lambda profile: profile.id)
def test_a_documented_profile_rests_on_a_page_of_the_makers(profile: Profile) -> None:
    if profile.rung != "simulated":
        assert any(source.page and "third party" not in source.document for source in profile.provenance)


@pytest.mark.parametrize("profile", maps(), ids=lambda profile: profile.id)
def test_signals_that_share_a_register_are_told_apart_by_bits_unit_or_gas(profile: Profile) -> None:
    seen: dict[tuple[object, ...], set[str]] = {}
    for signal in profile.signals:
        place = (signal.function, signal.address, signal.type, signal.field, signal.decimals)
        told = seen.setdefault(place, set())
        assert signal.quantity not in told, f"{signal.id} repeats another signal"
        told.add(signal.quantity)


def test_a_gateway_of_gateways_tells_the_age_of_every_value_it_repeats() -> None:
    for name in names_in(table()["Gateways of gateways"]):
        profile = load_profile(name)
        values = [s for s in profile.signals if s.quantity not in ("data_age", "state")]
        assert values
        assert all(profile.age_of(signal.id) for signal in values)


def decode(name: str, signal_id: str, registers: str) -> float:
    signal = load_profile(name).signal(signal_id)
    assert signal is not None
    data = np.frombuffer(bytes.fromhex(registers), np.uint8)[None, :]
    return float(Decoder([Field(signal, 0, False)]).decode(data)[0][0, 0])


@pytest.mark.parametrize(
    ("name", "signal", "registers", "value"),
    [
        ("oldham-itrans", "co", "FFFB", -5.0),  # user manual 6-2: -5 ppm
        ("pemtech-pt495", "h2s", "0069", 10.5),  # page 33: 10.5 ppm is 105
        ("vaisala-hmp", "humidity", "7AE1 41F4", 30.56),  # Indigo500 guide, page 118: least significant word first
        ("greystone-cmd5b4", "temperature", "00D6", 21.4),  # page 13: 214 is 21.4 °C
        ("monnit-egw4", "temperature_1", "010F", 27.1),  # Serial MODBUS guide, page 10: 271
        ("monnit-egw4", "humidity_1", "14A9", 52.89),  # the same: 5289
        ("monnit-egw4", "climate_1", "0946", 23.74),  # the same: 2374
        ("lambrecht-rain-e", "rain", "D8F1", math.nan),  # page 40: the error code
        ("lambrecht-rain-e", "rain_fine", "FF67 6981", math.nan),  # the same, 32 bits
        ("gill-maximet-gmx600", "wind_speed", "7FFF FFFF", math.nan),  # page 49: cannot be computed
        ("lufft-ws600", "temperature", "7FFF", math.nan),  # page 92: not available
        ("vaisala-wxt530", "temperature", "7FFF", math.nan),
        ("igd-toc-635", "gas_01", "0000", -10.0),  # page 33: 0 = -10 % LEL
        ("igd-toc-635", "gas_16", "04B0", 110.0),  # the same: 1200 = 110 % LEL
        ("codel-tunneltech-700", "opacity", "0064", 1.0),  # page 33
        ("accutron-flowtrax-is", "output", "2EE0", 12.0),  # page 18: 0.001 unit precision
    ],
)
def test_single_numbers_that_documents_print_decode_to_what_they_say(
    name: str, signal: str, registers: str, value: float
) -> None:
    assert decode(name, signal, registers) == pytest.approx(value, nan_ok=True, rel=0, abs=0)


def test_digits_and_the_place_of_the_point_make_the_reading() -> None:
    profile = load_profile("rki-beacon-410")  # page 59: digits in 40005, place of the point in the low byte of 40006
    fields = [Field(s, 2 * (s.address - 4), False) for s in profile.signals if s.id in ("o2_1", "places_1", "sign_1")]
    value, quality = Decoder(fields).decode(np.frombuffer(bytes.fromhex("00D1 0001"), np.uint8)[None, :])
    assert value[:, 0].tolist() == [20.9, -1.0, 0.0]
    assert not quality.any()


def test_addresses_in_slots_follow_the_formula_of_the_document() -> None:
    monnit, rki = load_profile("monnit-egw4"), load_profile("rki-beacon-410")
    for profile, signal, step in ((monnit, "age_{}", 16), (rki, "co_{}", 14)):
        places = [found.address for n in range(1, 9) if (found := profile.signal(signal.format(n)))]
        assert len(places) > 3
        assert {second - first for first, second in pairwise(places)} == {step}
    age = monnit.signal("age_1")
    assert age is not None
    assert age.address == 103  # 40104, page 16
