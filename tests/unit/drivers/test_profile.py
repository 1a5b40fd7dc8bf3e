"""Profiles are read strictly, with every fault at once, and the ones we ship keep their promises."""

import numpy as np
import pytest

from drivers import load_profile, profile_names
from drivers.modbus.decode import Decoder, Field
from drivers.modbus.pdu import Function, Read
from drivers.modbus.planner import Cost, Rules, plan
from drivers.modbus.reference import golden_faults
from drivers.modbus.rtu import RtuFraming
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


OTHERS = """
[[signal]]
id = "float"
quantity = "count"
unit = "1"
function = 3
address = 40050
type = "f32"
[[signal]]
id = "wide"
quantity = "count"
unit = "1"
function = 3
address = 40060
type = "u64"
[[signal]]
id = "word"
quantity = "status_word"
unit = "1"
function = 3
address = 40052
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
        ("[[20, 29]]", "[[20, 29]]\natomic = [[30, 40], [40, 50]]", "modbus.atomic"),
        ('"u16"', '"u16"\nbit = 16', "signal[0].bits"),
        ('"u16"', '"u16"\nbits = [4, 2]', "signal[0].bits"),
        ('"u16"', '"f32"\nbits = [0, 2]', "signal[0].bits"),
        ('"u16"', '"u16"\nbit = 1\nbits = [0, 2]', "signal[0].bit"),
        ('"u16"', '"f32"\nweights = [1, 2]', "signal[0].weights"),
        ('"u16"', '"u32"\nweights = [4294967296]', "signal[0].weights"),
        ('"u16"', '"u16"\nmultiplier = 0', "signal[0].multiplier"),
        ('"u16"', '"u16"\nwords = { on = "x" }', "signal[0].words"),
        ('"u16"', '"u16"\nexponent = "co"', "signal[0].exponent"),
        ('"u16"', '"u16"\nexponent = "float"', "signal[0].exponent"),
        ('"u16"', '"u16"\nfactor = "nobody"', "signal[0].factor"),
        ("[[signal]]", '[[companion]]\nsignal = "nobody"\nage = true\n[[signal]]', "companion[0].signal"),
        ("[[signal]]", '[[companion]]\nsignal = "float"\n[[signal]]', "companion[0].signal"),
        ("[[signal]]", '[[companion]]\nsignal = "float"\nbits = { 0 = "BAD" }\n[[signal]]', "companion[0].signal"),
        ("[[signal]]", '[[companion]]\nsignal = "word"\nbits = { 16 = "BAD" }\n[[signal]]', "companion[0].bits.16"),
        ("[[signal]]", '[[companion]]\nsignal = "word"\nbits = { 0 = "GOOD" }\n[[signal]]', "companion[0].bits.0"),
        ("[[signal]]", '[[companion]]\nsignal = "word"\nbits = { 0 = "WORSE" }\n[[signal]]', "companion[0].bits[...]"),
        ("[[signal]]", '[[companion]]\nsignal = "wide"\nbits = { 3 = "BAD" }\n[[signal]]', "companion[0].signal"),
        ("[[signal]]", '[[companion]]\nsignal = "word"\nage = true\n[[signal]]', "companion[0].age"),
        ("[[signal]]", '[[companion]]\nsignal = "word"\nalive_s = 1\nof = ["word"]\n[[signal]]', "companion[0].of"),
        ("[[signal]]", '[[text]]\nid = "co"\naddress = 40100\nregisters = 4\n[[signal]]', "text[0].id"),
        ("[[signal]]", '[[text]]\nid = "sn"\naddress = 40025\nregisters = 4\n[[signal]]', "text[0].address"),
        ("[[signal]]", "[[verify]]\naddress = 1\nexpect = 4\n[[signal]]", "verify[0].address"),
        ("[[signal]]", '[[verify]]\naddress = 40001\nexpect = "A"\n[[signal]]', "verify[0].expect"),
    ],
)
def test_each_rule_has_its_fault(old: str, new: str, path: str) -> None:
    assert old in GOOD
    assert path in faults(GOOD.replace(old, new) + OTHERS)


def test_printed_references_name_their_tables() -> None:
    text = GOOD.replace("address_base = 40001", 'address_base = "4xxxx"') + OTHERS.replace(
        "function = 3", "function = 4"
    )
    assert read_profile(text.replace("4005", "3005").replace("4006", "3006").encode(), "x").signals[1].address == 49
    assert "signal[1].address" in faults(text), "40050 is no input register"
    six = text.replace("4xxxx", "4xxxxx").replace("4000", "40000").replace("4005", "30005").replace("4006", "30006")
    assert [signal.address for signal in read_profile(six.encode(), "x").signals] == [7, 49, 59, 51]


def test_a_companion_that_names_nobody_tells_about_every_signal_that_is_no_helper() -> None:
    scaled = GOOD.replace('"u16"', '"u16"\nexponent = "word"')
    more = '[[companion]]\nsignal = "status"\nbits = { 3 = "BAD" }\n' + OTHERS.replace('"float"', '"status"')
    profile = read_profile((scaled + more.replace('"f32"', '"u16"')).encode(), "x")
    assert profile.companions[0].of == ("co", "wide")


def test_bytes_that_are_not_toml_are_one_clear_fault() -> None:
    for data in (b"\xff\xfe", b"[profile", b"x" * (2 << 20), b"x = " + b"[" * 100_000):
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
        assert golden_faults(shipped, golden) == []
        request, answer = bytes.fromhex(golden.request), bytes.fromhex(golden.answer)
        address, length = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        framing = RtuFraming()
        assert framing.begin(Read(request[0], Function(request[1]), address, length)) == request
        assert framing.feed(answer) is not None


def test_the_examples_the_vendors_print_are_among_them() -> None:
    assert load_profile("honeywell-raeguard-3").golden[0].values["o2"] == 20.9
    assert load_profile("vtn4xx").golden[0].values["channel_01"] == 1256.9
    data = np.frombuffer(bytes.fromhex("42200000"), np.uint8)[None, :]  # Dräger, page 28: 40.00
    signal = load_profile("draeger-polytron-8000").signal("co")
    assert signal is not None
    assert Decoder([Field(signal, 0, False)]).decode(data)[0].tolist() == [[40.0]]
