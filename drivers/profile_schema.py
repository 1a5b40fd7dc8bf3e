"""The tables of a device profile as structs: what each field means, one line each. How they meet: `profile.py`."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from drivers.line_pattern import LineFormat

Address = Annotated[int, Meta(ge=0, le=65535)]
Printed = Annotated[int, Meta(ge=0, le=465_536)]  # as the document prints it, before address_base
Span = tuple[Address, Address]
Place = Annotated[int, Meta(ge=0, le=63)]  # of a bit, 0 is the least significant
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Type = Literal[
    "bool", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64", "bcd16", "bcd32", "bcd48", "bcd64"
]  # fmt: skip
Word = Literal[
    "GOOD", "UNCERTAIN", "CALIBRATING", "BYPASSED", "STUCK", "OVER_RANGE", "UNDER_RANGE", "BAD", "SENTINEL",
    "DEVICE_FAULT",
]  # fmt: skip

PROTOCOLS = ("modbus", "linktrack", "dwm1001", "ble-hci", "rfid", "nmea", "ascii-line", "kj-file")
DECIMALS_MAX = 9  # what the wire can pack
BITS = {
    "bool": 1, "i16": 16, "u16": 16, "i32": 32, "u32": 32, "i64": 64, "u64": 64, "f32": 32, "f64": 64,
    "bcd16": 16, "bcd32": 32, "bcd48": 48, "bcd64": 64,
}  # fmt: skip
REFERENCE_BASES = {  # the first digit of a printed reference names the table
    "4xxxx": {1: 1, 2: 10_001, 3: 40_001, 4: 30_001},
    "4xxxxx": {1: 1, 2: 100_001, 3: 400_001, 4: 300_001},
}


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a number of this profile comes from."""

    document: str
    page: str = ""
    note: str = ""


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which instrument this is and how far the profile has been proven."""

    id: str
    vendor: str
    model: str
    protocol: str  # one of PROTOCOLS, or a kind that an installed package offers
    rung: Literal["documented", "simulated", "interop", "bench", "field"]


class Modbus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to talk to the instrument, and what it does when asked for something it does not like."""

    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    parity: Literal["N", "E", "O"] = "E"
    stop_bits: Literal[1, 2] = 1
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    registers_max: Annotated[int, Meta(ge=1, le=125)] = 125  # Modbus Application Protocol 1.1b3, 6.3
    address_base: Annotated[int, Meta(ge=0, le=400_001)] | Literal["4xxxx", "4xxxxx"] = 0  # see profile.py
    turnaround_ms: Annotated[float, Meta(ge=0, le=120_000)] = 20  # from question to answer, as delivered
    timeout_ms: Annotated[float, Meta(gt=0, le=180_000)] = 300
    forbid: tuple[Span, ...] = ()  # wire addresses never to be read, both ends included
    atomic: tuple[Span, ...] = ()  # wire addresses that are read whole or not at all: a value and its status
    singles: bool = False  # one signal a request: the device refuses or mixes up longer reads
    unmapped: Literal["zero", "ones", "exception", "silence"] = "zero"  # what registers answer that do not exist
    deaf_s: Annotated[float, Meta(ge=0, le=3600)] = 0  # silent so long after power-up


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One quantity: (integer + offset) × multiplier / 10**decimals / divisor, exact; floats the same, then rounded."""

    id: str
    quantity: str
    unit: str
    function: Literal[0, 1, 2, 3, 4] = 0  # 0: the protocol has no registers
    address: Printed = 0  # on the wire once read_profile has taken off address_base
    type: Type = "u16"
    order: Order = "ABCD"  # A is the most significant byte; the same four patterns for 64 bits
    bit: Place | None = None  # one bit of the register(s), 0 the least significant: the value is 0 or 1
    bits: tuple[Place, Place] | None = None  # [lowest, highest] bit of a field; with an i type in two's complement
    weights: tuple[int, ...] = ()  # so many numbers of `type` in a row; integer = their sum, each times its weight
    offset: int = 0  # in steps of the integer
    multiplier: int = 1  # never 0; negative turns the sign
    decimals: Annotated[int, Meta(ge=-DECIMALS_MAX, le=DECIMALS_MAX)] = (
        0  # with a float, exponent or factor: resolution
    )
    divisor: Annotated[int, Meta(ge=1, le=10**9)] = 1
    exponent: str = ""  # id of the signal that holds e: the value is × 10**e
    factor: str | tuple[str, ...] = ""  # id of the signal that holds f: the value is × f; or of several
    sentinels: tuple[int, ...] = ()  # whole registers as integers (or float patterns): Quality.SENTINEL
    range: tuple[float, float] | None = None  # outside: OVER_RANGE or UNDER_RANGE, the number is kept
    words: dict[str, str] = {}  # number → what it says; the value stays the number
    name: str = ""

    @property
    def count(self) -> int:
        """Return how many registers it takes (bits for coils and discrete inputs)."""
        return 1 if self.function in (1, 2) else max(1, BITS[self.type] // 16) * max(1, len(self.weights))

    @property
    def field(self) -> tuple[int, int] | None:
        """Return the lowest and highest bit it takes of its register(s), None for all."""
        return (self.bit, self.bit) if self.bit is not None else self.bits

    @property
    def numerator(self) -> int:
        """Return the whole number the integer is multiplied by."""
        return self.multiplier if self.scaled else self.multiplier * int(10 ** max(0, -self.decimals))

    @property
    def denominator(self) -> int:
        """Return the whole number it is divided by."""
        return self.divisor if self.scaled else self.divisor * int(10 ** max(0, self.decimals))

    @property
    def factors(self) -> tuple[str, ...]:
        """Return the ids of the signals that hold its factors."""
        return self.factor if isinstance(self.factor, tuple) else (self.factor,) if self.factor else ()

    @property
    def scales(self) -> tuple[str, ...]:
        """Return the ids of all signals without which its value is not known."""
        return (self.exponent, *self.factors) if self.exponent else self.factors

    @property
    def scaled(self) -> bool:
        """Tell whether `decimals` only says to what resolution the value is rounded."""
        return bool(self.scales) or self.type in ("f32", "f64")

    @property
    def point_decimals(self) -> int:
        """Return the decimals of the value after the divisor: what the manifest declares."""
        return max(0, self.decimals + (len(str(self.divisor - 1)) if self.divisor > 1 else 0))


class Companion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A register that says how good others are; it is a signal itself, and may be a point too."""

    signal: str  # id of the signal that tells
    of: tuple[str, ...] = ()  # the signals it tells about; left out: every signal that is nobody's companion or scale
    bits: dict[str, Word] = {}  # number of a bit of the value → quality while it is set
    values: dict[str, Word] = {}  # number → quality
    other: Word = "GOOD"  # every number that `values` does not name
    alive_s: Annotated[float, Meta(ge=0, le=86_400)] = 0  # above 0: has to change within this time, else STUCK
    age: bool = False  # it is the age of the data, in its unit of time: the sample's time is moved back by it
    stale_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 0  # with age: data older than this is UNCERTAIN; 0 never


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """ASCII in registers, to know the instrument by (serial number, model); never a point."""

    id: str
    address: Printed
    registers: Annotated[int, Meta(ge=1, le=125)]
    function: Literal[3, 4] = 3
    order: Literal["ABCD", "BADC"] = "ABCD"  # BADC: the first character lies in the low byte
    name: str = ""

    @property
    def count(self) -> int:
        """Return how many registers it takes."""
        return self.registers


class Verify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A register whose content is known beforehand: it proves the profile, the byte order and the address base."""

    address: Printed
    expect: float | tuple[float, float] | str  # the number, [lowest, highest], or what a text begins with
    function: Literal[3, 4] = 3
    type: Type | Literal["text"] = "u16"
    registers: Annotated[int, Meta(ge=1, le=125)] = 1  # of a text
    order: Order = "ABCD"
    decimals: Annotated[int, Meta(ge=-DECIMALS_MAX, le=DECIMALS_MAX)] = 0
    note: str = ""

    @property
    def count(self) -> int:
        """Return how many registers it takes."""
        return self.registers if self.type == "text" else max(1, BITS[self.type] // 16)


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question and answer on the wire (RTU, hex) and the values of signals they give; nan for a sentinel."""

    request: str
    answer: str
    values: dict[str, float]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument, checked; all addresses are wire addresses."""

    id: str
    vendor: str
    model: str
    protocol: str
    rung: str
    provenance: tuple[Provenance, ...]
    modbus: Modbus
    signals: tuple[Signal, ...]
    companions: tuple[Companion, ...] = ()  # `of` is filled in
    texts: tuple[Text, ...] = ()
    verify: tuple[Verify, ...] = ()
    golden: tuple[Golden, ...] = ()
    line: LineFormat | None = None  # of an instrument that prints lines

    @property
    def own_times(self) -> bool:
        """Tell whether every signal comes with a time of its own, so that no two points share a row."""
        return self.protocol == "kj-file"

    def signal(self, name: str) -> Signal | None:
        """Return the signal of that id, None if there is none; of a host: `<signal>:<its code there>`."""
        kind = name.partition(":")[0] if self.own_times else name
        found = next((signal for signal in self.signals if signal.id == kind), None)
        return msgspec.structs.replace(found, id=name) if found is not None and kind != name else found

    def age_of(self, name: str) -> str:
        """Return the id of the signal that holds the age of this one's data, "" if none does."""
        return next((c.signal for c in self.companions if c.age and name in c.of), "")
