"""The tutorial is true: its files, installed without a network, fail and pass its tests where it says they do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "hardware_sim" / "TUTORIAL.md").read_text()
EVERY = {name: body for name, _, body in re.findall(r"^`([^`\n]+)`\n```(\w+)\n(.*?)^```", TUTORIAL, re.M | re.S)}
BLOCKS = {name: body for name, body in EVERY.items() if not name.startswith("more/")}
GATEWAY = """
[gateway]
id = "gw-1"
site = "demo-mine"
structure = "structure.json"
points = "points.csv"
[[link]]
id = "flow"
kind = "acme-flow"
port = "/dev/ttyUSB7"
[[device]]
id = "flow"
link = "flow"
profile = "acme-flow"
"""


class Package:
    """The tutorial's package in a folder, and where it is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.target = folder / "package", folder / "installed"
        self.write("acme_flow/__init__.py", "")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def install(self) -> None:
        install = [sys.executable, "-m", "uv", "pip", "install", "-q", "--offline", "--no-deps", "--no-build-isolation"]
        self.run(*install, "--python", sys.executable, "--reinstall", "--target", str(self.target), str(self.folder))

    def run(self, *words: str, code: int = 0) -> str:
        environment = {**os.environ, "PYTHONPATH": f"{self.target}{os.pathsep}{ROOT}"}
        done = subprocess.run(
            words, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def test(self, *more: str, code: int = 0) -> str:
        plugins = ("-p", "hardware_sim.pytest", "-p", "no:cacheprovider")
        return self.run(
            sys.executable, "-m", "pytest", "-q", *plugins, "--rootdir", ".", *(more or ("tests",)), code=code
        )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    made = Package(tmp_path_factory.mktemp("acme"))
    for name, body in BLOCKS.items():
        if name != "acme_flow/driver.py":
            made.write(name, body)
    made.install()
    return made


def test_the_whole_package_has_at_most_80_lines() -> None:
    assert sum(bool(line.strip()) for body in BLOCKS.values() for line in body.splitlines()) <= 80


def test_without_the_driver_the_seven_tests_fail_and_name_the_package(package: Package) -> None:
    said = package.test(code=1)
    assert "7 failed" in said
    assert "driver 'acme-flow' of acme-flow (acme_flow.driver) cannot be loaded" in said


def test_with_the_driver_they_pass_and_the_agent_takes_the_kind(package: Package) -> None:
    package.write("acme_flow/driver.py", BLOCKS["acme_flow/driver.py"])
    package.install()
    assert "7 passed" in package.test()
    package.write("gateway.toml", GATEWAY)
    package.write("points.csv", "point,device,signal\nflow.velocity,flow,velocity\n")
    package.write("structure.json", '{"version": 1, "site": "demo-mine"}')
    said = package.run(sys.executable, "-m", "edge_agent", "check", "gateway.toml")
    assert "flow.velocity" in said
    assert "no fault" in said


def test_a_driver_that_trusts_the_checksum_blindly_is_caught(package: Package) -> None:
    body = BLOCKS["acme_flow/driver.py"]
    whole = next(line for line in body.splitlines() if line.strip().startswith("whole ="))
    package.write("acme_flow/driver.py", body.replace(whole, "        whole = found"))
    package.install()
    said = package.test("tests", "-k", "flipped", code=1)
    assert "and good, but was" in said


def test_the_fixtures_do_what_the_page_says(package: Package) -> None:
    package.write("more/test_fixtures.py", EVERY["more/test_fixtures.py"])
    assert "2 passed" in package.test("more")
