"""The tailings pond on paper: crest, sections, beach and toe; its instruments, and what may befall it."""

from collections.abc import Mapping

from hardware_sim.catalogue import DevicePlan, LinkPlan, PointPlan, Sensor
from hardware_sim.labelled import ANY_SITE, Pick, Recipe, Target, Targets, lasting
from hardware_sim.plan import Junction, Layout, Pond, Roadway, Zone
from hardware_sim.scenarios import Action
from hardware_sim.tailings import DEPTHS, SECTIONS

LINKS = (
    LinkPlan("wires", "modbus-rtu", 9600),
    LinkPlan("weather", "modbus-rtu", 19200),
    LinkPlan("plc", "modbus-tcp"),
)
_X_M = {"s1": 120.0, "s2": 300.0, "s3": 480.0}
LAYOUT = Layout(
    "tailings",
    "own grid, heights as on the dam's drawings",
    (
        Junction("j-west", 0, 0, 100),
        *(Junction(f"j-{s}-crest", x, 0, 100) for s, x in _X_M.items()),
        Junction("j-east", 600, 0, 100),
        *(Junction(f"j-{s}-toe", x, -180, 64) for s, x in _X_M.items()),
        Junction("j-water", 300, 170, 96),
    ),
    (
        Roadway("crest-1", "j-west", "j-s1-crest", "z-dam", 0, 0, 0.0, "", True, "Crest road 1 坝顶道路1"),
        Roadway("crest-2", "j-s1-crest", "j-s2-crest", "z-dam", 0, 0, 0.0, "", True, "Crest road 2 坝顶道路2"),
        Roadway("crest-3", "j-s2-crest", "j-s3-crest", "z-dam", 0, 0, 0.0, "", True, "Crest road 3 坝顶道路3"),
        Roadway("crest-4", "j-s3-crest", "j-east", "z-dam", 0, 0, 0.0, "", True, "Crest road 4 坝顶道路4"),
        *(
            Roadway(s, f"j-{s}-crest", f"j-{s}-toe", "z-dam", 0, 0, 0.0, "", True, f"Section {s[1]} 剖面{s[1]}")
            for s in SECTIONS
        ),
        Roadway("toe-1", "j-s1-toe", "j-s2-toe", "z-toe", 0, 0, 0.0, "", True, "Toe road 1 坝脚道路1"),
        Roadway("toe-2", "j-s2-toe", "j-s3-toe", "z-toe", 0, 0, 0.0, "", True, "Toe road 2 坝脚道路2"),
        Roadway("beach", "j-s2-crest", "j-water", "z-pond", 0, 0, 0.0, "", False, "Beach 干滩"),
    ),
    (
        Zone("z-dam", "surface", 0, "Dam 坝体"),
        Zone("z-toe", "surface", 0, "Toe 坝脚"),
        Zone("z-pond", "pond", 0, "Pond 库区"),
    ),
    exits=(("exit-west", "j-west", "West abutment 左坝肩"), ("exit-east", "j-east", "East abutment 右坝肩")),
    ponds=(
        Pond("pond", "Tailings pond 尾矿库", "z-pond", 100.0, 1.0, 100.0,
             ((90.0, 0.0), (94.0, 420_000.0), (96.0, 760_000.0), (98.0, 1_180_000.0), (100.0, 1_700_000.0))),
    ),
)  # fmt: skip
EDGES = (
    *(("beach", section) for section in SECTIONS),
    ("s1", "toe-1"), ("s2", "toe-1"), ("s2", "toe-2"), ("s3", "toe-2"), ("surface", "beach"),
)  # fmt: skip
WIRE = Sensor(t90_s=30.0, noise=0.06)
_CHAINAGE_M = {"up": 30.0, "mid": 90.0, "low": 150.0}
_FLOWS = (("seepage-1", "seepage_1", "seepage.1", "toe-1"), ("seepage-2", "seepage_2", "seepage.2", "toe-2"))


def devices() -> tuple[DevicePlan, ...]:
    """Return every instrument of the tailings pond with its points."""
    return (_logger(), _gauge(), *_weather(), _plc())


def _logger() -> DevicePlan:
    points = tuple(
        PointPlan(
            f"wire-{section}-{depth}", f"channel_{3 * i + k + 1:02d}", f"wire.{section}.{depth}.frequency",
            f"Wire {section} {depth} 渗压计", "z-dam", section, _CHAINAGE_M[depth], sensor=WIRE,
        )
        for i, section in enumerate(SECTIONS)
        for k, depth in enumerate(DEPTHS)
    )  # fmt: skip
    return DevicePlan("logger", "wires", "vtn4xx", 1, 5.0, "Vibrating-wire logger 振弦采集仪", points)


def _gauge() -> DevicePlan:
    point = PointPlan(
        "pond-level", "level", "pond.level", "Pond level above 90 m 库水位", "z-pond", "beach", 165.0,
        warn_high=6.6, alarm_high=8.0, hysteresis=0.05, sensor=Sensor(t90_s=10.0, noise=0.004),
    )  # fmt: skip
    return DevicePlan("gauge", "wires", "vegapuls-6x", 2, 5.0, point.name, (point,))


def _weather() -> list[DevicePlan]:
    sky = tuple(
        PointPlan(
            f"weather-{what}",
            what,
            f"weather.{what}",
            f"Weather {what} {name}",
            "z-dam",
            "crest-1",
            20.0,
            sensor=sensor,
        )
        for what, name, sensor in (
            ("temperature", "气温", Sensor(t90_s=30.0, noise=0.05)),
            ("humidity", "湿度", Sensor(t90_s=30.0, noise=0.4)),
            ("pressure", "气压", Sensor(noise=0.05)),
        )
    )
    rain = (
        PointPlan("rain-intensity", "intensity", "rain.intensity", "Rain intensity 雨强", "z-dam", "crest-1", 22.0),
        PointPlan("rain-sum", "rain", "rain.sum", "Rain since start 累计雨量", "z-dam", "crest-1", 22.0),
    )
    return [
        DevicePlan("station", "weather", "vaisala-wxt530", 10, 5.0, "Weather station 气象站", sky),
        DevicePlan("rain", "weather", "lambrecht-rain-e", 3, 5.0, "Rain gauge 雨量计", rain),
    ]


def _plc() -> DevicePlan:
    flow, mark = Sensor(t90_s=20.0, noise=0.06), Sensor(noise=0.15)
    points = [PointPlan(p, s, source, f"{p} 渗流量", "z-toe", way, 60.0, sensor=flow) for p, s, source, way in _FLOWS]
    points += [
        PointPlan(
            "turbidity-2", "turbidity_2", "turbidity.2", "Turbidity 浊度", "z-toe", "toe-2", 62.0,
            sensor=Sensor(t90_s=30.0, noise=0.4),
        ),
        PointPlan(
            "decant-current", "decant_current", "decant.current", "Decant pump 排水泵电流", "z-pond", "beach", 160.0,
            sensor=Sensor(noise=0.4),
        ),
    ]  # fmt: skip
    points += [
        PointPlan(
            f"beach-{number}", f"beach_{number}", f"beach.{number}", f"Beach length {number} 干滩长度{number}",
            "z-pond", "beach", 20.0, "upstream_class_4", sensor=Sensor(noise=0.5),
        )
        for number in (1, 2)
    ]  # fmt: skip
    for number, way, at in ((1, "s1", 60.0), (2, "s2", 60.0), (3, "s2", 120.0), (4, "s3", 60.0)):
        points.append(
            PointPlan(
                f"moved-{number}", f"moved_{number}", f"moved.m{number}", f"Displacement {number} 位移{number}",
                "z-dam", way, at, sensor=mark,
            )
        )  # fmt: skip
    return DevicePlan("plc-dam", "plc", "demo-tailings-plc", 1, 5.0, "Dam PLC 坝体监测PLC", tuple(points))


def targets() -> Targets:
    """Return the pond's points by what can befall them."""
    wires = tuple(Target(f"wire-{section}-{depth}", 12.0) for section in SECTIONS for depth in DEPTHS)  # Hz
    others = (
        Target("pond-level", 0.4), Target("seepage-1", 6.0), Target("seepage-2", 6.0), Target("beach-1", 15.0),
        Target("moved-2", 6.0), Target("moved-3", 6.0), Target("weather-temperature", 5.0),
        Target("weather-pressure", 12.0),
    )  # fmt: skip
    pairs = (
        ("wire-s1-up", "wire-s1-low"),
        ("wire-s2-up", "wire-s2-low"),
        ("seepage-1", "seepage-2"),
        ("beach-1", "moved-2"),
    )
    points = [point for device in devices() for point in device.points]
    by = [[p.id for p in points if p.zone == zone] for zone in ("z-toe", "z-pond")]
    groups = (tuple(by[0]), tuple(by[1]), tuple(target.point for target in wires))
    lively = (*wires, others[1], others[2], others[5], others[6])
    return Targets((), (*wires, *others), lively, pairs, groups)


def _seepage(pick: Pick) -> list[Action]:
    points = ("seepage-2", "turbidity-2", "wire-s2-low", "wire-s2-mid", "wire-s2-up")
    actions = [Action(0.0, "seepage", amount=24.0 * pick.magnitude), Action(9000.0, "seepage", amount=0.0)]
    return lasting("hazard", "water finds a way through section 2", points, actions, 9000.0)


def _heavy_rain(pick: Pick) -> list[Action]:
    actions = [Action(0.0, "rain", amount=60.0 * pick.magnitude), Action(14_400.0, "rain", amount=0.0)]
    points = ("rain-intensity", "pond-level", "beach-1", "beach-2")
    return lasting("hazard", "heavy rain fills the pond", points, actions, 14_400.0)


def _light_rain(pick: Pick) -> list[Action]:
    actions = [Action(0.0, "rain", amount=4.0 * pick.magnitude), Action(5400.0, "rain", amount=0.0)]
    return lasting("benign", "light rain", ("rain-intensity",), actions, 5400.0)


def _drains(pick: Pick) -> list[Action]:
    actions = [Action(0.0, "drains", amount=1.0 - pick.magnitude), Action(14_400.0, "drains", amount=1.0)]
    points = ("wire-s1-low", "wire-s2-low", "wire-s3-low", "seepage-1", "seepage-2")
    return lasting("hazard", "drains clog, the water in the dam rises", points, actions, 14_400.0)


def _creep(pick: Pick) -> list[Action]:
    actions = [Action(0.0, "creep", amount=5.0 * pick.magnitude), Action(10_800.0, "creep", amount=0.0)]
    return lasting("hazard", "the dam moves at section 2", ("moved-2", "moved-3", "moved-1"), actions, 10_800.0)


def _decant(pick: Pick) -> list[Action]:
    actions = [Action(0.0, "pump", amount=0.0), Action(14_400.0, "pump", amount=1.0)]
    del pick
    return lasting("hazard", "the decant pump fails", ("decant-current", "pond-level"), actions, 14_400.0)


def _pulled_down(pick: Pick) -> list[Action]:
    target = pick.target((Target("pond-level", 0.4), Target("seepage-2", 5.0)))
    actions = [
        Action(0.0, "sensor", target.point, -target.size * pick.magnitude, "offset"),
        Action(5400.0, "repair", target.point),
    ]
    return lasting("tamper", "reading pulled down", (target.point,), actions, 5400.0)


RECIPES: Mapping[str, Recipe] = {
    "seepage": Recipe("hazard", _seepage),
    "heavy-rain": Recipe("hazard", _heavy_rain),
    "drains-clog": Recipe("hazard", _drains),
    "dam-moves": Recipe("hazard", _creep),
    "decant-fails": Recipe("hazard", _decant),
    "light-rain": Recipe("benign", _light_rain),
    "pulled-down": Recipe("tamper", _pulled_down),
    **ANY_SITE,
}
