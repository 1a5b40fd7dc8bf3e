"""The metal mine on paper: a decline, two stopes, a workshop and a raise; its instruments, and what may befall it."""

from collections.abc import Mapping

from hardware_sim.catalogue import DevicePlan, LinkPlan, PointPlan, Sensor
from hardware_sim.labelled import ANY_SITE, GAS_SITE, Pick, Recipe, Target, Targets, lasting
from hardware_sim.plan import Junction, Layout, Roadway, Zone
from hardware_sim.scenarios import Action

LINKS = (
    LinkPlan("gas", "modbus-rtu", 9600),
    LinkPlan("air", "modbus-rtu", 9600),
    LinkPlan("plc", "modbus-tcp"),
)
LAYOUT = Layout(
    "underground",
    "own grid, z from the portal",
    (
        Junction("j-portal", 0, 0, 0),
        Junction("j-400", 1400, 0, -200),
        Junction("j-500", 2100, 80, -300),
        Junction("j-s1-face", 2100, 420, -298),
        Junction("j-s2-face", 2520, 80, -298),
        Junction("j-shop-end", 1400, -160, -199),
        Junction("j-raise", 2300, 300, -296),
        Junction("j-raise-top", 2300, 300, 6),
        Junction("j-sump", 2000, 20, -306),
    ),
    (
        Roadway("decline-1", "j-portal", "j-400", "z-decline", 25, 20, 1.0, "decline", True, "Decline 1 斜坡道1"),
        Roadway("decline-2", "j-400", "j-500", "z-decline", 25, 20, 0.88, "decline", True, "Decline 2 斜坡道2"),
        Roadway("workshop", "j-400", "j-shop-end", "z-workshop", 30, 22, 0.12, "workshop", True, "Workshop 机修硐室"),
        Roadway("stope-1", "j-500", "j-s1-face", "z-stope-1", 16, 16, 0.0, "stope_1", True, "Stope 1 采场1"),
        Roadway("stope-2", "j-500", "j-s2-face", "z-stope-2", 16, 16, 0.0, "stope_2", True, "Stope 2 采场2"),
        Roadway("shop-return", "j-shop-end", "j-raise", "z-return", 9, 12, 0.12, "return", True, "Return 机修回风"),
        Roadway("return-drive", "j-500", "j-raise", "z-return", 20, 18, 0.88, "return", True, "Return drive 回风平巷"),
        Roadway("raise", "j-raise", "j-raise-top", "z-return", 12, 12.5, 1.0, "return", False, "Return raise 回风井"),
        Roadway("sump-drive", "j-500", "j-sump", "z-pumps", 14, 15, 0.0, "decline", True, "Sump drive 水仓巷"),
    ),
    (
        Zone("z-decline", "intake", 0, "Decline 斜坡道"),
        Zone("z-workshop", "chamber", 20, "Workshop 机修硐室"),
        Zone("z-stope-1", "face", 12, "Stope 1 采场1"),
        Zone("z-stope-2", "face", 12, "Stope 2 采场2"),
        Zone("z-return", "return", 0, "Return 回风"),
        Zone("z-pumps", "chamber", 0, "Pumps 水泵房"),
    ),
    controls=(
        ("fan-main", "fan", "raise", 298.0, "", "Main fan 主通风机"),
        ("fan-s1", "local_fan", "decline-2", 700.0, "z-stope-1", "Fan of stope 1 采场1局扇"),
        ("fan-s2", "local_fan", "decline-2", 705.0, "z-stope-2", "Fan of stope 2 采场2局扇"),
        ("pump-1", "pump", "sump-drive", 100.0, "", "Pump 1 水泵1"),
        ("pump-2", "pump", "sump-drive", 104.0, "", "Pump 2 水泵2"),
    ),
    exits=(("exit-portal", "j-portal", "Portal 硐口"),),
    refuges=(("refuge-500", "decline-2", 640.0, 24, 36.0, "Refuge 500 level 500中段避险硐室"),),
    curves=(("fan-main", ((0.0, 2600.0), (60.0, 2300.0), (95.0, 1700.0), (130.0, 700.0))),),
)
MONOXIDE = Sensor(t90_s=30.0, noise=0.3, mixing=0.06)
DIOXIDE = Sensor(t90_s=40.0, noise=0.03, mixing=0.06)
DUST = Sensor(t90_s=20.0, noise=0.10, mixing=0.08)
WIND = Sensor(t90_s=5.0, noise=0.04, mixing=0.02)
WARMTH = Sensor(t90_s=60.0, noise=0.05)
# (air zone, id, roadway, chainage of gas heads, zone, name)
_PLACES = (
    ("decline", "decline", "decline-2", 600.0, "z-decline", "decline 斜坡道"),
    ("stope_1", "s1", "stope-1", 300.0, "z-stope-1", "stope 1 采场1"),
    ("stope_2", "s2", "stope-2", 380.0, "z-stope-2", "stope 2 采场2"),
    ("workshop", "shop", "workshop", 80.0, "z-workshop", "workshop 机修硐室"),
    ("return", "return", "return-drive", 200.0, "z-return", "return 回风"),
)
_FANS = (
    ("main", "raise", 298.0, "z-return"),
    ("s1", "decline-2", 700.0, "z-decline"),
    ("s2", "decline-2", 705.0, "z-decline"),
)
_PUMPS = (("pump-1", 100.0), ("pump-2", 104.0))


def devices() -> tuple[DevicePlan, ...]:
    """Return every instrument of the metal mine with its points."""
    return (*_monoxide(), *_winds(), *_drives(), _plc())


def _monoxide() -> list[DevicePlan]:
    made = []
    for unit, (air, short, way, at, zone, name) in enumerate(_PLACES, start=1):
        point = PointPlan(
            f"co-{short}", "co", f"co.{air}", f"CO {name}一氧化碳", zone, way, at, "underground", sensor=MONOXIDE
        )
        made.append(DevicePlan(point.id, "gas", "draeger-polytron-8000", unit, 1.0, point.name, (point,)))
    return made


def _winds() -> list[DevicePlan]:
    made = []
    for unit, (air, short, way, at, zone, name) in enumerate(_PLACES, start=1):
        point = PointPlan(f"wind-{short}", "velocity", f"wind.{air}", f"Wind {name}风速", zone, way, at, sensor=WIND)
        made.append(DevicePlan(point.id, "air", "accutron-sp-ultra", unit, 1.0, point.name, (point,)))
    return made


def _drives() -> list[DevicePlan]:
    made = []
    for unit, (fan, way, at, zone) in enumerate(_FANS, start=11):
        points = tuple(
            PointPlan(f"fan-{fan}-{what}", what, f"fan.{fan}.{what}", f"Fan {fan} {what}", zone, way, at, sensor=sensor)
            for what, sensor in (("speed", Sensor(noise=1.0)), ("current", Sensor(noise=0.4)))
        )
        made.append(DevicePlan(f"drive-{fan}", "air", "abb-acs550", unit, 1.0, f"Drive of fan {fan} 变频器", points))
    return made


def _plc() -> DevicePlan:
    points = []
    for air, short, way, at, zone, name in _PLACES:
        for what, source, text, sensor in (
            ("no2", "no2", "NO2 二氧化氮", DIOXIDE),
            ("dust", "dust", "dust 粉尘", DUST),
            ("temperature", "temperature", "temperature 温度", WARMTH),
        ):
            place = "underground" if what == "no2" else ""
            points.append(
                PointPlan(
                    f"{what}-{short}", f"{what}_{short}", f"{source}.{air}", f"{name} {text}", zone, way, at, place,
                    sensor=sensor,
                )
            )  # fmt: skip
    for pump, at in _PUMPS:
        signal = pump.replace("-", "_") + "_current"
        points.append(
            PointPlan(
                f"{pump}-current", signal, f"{pump}.current", f"{pump} current 水泵电流", "z-pumps", "sump-drive", at,
                sensor=Sensor(noise=0.4),
            )
        )  # fmt: skip
    for point, source, name, way, at, zone, noise in (
        ("sump-level", "sump.level", "Sump level 水仓水位", "sump-drive", 104.0, "z-pumps", 0.006),
        ("pump-flow", "pump.flow", "Discharge 排水流量", "sump-drive", 80.0, "z-pumps", 0.6),
        ("fan-pressure", "fan.main.pressure", "Main fan pressure 主扇负压", "raise", 290.0, "z-return", 5.0),
        ("barometer", "barometer", "Barometer 气压", "workshop", 60.0, "z-workshop", 0.004),
    ):
        sensor = Sensor(noise=noise)
        points.append(PointPlan(point, point.replace("-", "_"), source, name, zone, way, at, sensor=sensor))
    return DevicePlan("plc-mine", "plc", "demo-metal-plc", 1, 1.0, "Mine PLC 矿山PLC", tuple(points))


def targets() -> Targets:
    """Return the metal mine's points by what can befall them."""
    shorts = [short for _, short, *_ in _PLACES]
    monoxide = tuple(Target(f"co-{short}", 20.0, 50.0) for short in shorts)
    dioxide = tuple(Target(f"no2-{short}", 1.5, 5.0) for short in shorts[:3])
    winds = tuple(Target(f"wind-{short}", 0.9) for short in shorts)
    others = tuple(Target(f"temperature-{short}", 5.0) for short in ("s1", "s2", "return"))
    others += (Target("fan-pressure", 350.0), Target("barometer", 1.5), Target("dust-return", 4.0))
    pairs = (
        ("co-s1", "no2-s1"),
        ("co-s2", "no2-s2"),
        ("wind-s1", "wind-return"),
        ("temperature-s1", "temperature-return"),
    )
    points = [point for device in devices() for point in device.points]
    zones = ("z-stope-1", "z-stope-2", "z-workshop", "z-return")
    groups = tuple(tuple(p.id for p in points if p.zone == zone) for zone in zones)
    working = tuple(target for target in (*monoxide, *dioxide) if target.point[-2:] in ("s1", "s2", "rn"))
    quiet = tuple(target for target in (*monoxide, *dioxide) if target not in working)
    every = (*monoxide, *dioxide, *winds, *others)
    return Targets(working, every, (*monoxide, *winds), pairs, groups, quiet)


def _stope(pick: Pick) -> tuple[str, str, str, tuple[str, ...]]:
    """Return fan, air zone and points of one stope."""
    short = pick.random.choice(("s1", "s2"))
    points = (f"co-{short}", f"no2-{short}", f"wind-{short}", f"dust-{short}", f"temperature-{short}")
    return short, f"stope_{short[1]}", f"fan-{short}-current", points


def _fan_stop(pick: Pick) -> list[Action]:
    fan, _, current, points = _stope(pick)
    actions = [Action(0.0, "fan", fan, 1.0 - pick.magnitude), Action(1800.0, "fan", fan, 1.0)]
    return lasting("hazard", f"fan of stope {fan[1]} fails", (current, *points), actions, 1800.0)


def _main_fan_stop(pick: Pick) -> list[Action]:
    actions = [Action(0.0, "fan", "main", 1.0 - pick.magnitude), Action(1800.0, "fan", "main", 1.0)]
    return lasting("hazard", "main fan fails", ("fan-main-current", "wind-return"), actions, 1800.0)


def _diesel(pick: Pick) -> list[Action]:
    _, zone, _, points = _stope(pick)
    actions = [Action(0.0, "diesel", zone, 2600.0 * pick.magnitude), Action(2700.0, "diesel", zone, 0.0)]
    return lasting("hazard", f"diesel exhaust gathers in {zone}", points, actions, 2700.0)


def _fumes(pick: Pick) -> list[Action]:
    fan, zone, current, points = _stope(pick)
    actions = [
        Action(0.0, "fan", fan, 1.0 - 0.9 * pick.magnitude),
        Action(30.0, "blast", zone, 110.0),
        Action(3600.0, "fan", fan, 1.0),
    ]
    return lasting("hazard", f"blasting fumes stay in {zone}: its fan fails", (current, *points), actions, 3600.0)


def _blasting(pick: Pick) -> list[Action]:
    _, zone, _, points = _stope(pick)
    actions = [
        Action(0.0, "blast", zone, 110.0 * pick.magnitude),
        Action(0.0, "mark", points[0], 2400.0, "blasting"),
    ]
    return lasting("benign", f"blast in {zone}", points, actions, 1800.0)


def _dry(pick: Pick) -> list[Action]:
    actions = [Action(0.0, "spray", amount=1.0 - pick.magnitude), Action(3600.0, "spray", amount=1.0)]
    return lasting("hazard", "sprays run dry, dust rises", ("dust-s1", "dust-s2", "dust-decline"), actions, 3600.0)


def _flood(pick: Pick) -> list[Action]:
    actions = [
        Action(0.0, "pump", amount=0.0),
        Action(0.0, "water", amount=42.0 + 350.0 * pick.magnitude),
        Action(5400.0, "pump", amount=1.0),
        Action(5400.0, "water", amount=42.0),
    ]
    return lasting("hazard", "pumps fail, the sump fills", ("sump-level", "pump-flow"), actions, 5400.0)


def _shift(pick: Pick) -> list[Action]:
    del pick
    return lasting(
        "benign", "shift change", (), [Action(0.0, "shift", amount=0.05), Action(2700.0, "shift", amount=1.0)], 2700.0
    )


RECIPES: Mapping[str, Recipe] = {
    "fan-stop": Recipe("hazard", _fan_stop),
    "main-fan-stop": Recipe("hazard", _main_fan_stop),
    "diesel-exhaust": Recipe("hazard", _diesel),
    "fumes-stay": Recipe("hazard", _fumes),
    "dust": Recipe("hazard", _dry),
    "sump-flood": Recipe("hazard", _flood),
    "blasting": Recipe("benign", _blasting),
    "shift-change": Recipe("benign", _shift),
    **ANY_SITE,
    **GAS_SITE,
}
