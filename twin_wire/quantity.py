"""What can be measured: one code, unit and usual resolution per quantity, and exact conversion between units."""

import math
from fractions import Fraction
from typing import NamedTuple

from twin_wire.errors import ConfigError


class Quantity(NamedTuple):
    """One measurable quantity; `decimals` is the resolution to use where an instrument declares none."""

    code: str
    unit: str  # key into UNITS
    decimals: int
    name_en: str
    name_zh: str


class Unit(NamedTuple):
    """One unit as profiles and manifests write it: base value = (value * numerator / denominator) in `dimension`."""

    text: str
    ucum: str  # UCUM code, for systems that read nothing else
    dimension: str  # units of one dimension convert into each other
    numerator: int
    denominator: int


UNITS: dict[str, Unit] = {
    unit.text: unit
    for unit in (
        Unit("1", "1", "number", 1, 1),
        Unit("%", "%", "fraction", 10_000, 1),
        Unit("ppm", "[ppm]", "fraction", 1, 1),
        Unit("%LEL", "%", "share of the lower explosive limit", 1, 1),
        Unit("mm/s", "mm/s", "speed", 1, 1),
        Unit("m/s", "m/s", "speed", 1_000, 1),
        Unit("Cel", "Cel", "temperature", 1, 1),
        Unit("Pa", "Pa", "pressure", 1, 1),
        Unit("hPa", "hPa", "pressure", 100, 1),
        Unit("kPa", "kPa", "pressure", 1_000, 1),
        Unit("bar", "bar", "pressure", 100_000, 1),
        Unit("MPa", "MPa", "pressure", 1_000_000, 1),
        Unit("ug/m3", "ug/m3", "mass concentration", 1, 1),
        Unit("mg/m3", "mg/m3", "mass concentration", 1_000, 1),
        Unit("r/min", "{rev}/min", "rotation", 1, 1),
        Unit("mA", "mA", "current", 1, 1),
        Unit("A", "A", "current", 1_000, 1),
        Unit("V", "V", "voltage", 1, 1),
        Unit("Hz", "Hz", "frequency", 1, 1),
        Unit("W", "W", "power", 1, 1),
        Unit("kW", "kW", "power", 1_000, 1),
        Unit("kW.h", "kW.h", "energy", 1, 1),
        Unit("mm", "mm", "length", 1, 1),
        Unit("cm", "cm", "length", 10, 1),
        Unit("m", "m", "length", 1_000, 1),
        Unit("mm/h", "mm/h", "rain intensity", 1, 1),
        Unit("mm/min", "mm/min", "rain intensity", 60, 1),
        Unit("m3/h", "m3/h", "volume flow", 1, 1),
        Unit("m3/min", "m3/min", "volume flow", 60, 1),
        Unit("m3/s", "m3/s", "volume flow", 3_600, 1),
        Unit("kN", "kN", "force", 1, 1),
        Unit("deg", "deg", "angle", 1, 1),
        Unit("dB", "dB", "sound level", 1, 1),
        Unit("NTU", "[NTU'U]", "turbidity", 1, 1),
        Unit("pH", "[pH]", "acidity", 1, 1),
        Unit("lx", "lx", "illuminance", 1, 1),
        Unit("us", "us", "time", 1, 1),
        Unit("ms", "ms", "time", 1_000, 1),
        Unit("s", "s", "time", 1_000_000, 1),
        Unit("min", "min", "time", 60_000_000, 1),
        Unit("h", "h", "time", 3_600_000_000, 1),
        Unit("By", "By", "bytes", 1, 1),
        Unit("kBy", "kBy", "bytes", 1_000, 1),
        Unit("MBy", "MBy", "bytes", 1_000_000, 1),
        Unit("1/s", "/s", "rate", 60, 1),
        Unit("1/min", "/min", "rate", 1, 1),
    )
}

QUANTITIES: dict[str, Quantity] = {
    quantity.code: quantity
    for quantity in (
        # gases
        Quantity("CH4", "%", 2, "Methane", "甲烷"),
        Quantity("CO", "ppm", 0, "Carbon monoxide", "一氧化碳"),
        Quantity("CO2", "%", 2, "Carbon dioxide", "二氧化碳"),
        Quantity("O2", "%", 1, "Oxygen", "氧气"),
        Quantity("H2S", "ppm", 1, "Hydrogen sulfide", "硫化氢"),
        Quantity("SO2", "ppm", 1, "Sulfur dioxide", "二氧化硫"),
        Quantity("NO2", "ppm", 1, "Nitrogen dioxide", "二氧化氮"),
        Quantity("NO", "ppm", 1, "Nitric oxide", "一氧化氮"),
        Quantity("NH3", "ppm", 1, "Ammonia", "氨气"),
        Quantity("H2", "ppm", 0, "Hydrogen", "氢气"),
        Quantity("combustible", "%LEL", 1, "Combustible gas", "可燃气体"),
        Quantity("VOC", "ppm", 1, "Volatile organic compounds", "挥发性有机物"),
        # air
        Quantity("wind_speed", "m/s", 2, "Air velocity", "风速"),
        Quantity("wind_direction", "deg", 0, "Wind direction", "风向"),
        Quantity("air_flow", "m3/s", 2, "Air flow", "风量"),
        Quantity("temperature", "Cel", 1, "Temperature", "温度"),
        Quantity("humidity", "%", 1, "Relative humidity", "相对湿度"),
        Quantity("dew_point", "Cel", 1, "Dew point", "露点温度"),
        Quantity("pressure", "kPa", 2, "Pressure", "压力"),
        Quantity("differential_pressure", "Pa", 0, "Differential pressure", "压差"),
        Quantity("dust", "mg/m3", 1, "Dust", "粉尘"),
        Quantity("pm10", "ug/m3", 0, "Dust below 10 µm", "PM10"),
        Quantity("pm2_5", "ug/m3", 0, "Dust below 2.5 µm", "PM2.5"),
        Quantity("noise", "dB", 1, "Noise", "噪声"),
        Quantity("smoke", "1", 0, "Smoke", "烟雾"),
        Quantity("visibility", "m", 0, "Visibility", "能见度"),
        Quantity("opacity", "%", 2, "Opacity of the air", "不透光度"),
        Quantity("illuminance", "lx", 0, "Illuminance", "照度"),
        # machines and electricity
        Quantity("fan_speed", "r/min", 0, "Fan speed", "风机转速"),
        Quantity("speed", "m/s", 2, "Speed", "速度"),
        Quantity("current", "A", 1, "Current", "电流"),
        Quantity("loop_current", "mA", 3, "Loop current of an instrument", "回路电流"),
        Quantity("voltage", "V", 1, "Voltage", "电压"),
        Quantity("frequency", "Hz", 2, "Frequency", "频率"),
        Quantity("power", "kW", 1, "Power", "功率"),
        Quantity("power_factor", "1", 2, "Power factor", "功率因数"),
        Quantity("energy", "kW.h", 1, "Energy", "电能"),
        Quantity("vibration", "mm/s", 2, "Vibration velocity", "振动速度"),
        Quantity("torque", "%", 1, "Torque, share of the rated", "转矩"),
        Quantity("run_hours", "h", 0, "Hours run", "运行时间"),
        Quantity("life_left", "h", 0, "Sensor life left", "传感器剩余寿命"),
        Quantity("data_age", "s", 0, "Age of the data", "数据龄期"),
        Quantity("signal_strength", "%", 0, "Radio signal strength", "信号强度"),
        Quantity("state", "1", 0, "State, 0 off 1 on", "开停"),
        Quantity("status_word", "1", 0, "Status word of a device", "状态字"),
        Quantity("fault_code", "1", 0, "Fault code of a device", "故障代码"),
        Quantity("count", "1", 0, "Count", "计数"),
        Quantity("door", "1", 0, "Door, 0 closed 1 open", "风门"),
        Quantity("opening", "%", 1, "Opening", "开度"),
        # water, rock, dams
        Quantity("level", "m", 2, "Level", "液位"),
        Quantity("flow", "m3/h", 1, "Flow", "流量"),
        Quantity("head", "m", 2, "Pump head", "扬程"),
        Quantity("displacement", "mm", 1, "Displacement", "位移"),
        Quantity("rain", "mm", 1, "Rain", "降雨量"),
        Quantity("rain_intensity", "mm/h", 1, "Rain intensity", "降雨强度"),
        Quantity("phreatic_depth", "m", 2, "Depth of the phreatic line", "浸润线埋深"),
        Quantity("beach_length", "m", 1, "Dry beach length", "干滩长度"),
        Quantity("pore_pressure", "kPa", 2, "Pore pressure", "孔隙水压力"),
        Quantity("turbidity", "NTU", 1, "Turbidity", "浊度"),
        Quantity("pH", "pH", 2, "Acidity", "酸碱度"),
        Quantity("stress", "MPa", 2, "Stress", "应力"),
        Quantity("load", "kN", 1, "Load", "载荷"),
        Quantity("angle", "deg", 2, "Angle", "角度"),
        # people and positioning
        Quantity("headcount", "1", 0, "People present", "人数"),
        Quantity("battery", "%", 0, "Battery charge", "电池电量"),
        # the gateway itself
        Quantity("gateway_queue_batches", "1", 0, "Batches waiting", "待传批次"),
        Quantity("gateway_queue_size", "kBy", 0, "Queue size", "队列大小"),
        Quantity("gateway_offline_budget", "h", 1, "Time until the queue is full", "离线余量"),
        Quantity("gateway_cpu", "%", 1, "Processor load", "处理器负载"),
        Quantity("gateway_memory", "MBy", 1, "Memory used", "内存占用"),
        Quantity("gateway_disk_free", "MBy", 0, "Free disk space", "磁盘剩余"),
        Quantity("gateway_temperature", "Cel", 1, "Gateway temperature", "网关温度"),
        Quantity("gateway_clock_error", "ms", 1, "Bound on the clock error", "时钟误差上限"),
        Quantity("gateway_uptime", "s", 0, "Time since start", "运行时长"),
        Quantity("gateway_samples", "1/s", 1, "Samples read", "采样速率"),
        Quantity("gateway_scans_missed", "1", 0, "Scans missed", "漏扫次数"),
        Quantity("gateway_answers_lost", "1", 0, "Answers missing or broken", "应答失败次数"),
        Quantity("gateway_link_load", "%", 1, "Share of time a link is busy", "链路占用"),
        Quantity("gateway_poll_late", "ms", 1, "Delay of the latest scan", "轮询抖动"),
        Quantity("gateway_round_trip", "ms", 1, "Round trip to the server", "往返时延"),
    )
}


def convert(value: float, unit: str, to_unit: str) -> float:
    """Return `value` of `unit` in `to_unit`; ConfigError if a unit is unknown or the two do not measure the same."""
    if unit == to_unit and unit in UNITS:
        return value
    origin, target = _unit(unit), _unit(to_unit)
    if origin.dimension != target.dimension:
        raise ConfigError(f"{unit} is a {origin.dimension}, {to_unit} a {target.dimension}")
    factor = Fraction(origin.numerator * target.denominator, origin.denominator * target.numerator)
    if not math.isfinite(value):
        return value
    return float(Fraction(repr(value)) * factor)  # by the decimal that was written: 0.0024 % is 24 ppm exactly


def fits(quantity: str, unit: str) -> bool:
    """Tell whether `unit` can express `quantity`; both are codes of this file's tables."""
    known = QUANTITIES.get(quantity)
    return known is not None and unit in UNITS and UNITS[unit].dimension == UNITS[known.unit].dimension


def _unit(text: str) -> Unit:
    if text not in UNITS:
        raise ConfigError(f"unit {text!r} is not known", hint=f"use one of {', '.join(UNITS)}")
    return UNITS[text]
