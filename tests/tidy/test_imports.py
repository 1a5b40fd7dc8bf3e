"""Each process starts without the packages that are not its own."""

import subprocess
import sys

import pytest

FOREIGN = {
    "twin_server.app": (
        "numba",
        "serial",
        "pymodbus",
        "minimalmodbus",
        "tinydb",
        "drivers",
        "edge_agent",
        "hardware_sim",
    ),
    "edge_agent.agent": ("uvloop", "psycopg", "pymodbus", "minimalmodbus", "twin_server", "hardware_sim"),
    "twin_wire.statement": ("numpy", "asyncio", "aiohttp"),
    "twin_wire.receipt": ("numpy", "asyncio", "aiohttp"),
    "twin_wire.exchange": ("numpy", "asyncio", "aiohttp"),
    "twin_wire.manifest": ("numpy", "asyncio", "aiohttp"),
    "twin_wire.structure": ("numpy", "asyncio", "aiohttp"),
    "twin_wire.ruleset": ("numpy", "asyncio", "aiohttp"),
    "hardware_sim.pytest": ("numpy", "aiohttp", "serial", "drivers", "edge_agent", "hardware_sim.bus"),
    "hardware_sim.world": ("drivers", "edge_agent", "twin_server", "numba"),
}


@pytest.mark.parametrize("module", FOREIGN)
def test_importing_it_loads_nothing_foreign(module: str) -> None:
    code = f"import sys, {module}; print(*[n for n in {FOREIGN[module]!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
