"""Drivers of other packages: found by name, ours win, broken ones are named."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import drivers
from drivers.plugins import load_plugin, plugin_kinds, plugin_profile
from twin_wire.errors import ConfigError

GOOD = "def check_options(options): return 'there'\nasync def open_link(options, clock): return None\n"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lay a package with one entry point into a folder that is on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def lay(name: str, kind: str, code: str | None, value: str = "") -> None:
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[mine_twin.drivers]\n{kind} = {value or name + '.driver'}\n")
        if code is not None:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("")
            (tmp_path / name / "driver.py").write_text(code)
        for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, module)

    return lay


def test_a_kind_of_another_package_is_known_and_used(install: Install) -> None:
    install("outside_a", "acme-a", GOOD)
    assert "acme-a" in plugin_kinds()
    assert "acme-a" in drivers.kinds()
    assert drivers.check_options("acme-a", {}) == "there"


def test_nobody_replaces_a_kind_of_ours(install: Install) -> None:
    install("outside_b", "linktrack", "raise ImportError('never loaded')")
    assert drivers.kinds().count("linktrack") == 1
    with pytest.raises(ConfigError, match="port"):
        drivers.check_options("linktrack", {})


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (None, "No module named 'outside_c'"),
        ("import not_there_at_all", "No module named 'not_there_at_all'"),
        ("def (", "SyntaxError"),
        ("x = 1 / 'a'", "TypeError"),
        ("x = 1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("async def open_link(options, clock): return None", "has no check_options"),
    ],
)
def test_a_broken_one_is_a_config_error_that_names_the_package(install: Install, code: str | None, says: str) -> None:
    install("outside_c", "acme-c", code)
    with pytest.raises(ConfigError) as caught:
        drivers.check_options("acme-c", {})
    assert "outside_c" in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.faults[0][0] == "kind"


def test_two_packages_with_one_kind_are_refused_and_both_named(install: Install) -> None:
    install("outside_d", "acme-d", GOOD)
    install("outside_e", "acme-d", GOOD)
    with pytest.raises(ConfigError, match=r"outside_d.*outside_e"):
        load_plugin("acme-d")


def test_a_kind_nobody_offers_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        drivers.check_options("acme-x", {})
    assert "modbus-rtu" in caught.value.hint


def test_a_profile_beside_the_driver_is_found_by_its_name_and_may_name_its_kind(
    install: Install, tmp_path: Path
) -> None:
    install("outside_f", "acme-f", GOOD)
    text = (
        'provenance = [{document = "d"}]\nsignal = [{id = "v", quantity = "level", unit = "m"}]\n'
        '[profile]\nid = "acme-f"\nvendor = ""\nmodel = ""\nprotocol = "acme-f"\nrung = "simulated"\n'
    )
    (tmp_path / "outside_f" / "acme-f.toml").write_text(text)
    assert plugin_profile("acme-f") == tmp_path / "outside_f" / "acme-f.toml"
    assert drivers.load_profile("acme-f").protocol == "acme-f"
    (tmp_path / "outside_f" / "other.toml").write_text(text.replace('"acme-f"', '"other"'))
    with pytest.raises(ConfigError, match="protocol"):
        drivers.load_profile("other")
