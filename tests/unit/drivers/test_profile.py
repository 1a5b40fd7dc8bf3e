"""Profiles are read strictly, with every fault at once, and the ones we ship keep their promises."""

import math

import numpy as np
import pytest

from drivers import load_profile, profile_names
from drivers.modbus.decode import Decoder, Field
from drivers.modbus.pdu import Function, Read
from drivers.modbus.planner import Cost, Rules, plan
from drivers.modbus.rtu import RtuFraming, is_whole
from drivers.profile import Profile, read_profile
from twin_wire.errors import ConfigError
from twin_wire.quantity import fits

GOOD = """
[profile]
id = "x"
vendor = "v"
model = "m"
protocol = "modbus"
rung = "documented"
[[provenance]]
document = "d"
[modbus]
address_base = 40001
forbid = [[20, 29]]
[[signal]]
id = "co"
quantity = "CO"
unit = "ppm"
function = 3
address = 40008
type = "u16"
"""


def faults(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        read_profile(text.encode(), "x")
    return dict(caught.value.faults)


def test_addresses_are_those_of_the_wire_after_the_base() -> None:
    assert read_profile(GOOD.encode(), "x").signals[0].address == 7


def test_every_fault_is_reported_with_its_path() -> None:
    broken = GOOD.replace('"documented"', '"perhaps"').replace("[[20, 29]]", "[[20]]").replace("= 3", "= 6")
    found = faults(broken + 'colour = "red"\n[[signal]]\nid = 7\n[strange]\n')
    assert found.keys() >= {
        "profile.rung",
        "modbus.forbid[0]",
        "signal[0].function",
        "signal[0].colour",
        "signal[1].id",
        "signal[1].quantity",
        "strange",
    }


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('"x"', '"y"', "profile.id"),
        ("[[provenance]]\n", "[[golden]]\nrequest='zz'\nanswer=''\nvalues={}\n[[provenance]]\n", "golden[0].request"),
        ('unit = "ppm"', 'unit = "m"', "signal[0].unit"),
        ('"CO"', '"caramel"', "signal[0].unit"),
        ("40008", "40", "signal[0].address"),
        ("40008", "40021", "signal[0].address"),
        ('"u16"', '"bool"', "signal[0].type"),
        ('"u16"', '"u16"\nsentinels = [65536]', "signal[0].sentinels[0]"),
        ('"u16"', '"u16"\nrange = [5.0, 5.0]', "signal[0].range"),
        ('"u16"', '"u16"\ndecimals = 5\ndivisor = 100000', "signal[0].decimals"),
        ("[[20, 29]]", "[[29, 20]]", "modbus.forbid[0]"),
        ("[[20, 29]]", "[[20, 29]]\natomic = [[10, 30]]", "modbus.atomic[0]"),
        ('[[provenance]]\ndocument = "d"\n', "", "provenance"),
    ],
)
def test_each_rule_has_its_fault(old: str, new: str, path: str) -> None:
    assert old in GOOD
    assert path in faults(GOOD.replace(old, new))


def test_bytes_that_are_not_toml_are_one_clear_fault() -> None:
    for data in (b"\xff\xfe", b"[profile", b"x" * (2 << 20)):
        with pytest.raises(ConfigError):
            read_profile(data, "x")


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no profile") as caught:
        load_profile("../../../etc/passwd")
    assert "vaisala-wxt530" in caught.value.hint


@pytest.fixture(params=profile_names())
def shipped(request: pytest.FixtureRequest) -> Profile:
    return load_profile(request.param)


def test_a_shipped_profile_names_its_documents(shipped: Profile) -> None:
    assert all(source.document for source in shipped.provenance)
    if shipped.rung != "simulated":
        assert all(source.page or source.note for source in shipped.provenance)
    assert all(fits(signal.quantity, signal.unit) for signal in shipped.signals)


def test_a_shipped_profile_can_be_planned_at_any_speed(shipped: Profile) -> None:
    modbus = shipped.modbus
    for function in {signal.function for signal in shipped.signals} & {3, 4}:
        items = [(signal.address, signal.count) for signal in shipped.signals if signal.function == function]
        for turnaround_s in (0.001, 0.05, 1.0):
            rules = Rules(modbus.registers_max, modbus.forbid, modbus.atomic)
            requests = plan(items, Cost(turnaround_s, 0.002), rules)
            assert all(length <= modbus.registers_max for _, length in requests)


def test_its_golden_frames_hold_and_decode_to_their_values(shipped: Profile) -> None:
    for golden in shipped.golden:
        request, answer = bytes.fromhex(golden.request), bytes.fromhex(golden.answer)
        assert is_whole(request)
        assert is_whole(answer)
        address, length = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        framing = RtuFraming()
        assert framing.begin(Read(request[0], Function(request[1]), address, length)) == request
        reply = framing.feed(answer)
        assert reply is not None
        data = np.frombuffer(reply.data, np.uint8)
        bits = request[1] in (1, 2)
        if bits:
            data = np.unpackbits(data, bitorder="little")
        signals = [shipped.signal(name) for name in golden.values]
        fields = [Field(s, (s.address - address) * (1 if bits else 2), False) for s in signals if s is not None]
        value, quality = Decoder(fields).decode(data[None, :])
        for (name, expected), got, code in zip(golden.values.items(), value[:, 0], quality[:, 0], strict=True):
            assert got == expected or (math.isnan(got) and math.isnan(expected) and code), name


def test_the_examples_the_vendors_print_are_among_them() -> None:
    assert load_profile("honeywell-raeguard-3").golden[0].values["o2"] == 20.9
    assert load_profile("vtn4xx").golden[0].values["channel_01"] == 1256.9
    data = np.frombuffer(bytes.fromhex("42200000"), np.uint8)[None, :]  # Dräger, page 28: 40.00
    signal = load_profile("draeger-polytron-8000").signal("co")
    assert signal is not None
    assert Decoder([Field(signal, 0, False)]).decode(data)[0].tolist() == [[40.0]]
