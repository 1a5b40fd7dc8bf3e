"""A gateway's configuration folder for tests: two links, three devices, a small plan, limits by site and ruleset."""

import json
from pathlib import Path

GATEWAY = """
[gateway]
id = "gw-1"
name = "North wing 北翼"
site = "demo"
structure = "structure.json"
ruleset = "coal-cn"
[page]
listen = "127.0.0.1:0"
[queue]
quota_mb = 4
[[link]]
id = "bus-1"
kind = "modbus-rtu"
port = "{folder}/bus-1"
baud = 19200
[[link]]
id = "plc"
kind = "modbus-tcp"
host = "127.0.0.1"
tcp_port = {tcp_port}
[[device]]
id = "ch4-1"
link = "bus-1"
profile = "draeger-polytron-8000"
unit = 3
[[device]]
id = "dust-1"
link = "bus-1"
profile = "delta-ohm-pmsense"
unit = 4
period_s = 2.0
[[device]]
id = "fan-1"
link = "plc"
profile = "abb-acs550"
unit = 1
"""

POINTS = """point,device,signal,name,zone,roadway,chainage_m,place,warn_high,alarm_high,hysteresis,delay_s
ch4-face,ch4-1,ch4,CH4 face 甲烷,z-heading,heading,90,heading_face,0.8,,0.05,
dust,dust-1,pm10,Dust,z-heading,heading,50,,,,,
fan-speed,fan-1,speed,Fan speed,,,,,,,,
"""

STRUCTURE = {
    "version": 1,
    "site": "demo",
    "name": "Demo",
    "junctions": [{"id": "a", "x_m": 0, "y_m": 0, "z_m": 0}, {"id": "b", "x_m": 100, "y_m": 0, "z_m": 0}],
    "roadways": [{"id": "heading", "from": "a", "to": "b", "length_m": 100, "zone": "z-heading", "area_m2": 12}],
    "zones": [{"id": "z-heading", "name": "Heading", "kind": "heading"}],
}


def write_folder(folder: Path, gateway: str = GATEWAY, points: str = POINTS, tcp_port: int = 1502) -> Path:
    """Write the folder and return the path of its gateway.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    text = gateway.replace("{folder}", str(folder)).replace("{tcp_port}", str(tcp_port))
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    (folder / "points.csv").write_text(points, encoding="utf-8")
    (folder / "structure.json").write_text(json.dumps(STRUCTURE), encoding="utf-8")
    return folder / "gateway.toml"
