"""One sentence a shift foreman understands, in English and Chinese: what, where, numbers, who says so, what to do."""

from collections.abc import Sequence

from edge_agent.detect.fuse import Verdict
from edge_agent.detect.sites import Channel

SHOWN = {
    "hazard": ("hazard", "险情"),
    "fault": ("sensor fault", "传感器故障"),
    "tamper": ("signal inconsistent, check on site", "信号异常待核查"),
    "benign": ("harmless", "无危险"),
}
CHECK = ("Look into it now; do not wait for the limit.", "请立即查看，不要等到报警限值。")
REPAIR = ("Check and repair the instrument; do not rely on it.", "请检修仪表，暂勿依赖其读数。")
SITE = ("Check on site; do not clear it from afar.", "请现场核查，勿远程解除。")
NONE = ("Nothing to do.", "无需处理。")
DO = {"hazard": CHECK, "fault": REPAIR, "tamper": SITE, "benign": NONE}
TEXT: dict[str, tuple[str, str]] = {
    "fan": (
        "the fan draws {value} {unit}, usually {usual}: it has stopped or is failing",
        "风机电流{value} {unit}，平时{usual}：风机停转或失效",
    ),
    "fan_slow": (
        "the fan draws {value} {unit}, usually at least {low}, and the air slows",
        "风机电流{value} {unit}，平时不低于{low}，风速同时下降",
    ),
    "ventilation": ("air at {value} {unit}, usually at least {low}", "风速{value} {unit}，平时不低于{low}"),
    "gas_near": (
        "{quantity} at {value} {unit}, usually within {low} to {high}, and neighbours say so too",
        "{quantity}为{value} {unit}，平时{low}至{high}，相邻测点同时异常",
    ),
    "gas_far": (
        "{quantity} at {value} {unit}, far outside its usual {low} to {high}",
        "{quantity}为{value} {unit}，远超平时的{low}至{high}",
    ),
    "gas_alone": (
        "{quantity} at {value} {unit}, usually within {low} to {high}, for {minutes} min; no sensor symptom",
        "{quantity}为{value} {unit}，平时{low}至{high}，已持续{minutes}分钟，未见传感器故障迹象",
    ),
    "slow": (
        "{quantity} at {value} {unit} and moving out of its usual {low} to {high}",
        "{quantity}为{value} {unit}，正偏离平时的{low}至{high}",
    ),
    "idle": (
        "stands still for longer than it ever did, {value} {unit}",
        "停机时间超过以往，电流{value} {unit}",
    ),
    "calibration": (
        "reading {value} {unit} looks like zero air and test gas; nobody nearby moves",
        "读数{value} {unit}符合零点气与标准气校准，周围测点无变化",
    ),
    "mark": ("marked as being calibrated while its neighbours show danger", "标记为校准中，但相邻测点显示险情"),
    "blasting": (
        "{quantity} at {value} {unit} after a blast; the air moves",
        "爆破后{quantity}为{value} {unit}，通风正常",
    ),
    "weather": ("moves with the weather, now {value} {unit}", "随天气变化，现为{value} {unit}"),
    "power": ("a whole group fell silent together: its power supply", "同组测点同时中断：供电问题"),
    "replay": ("shows exactly the readings it showed before", "读数与此前完全重复"),
    "silent": ("no reading for {minutes} min", "已{minutes}分钟无读数"),
    "dropout": ("many readings are missing", "读数大量缺失"),
    "spikes": ("single readings jump and come back", "读数频繁跳变又恢复"),
    "noisy": ("far noisier than usual around {value} {unit}", "读数在{value} {unit}附近波动远大于平时"),
    "stuck": ("unchanged at {value} {unit} for {minutes} min", "读数{value} {unit}已{minutes}分钟不变"),
    "scale_end": ("stands at the end of its scale, {value} {unit}", "读数停在量程端点{value} {unit}"),
    "zero": ("reads {value} {unit}, usually {usual}", "读数{value} {unit}，平时{usual}"),
    "swap": (
        "shows what another point showed since both stepped together: wires exchanged",
        "与另一测点同时跳变并互换读数：疑似接线互换",
    ),
    "step_down": (
        "fell to {value} {unit} faster than its sensor can follow",
        "读数以超过传感器响应的速度降至{value} {unit}",
    ),
    "step": (
        "jumped to {value} {unit} faster than its sensor can follow",
        "读数以超过传感器响应的速度跳至{value} {unit}",
    ),
    "lowered": (
        "reads {value} {unit}, lower or calmer than its partners say, for {minutes} min: covered or lowered",
        "读数{value} {unit}低于或平静于相关测点，已{minutes}分钟：疑似遮盖或压低",
    ),
    "below": (
        "reads {value} {unit}, below everything it ever showed ({low} to {high})",
        "读数{value} {unit}低于历来的{low}至{high}",
    ),
    "disagrees": (
        "reads {value} {unit}, its usual {low} to {high}, and its partners say otherwise for {minutes} min",
        "读数{value} {unit}，平时{low}至{high}，与相关测点不符已{minutes}分钟",
    ),
}


def sentence(verdict: Verdict, channels: Sequence[Channel], chinese: bool = False) -> str:
    """Return the sentence of a verdict."""
    which = int(chinese)
    channel = channels[verdict.point]
    numbers = {name: f"{value:.4g}" for name, value in verdict.numbers.items()}
    numbers |= {"unit": channel.unit, "quantity": channel.quantity or ("value", "读数")[which]}
    numbers["minutes"] = f"{max(verdict.numbers.get('held_s', 0.0), 60.0) / 60.0:.0f}"
    said = TEXT[verdict.rule][which].format_map(numbers).replace(" ,", ",")
    others = [channels[o].id for o in verdict.others]
    place = channel.place
    if chinese:
        at = f"（{place}）" if place else ""
        seen = f"；参照：{'、'.join(others)}" if others else ""
        return f"{SHOWN[verdict.kind][1]}：{channel.id}{at}{said}{seen}。{DO[verdict.kind][1]}"
    at = f" at {place}" if place else ""
    seen = f" (see {', '.join(others)})" if others else ""
    return f"{SHOWN[verdict.kind][0]}: {channel.id}{at}: {said}{seen}. {DO[verdict.kind][0]}"
