"""Quantities and units: every code is usable, conversions are exact to the written decimal."""

import pytest

from twin_wire.errors import ConfigError
from twin_wire.ids import is_id, is_name
from twin_wire.manifest import DECIMALS_MAX
from twin_wire.quantity import QUANTITIES, UNITS, convert, fits


@pytest.mark.parametrize("code", QUANTITIES)
def test_every_quantity_is_complete(code: str) -> None:
    quantity = QUANTITIES[code]
    assert quantity.code == code
    assert is_id(code)
    assert quantity.unit in UNITS
    assert 0 <= quantity.decimals <= DECIMALS_MAX
    assert is_name(quantity.name_en)
    assert quantity.name_en
    assert any("\u4e00" <= character <= "\u9fff" or character.isupper() for character in quantity.name_zh)


def test_names_are_told_apart() -> None:
    for field in ("name_en", "name_zh"):
        names = [getattr(quantity, field) for quantity in QUANTITIES.values()]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("value", "unit", "to_unit", "result"),
    [
        (0.0024, "%", "ppm", 24.0),
        (0.00066, "%", "ppm", 6.6),
        (24.0, "ppm", "%", 0.0024),
        (101.3, "kPa", "Pa", 101300.0),
        (0.1, "m", "mm", 100.0),
        (6.0, "m3/min", "m3/s", 0.1),
        (1.5, "%", "%", 1.5),
        (float("inf"), "Pa", "kPa", float("inf")),
    ],
)
def test_conversion_is_exact_to_the_decimal(value: float, unit: str, to_unit: str, result: float) -> None:
    assert convert(value, unit, to_unit) == result


@pytest.mark.parametrize(("unit", "to_unit"), [("%", "Pa"), ("furlong", "m"), ("m", "furlong"), ("x", "x")])
def test_units_that_do_not_fit_are_a_config_error(unit: str, to_unit: str) -> None:
    with pytest.raises(ConfigError):
        convert(1.0, unit, to_unit)


def test_a_unit_fits_when_it_measures_the_quantity() -> None:
    assert fits("CH4", "ppm")
    assert fits("pressure", "Pa")
    assert not fits("CH4", "Pa")
    assert not fits("CH4", "furlong")
    assert not fits("mood", "%")
