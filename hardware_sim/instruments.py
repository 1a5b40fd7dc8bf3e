"""The demo mine's instruments: gas on bus-1, fan drives and weather on bus-2, PLCs on TCP, two UWB networks.

`source` names a quantity of the simulated mine (truth.py); signals are those of the profiles in drivers/profiles.
"""

from hardware_sim.catalogue import DevicePlan, LinkPlan, PointPlan, Sensor
from hardware_sim.plan import ROADWAYS
from hardware_sim.plant import MACHINES

LINKS = (
    LinkPlan("bus-1", "modbus-rtu", 9600),
    LinkPlan("bus-2", "modbus-rtu", 9600),
    LinkPlan("plc", "modbus-tcp"),
    LinkPlan("uwb-1", "linktrack", 921600),
    LinkPlan("uwb-2", "linktrack", 921600),
)
ZONE_OF = {way.id: way.zone for way in ROADWAYS}
METHANE = Sensor(t90_s=20.0, noise=0.006, mixing=0.03)
MOUTH = METHANE._replace(gain=0.9)  # fresh air of the through ventilation mixes in
COARSE = METHANE._replace(deadband=0.09)  # shows tenths, and the same tenth until it is surely another
COARSE_BY = MOUTH._replace(deadband=0.09)
CORNER = Sensor(t90_s=20.0, noise=0.010, mixing=0.05, gain=1.35)
OXYGEN = Sensor(t90_s=30.0, noise=0.03)
MONOXIDE = Sensor(t90_s=30.0, noise=0.4, mixing=0.05)
WIND = Sensor(t90_s=5.0, noise=0.04, mixing=0.02)
WARMTH = Sensor(t90_s=60.0, noise=0.05)
ELECTRIC = Sensor(noise=0.2)
METHANE_WARNING, METHANE_HYSTERESIS = 0.8, 0.05  # the site's own early warning; the alarm is the ruleset's, by place


def devices() -> tuple[DevicePlan, ...]:
    """Return every instrument of the demo mine with its points."""
    return (*_gas_detectors(), *_drives(), *_surface(), _process_plc(), _machine_plc(), *_positioning())


# (point, profile, roadway, chainage, air zone, place of the ruleset, name, sensor); the Dräger shows hundredths
# of % by volume, the Pemtech tenths: two coarse sensors show what a coarse sensor does to a trend
_DRAEGER, _PEMTECH, _RAEGUARD = "draeger-polytron-8000", "pemtech-pt495", "honeywell-raeguard-3"
_METHANE = (
    ("a-face", _DRAEGER, "heading-a", 415.0, "heading_a", "heading_face", "heading A face 掘进A迎头", METHANE),
    ("a-return", _DRAEGER, "heading-a", 12.0, "heading_a", "heading_return", "heading A return 掘进A回风", MOUTH),
    ("b-face", _DRAEGER, "heading-b", 375.0, "heading_b", "heading_face", "heading B face 掘进B迎头", METHANE),
    ("b-return", _PEMTECH, "heading-b", 12.0, "heading_b", "heading_return", "heading B return 掘进B回风", COARSE_BY),
    ("face", _DRAEGER, "face", 172.0, "face", "coal_face", "1101 face T1 采面", METHANE),
    ("corner", _DRAEGER, "face", 179.0, "face", "face_return_corner", "return corner T0 上隅角", CORNER),
    ("return-gate", _DRAEGER, "return-gate", 560.0, "face", "coal_face_return", "1101 return T2 采面回风", METHANE),
    ("return", _PEMTECH, "return-1", 120.0, "return", "total_return", "main return 总回风", COARSE),
)  # fmt: skip


def _gas_detectors() -> tuple[DevicePlan, ...]:
    made = []
    for unit, (point, profile, way, at, air, place, where, sensor) in enumerate(_METHANE, start=1):
        name = f"CH4 {where}甲烷"
        plan = PointPlan(
            f"ch4-{point}", "ch4", f"ch4.{air}", name, ZONE_OF[way], way, at, place,
            warn_high=METHANE_WARNING, hysteresis=METHANE_HYSTERESIS, sensor=sensor,
        )  # fmt: skip
        fixed = (("status", 0x0200),) if profile == _PEMTECH else ()  # combustible gas sensor, nothing wrong
        made.append(DevicePlan(plan.id, "bus-1", profile, unit, 1.0, name, (plan,), fixed=fixed))
    monoxide = PointPlan(
        "co-return-gate", "co", "co.face", "CO 1101 return 采面回风一氧化碳",
        "z-return-gate", "return-gate", 555.0, "coal_face_return", sensor=MONOXIDE,
    )  # fmt: skip
    oxygen = PointPlan(
        "o2-a-face", "o2", "o2.heading_a", "O2 heading A face 掘进A迎头氧气",
        "z-heading-a", "heading-a", 410.0, "heading_face", warn_low=20.0, alarm_low=18.0, hysteresis=0.1, sensor=OXYGEN,
    )  # fmt: skip
    made.append(DevicePlan(monoxide.id, "bus-1", _DRAEGER, 9, 1.0, monoxide.name, (monoxide,)))
    made.append(DevicePlan(oxygen.id, "bus-1", _RAEGUARD, 10, 1.0, oxygen.name, (oxygen,)))
    return tuple(made)


def _drives() -> tuple[DevicePlan, ...]:
    made = []
    for unit, (fan, name, zone, way, chainage) in enumerate(
        (
            ("main", "Main fan drive 主通风机变频器", "z-return", "return-shaft", 178.0),
            ("a", "Local fan A drive 局扇A变频器", "z-main", "a-mouth", 10.0),
            ("b", "Local fan B drive 局扇B变频器", "z-belt", "b-mouth", 12.0),
        ),
        start=1,
    ):
        points = [
            PointPlan(
                f"fan-{fan}-{signal}",
                signal,
                f"fan.{fan}.{signal}",
                f"{name}: {what}",
                zone,
                way,
                chainage,
                sensor=sensor,
            )
            for signal, what, sensor in (
                ("speed", "speed", Sensor(noise=1.0)),
                ("frequency", "frequency", Sensor()),
                ("current", "current", ELECTRIC),
                ("power", "power", ELECTRIC),
                ("torque", "torque", ELECTRIC),
                ("voltage", "voltage", Sensor(noise=1.0)),
            )
        ]
        made.append(
            DevicePlan(f"drive-{fan}", "bus-2", "abb-acs550", unit, 1.0, name, tuple(points), unmapped="exception")
        )
    return tuple(made)


def _surface() -> tuple[DevicePlan, ...]:
    weather = [
        PointPlan(
            f"weather-{signal.replace('_', '-')}",
            signal,
            f"weather.{signal}",
            f"Weather: {what}",
            "z-surface",
            sensor=sensor,
        )
        for signal, what, sensor in (
            ("humidity", "humidity 湿度", Sensor(t90_s=60.0, noise=0.3)),
            ("pressure", "air pressure 气压", Sensor(noise=0.05)),
            ("wind_direction", "wind direction 风向", Sensor()),
            ("temperature", "temperature 气温", Sensor(t90_s=60.0, noise=0.05)),
        )
    ]
    dust = [
        PointPlan(
            f"dust-{signal.replace('_', '-')}",
            signal,
            f"yard.{signal}",
            f"Coal yard {what} 煤场粉尘",
            "z-surface",
            sensor=Sensor(t90_s=10.0, noise=1.5),
        )
        for signal, what in (("pm10", "PM10"), ("pm2_5", "PM2.5"))
    ]
    return (
        DevicePlan("weather", "bus-2", "vaisala-wxt530", 10, 5.0, "Weather station 气象站", tuple(weather)),
        DevicePlan("dust-yard", "bus-2", "delta-ohm-pmsense", 11, 5.0, "Coal yard dust 煤场粉尘仪", tuple(dust)),
    )


# (signal, source, zone, roadway, chainage, name, sensor, limits) of the process PLC
_WINDS = (
    ("wind_main", "main-2", 150.0, "Wind main intake 轨道大巷风速"),
    ("wind_belt", "belt-2", 290.0, "Wind belt roadway 胶带大巷风速"),
    ("wind_intake_gate", "intake-gate", 320.0, "Wind 1101 intake 运输顺槽风速"),
    ("wind_face", "face", 90.0, "Wind 1101 face 采面风速"),
    ("wind_return_gate", "return-gate", 300.0, "Wind 1101 return 回风顺槽风速"),
    ("wind_a", "heading-a", 30.0, "Wind heading A 掘进A风速"),
    ("wind_b", "heading-b", 30.0, "Wind heading B 掘进B风速"),
    ("wind_return", "return-1", 60.0, "Wind main return 总回风风速"),
)
_CLIMATE = (
    ("temperature_intake", "temperature.intake", "main-2", 155.0, "Temperature main intake 大巷温度", WARMTH),
    ("temperature_face", "temperature.face", "face", 95.0, "Temperature 1101 face 采面温度", WARMTH),
    ("temperature_a", "temperature.heading_a", "heading-a", 400.0, "Temperature heading A 掘进A温度", WARMTH),
    ("temperature_b", "temperature.heading_b", "heading-b", 360.0, "Temperature heading B 掘进B温度", WARMTH),
    ("temperature_return", "temperature.return", "return-1", 65.0, "Temperature main return 总回风温度", WARMTH),
    ("temperature_pumps", "temperature.pumps", "pump-chamber", 40.0, "Temperature pump chamber 水泵房温度", WARMTH),
    ("humidity_intake", "humidity.intake", "main-2", 155.0, "Humidity main intake 大巷湿度", Sensor(noise=0.3)),
    ("humidity_face", "humidity.face", "face", 95.0, "Humidity 1101 face 采面湿度", Sensor(noise=0.3)),
    ("humidity_a", "humidity.heading_a", "heading-a", 400.0, "Humidity heading A 掘进A湿度", Sensor(noise=0.3)),
    ("humidity_return", "humidity.return", "return-1", 65.0, "Humidity main return 总回风湿度", Sensor(noise=0.3)),
    ("fan_pressure", "fan.main.pressure", "return-shaft", 170.0, "Main fan pressure 主扇负压", Sensor(noise=4.0)),
    ("door_1_pressure", "door.1.pressure", "doors-1", 30.0, "Pressure over doors 1 风门1压差", Sensor(noise=3.0)),
    ("door_2_pressure", "door.2.pressure", "doors-2", 30.0, "Pressure over doors 2 风门2压差", Sensor(noise=3.0)),
    ("sump_level", "sump.level", "pump-chamber", 70.0, "Sump level 水仓水位", Sensor(noise=0.005)),
    ("pump_1_current", "pump-1.current", "pump-chamber", 40.0, "Pump 1 current 水泵1电流", ELECTRIC),
    ("pump_2_current", "pump-2.current", "pump-chamber", 50.0, "Pump 2 current 水泵2电流", ELECTRIC),
    ("pump_3_current", "pump-3.current", "pump-chamber", 60.0, "Pump 3 current 水泵3电流", ELECTRIC),
    ("pump_flow", "pump.flow", "pump-chamber", 20.0, "Discharge 排水流量", Sensor(noise=0.5)),
    ("barometer", "barometer", "pump-chamber", 10.0, "Barometer underground 井下气压", Sensor(noise=0.003)),
    ("belt_speed", "belt.speed", "belt-2", 300.0, "Belt speed 胶带带速", Sensor(noise=0.01)),
    ("energy", "energy", "pump-chamber", 5.0, "Energy substation 变电所电能", Sensor()),
    ("voltage", "voltage", "pump-chamber", 5.0, "Voltage substation 变电所电压", Sensor(noise=6.0)),
    ("belt_co", "co.belt", "belt-2", 560.0, "CO belt roadway 胶带大巷一氧化碳", Sensor(noise=0.2)),
    ("main_co", "co.return", "return-1", 70.0, "CO main return 总回风一氧化碳", Sensor(t90_s=30.0, noise=0.3)),
    ("belt_smoke", "smoke", "belt-2", 560.0, "Smoke belt roadway 胶带大巷烟雾", Sensor()),
)
_SWITCHES = (
    ("door_1a", "door-1a", "doors-1", 20.0, "Door 1a 风门1甲"),
    ("door_1b", "door-1b", "doors-1", 40.0, "Door 1b 风门1乙"),
    ("door_2a", "door-2a", "doors-2", 20.0, "Door 2a 风门2甲"),
    ("door_2b", "door-2b", "doors-2", 40.0, "Door 2b 风门2乙"),
    ("pump_1_on", "pump-1.on", "pump-chamber", 40.0, "Pump 1 水泵1开停"),
    ("pump_2_on", "pump-2.on", "pump-chamber", 50.0, "Pump 2 水泵2开停"),
    ("pump_3_on", "pump-3.on", "pump-chamber", 60.0, "Pump 3 水泵3开停"),
    ("fan_main_on", "fan.main.on", "return-shaft", 178.0, "Main fan 主扇开停"),
    ("fan_a_on", "fan.a.on", "a-mouth", 10.0, "Local fan A 局扇A开停"),
    ("fan_b_on", "fan.b.on", "b-mouth", 12.0, "Local fan B 局扇B开停"),
    ("belt_on", "belt.on", "belt-2", 30.0, "Belt 胶带开停"),
    ("shearer_on", "shearer.on", "face", 90.0, "Shearer 采煤机开停"),
)


def _process_plc() -> DevicePlan:
    rows = [(signal, f"wind.{way}", way, at, name, WIND) for signal, way, at, name in _WINDS]
    rows += [(signal, source, way, at, name, Sensor()) for signal, source, way, at, name in _SWITCHES]
    rows += _CLIMATE
    points = tuple(
        PointPlan(signal.replace("_", "-"), signal, source, name, ZONE_OF[way], way, at, sensor=sensor)
        for signal, source, way, at, name, sensor in rows
    )
    return DevicePlan("plc-process", "plc", "demo-mine-plc", 2, 1.0, "Process PLC 工艺PLC", points)


def _machine_plc() -> DevicePlan:
    """Return the PLC of the machines: four bearings, two vibrations, a current, starts and a pressure each."""
    points = []
    for number, spec in enumerate(MACHINES):
        rows = [(f"bearing-{k + 1}", 4 * number + k, f"bearing {k + 1} 轴承温度", Sensor(noise=0.1)) for k in range(4)]
        rows += [(f"vibration-{k + 1}", 400 + 2 * number + k, "vibration 振动", Sensor(noise=0.08)) for k in range(2)]
        rows += [
            ("current", 600 + number, "current 电流", ELECTRIC),
            ("starts", 900 + number, "starts 启动次数", Sensor()),
        ]
        if spec.pressure_kpa:
            rows.append(("pressure", 800 + number, "pressure 压力", Sensor(noise=0.4)))
        for what, register, text, sensor in rows:
            points.append(
                PointPlan(
                    f"{spec.id}-{what}",
                    f"r{register:04d}",
                    f"machine.{spec.id}.{what}",
                    f"{spec.name} {text}",
                    spec.zone,
                    spec.roadway,
                    spec.chainage_m if spec.roadway else None,
                    sensor=sensor,
                )
            )
    return DevicePlan("plc-machines", "plc", "plc-1000", 1, 5.0, "Machine PLC, 1,000 registers 设备PLC", tuple(points))


def _positioning() -> tuple[DevicePlan, ...]:
    return tuple(
        DevicePlan(link, link, "linktrack", 0, 1.0, f"UWB network {link[-1]} 人员定位{link[-1]}")
        for link in ("uwb-1", "uwb-2")
    )
