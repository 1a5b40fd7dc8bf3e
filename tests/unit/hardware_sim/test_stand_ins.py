"""A stand-in of another package is served by its kind, with the values of its points; a broken one is named."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from hardware_sim.served import READY, Served
from hardware_sim.stand_ins import profile_beside, stand_in
from twin_wire.errors import ConfigError

PROFILES = Path(__file__).parents[3] / "drivers" / "profiles"
TALKER = """
from hardware_sim.pusher import Said
class Talker:
    def __init__(self):
        self.shown = {}
    def show(self, name, value):
        self.shown[name] = value
    def due(self, now_s):
        return [Said(b"v=%.2f;" % self.shown["velocity"], 0)]
    def hear(self, data, now_s):
        return []
"""
PROFILE = """
provenance = [{ document = "made up" }]
signal = [{ id = "velocity", quantity = "wind_speed", unit = "m/s", decimals = 2 }]
[profile]
id = "acme-line"
vendor = "ACME"
model = "Line"
protocol = "acme-line"
rung = "simulated"
"""
GATEWAY = """
[gateway]
id = "gw-1"
[[link]]
id = "flow"
kind = "acme-line"
port = "/dev/ttyUSB7"
baud = 115200
[[link]]
id = "other"
kind = "acme-unheard-of"
port = "/dev/ttyUSB8"
[[device]]
id = "flow"
link = "flow"
profile = "acme-line"
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay an outside package onto the path."""
    info = tmp_path / "acme_line-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-line\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mine_twin.stand_ins]\nacme-line = acme_line.stand_in:Talker\n")
    (tmp_path / "acme_line").mkdir()
    (tmp_path / "acme_line" / "__init__.py").write_text("")
    (tmp_path / "acme_line" / "stand_in.py").write_text(TALKER)
    (tmp_path / "acme_line" / "acme-line.toml").write_text(PROFILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in [name for name in sys.modules if name.partition(".")[0] == "acme_line"]:
        monkeypatch.delitem(sys.modules, module)
    return tmp_path / "acme_line"


def test_a_configuration_with_an_outside_kind_is_served(package: Path, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(GATEWAY)
    (tmp_path / "points.csv").write_text("point,device,signal\nflow.velocity,flow,velocity\n")
    assert profile_beside("acme-line") == package / "acme-line.toml"

    async def main() -> bytes:
        served = Served(tmp_path / "gateway.toml", tmp_path / "run", PROFILES, 1)
        assert served.missing == ["other (acme-unheard-of)"]
        task = asyncio.create_task(served.run())
        while not (tmp_path / "run" / READY).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        port = json.loads((tmp_path / "run" / READY).read_text())["links"]["flow"]["port"]
        end = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        said = b""
        while b";" not in said:
            await asyncio.sleep(0.05)
            try:
                said += os.read(end, 100)
            except BlockingIOError:
                continue
        os.close(end)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return said

    name, _, value = asyncio.run(asyncio.wait_for(main(), 10.0)).decode().partition("=")
    assert name == "v"
    assert 1.8 <= float(value.partition(";")[0]) <= 3.0  # what is usual for a wind


def test_a_broken_stand_in_is_a_config_error_that_names_the_package(package: Path) -> None:
    (package / "stand_in.py").write_text("raise RuntimeError('no')")
    with pytest.raises(ConfigError, match=r"acme-line \(acme_line.stand_in:Talker\) cannot be loaded: RuntimeError"):
        stand_in("acme-line")
    (package / "stand_in.py").write_text("class Talker:\n    def due(self, now_s): ...\n")
    sys.modules.pop("acme_line.stand_in", None)
    with pytest.raises(ConfigError, match="has no hear and no show"):
        stand_in("acme-line")
    assert stand_in("acme-unheard-of") is None
