"""Profiles bent at random: both readers refuse them by name or take them; what is taken decodes and can be shown."""

import contextlib
import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import hardware_sim.profile as sim
from drivers.modbus.companions import Companions, Scales, helpers_of
from drivers.modbus.decode import Decoder, Field
from drivers.profile import PROFILES, Profile, read_profile
from hardware_sim.encoding import encode, raw_of
from hardware_sim.registers import Registers
from twin_wire.errors import ConfigError

TEXTS = {path.stem: path.read_text() for path in sorted(PROFILES.glob("*.toml")) if path.stat().st_size < 20_000}
NUMBERS = (
    "0",
    "-1",
    "1",
    "15",
    "16",
    "63",
    "64",
    "255",
    "40001",
    "65535",
    "131072",
    "1e308",
    "-9",
    "9223372036854775808",
)
WORDS = ("f64", "bcd48", "bool", "i64", "DCBA", "4xxxx", "BAD", "silence", "status", "", "nobody", "text")
FIELDS = (
    "bit = 3",
    "bits = [0, 3]",
    "bits = [7]",
    "weights = [1000, 1]",
    "offset = -5",
    "multiplier = -1",
    "divisor = 7",
    "sentinels = [65535]",
    "words = { 1 = 'x' }",
    "range = [0.0, 1.0]",
    "exponent = 'status'",
    "factor = 'units'",
    "decimals = -2",
)


def bent(text: str, rng: random.Random) -> str:
    """Return the text with a few places changed, still mostly TOML."""
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(4)
        lines = text.splitlines()
        if kind == 0:
            places = list(re.finditer(r"(?<=[ \[=])-?\d+(\.\d+)?", text))
            place = rng.choice(places)
            text = text[: place.start()] + rng.choice(NUMBERS) + text[place.end() :]
        elif kind == 1:
            places = list(re.finditer(r'(?<== ")[^"]*', text))
            place = rng.choice(places)
            text = text[: place.start()] + rng.choice(WORDS) + text[place.end() :]
        elif kind == 2:
            del lines[rng.randrange(len(lines))]
            text = "\n".join(lines)
        else:
            rows = [n for n, line in enumerate(lines) if line.startswith("quantity")]
            if rows:
                lines.insert(rng.choice(rows), rng.choice(FIELDS))
            text = "\n".join(lines)
    return text


def decode_everything(profile: Profile, rng: random.Random) -> None:
    signals = [*profile.signals, *helpers_of(profile, profile.signals)]
    size = max(8 * max(1, signal.count) for signal in signals)
    scans = np.frombuffer(rng.randbytes(3 * size), np.uint8).reshape(3, size)
    value, quality = Decoder([Field(signal, 0, bool(rng.randrange(2))) for signal in signals]).decode(scans)
    assert value.shape == quality.shape == (len(signals), 3)
    assert np.isnan(value[quality >= 32]).all(), "from BAD on there is no number"
    assert np.isfinite(value[quality < 32]).all(), "below BAD there is one"
    one, code = value[:, :1].copy(), quality[:, :1].copy()
    Scales(signals).check(one, code, ())
    Companions(profile, signals, 0.0).judge(one, code, 0.0)
    assert np.isnan(one[code >= 32]).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_bent_profile_is_refused_by_name_or_works(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    taken = 0
    for turn in range(150):
        name = rng.choice(list(TEXTS))
        text = bent(TEXTS[name], rng)
        path = tmp_path / f"{turn}.toml"
        path.write_text(text)
        profile = None
        with contextlib.suppress(ConfigError):
            profile = read_profile(text.encode(), name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if profile is not None and profile.protocol == "modbus":
                taken += 1
                decode_everything(profile, rng)
                show_everything(sim.read_profile(path), rng)  # the other reader takes what the strict one does
            else:
                with contextlib.suppress(ConfigError):
                    sim.read_profile(path)
    assert taken > 10


def show_everything(profile: sim.Profile, rng: random.Random) -> None:
    registers = Registers(profile, lambda: 0.0)
    for signal in profile.signals.values():
        value = rng.choice((0.0, float("nan"), -1.5, 1e9, 12.34))
        words = encode(signal, raw_of(signal, value))
        assert all(0 <= word <= 0xFFFF for word in words)
        if value == value:
            registers.show(signal.id, value)
