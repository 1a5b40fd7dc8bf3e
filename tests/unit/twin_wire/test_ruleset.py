"""Rulesets: every number has a source, and what is only recalled arms nothing by itself."""

from importlib.resources import files
from typing import Any

import pytest

from twin_wire.errors import ConfigError
from twin_wire.manifest import Limit
from twin_wire.ruleset import ANYWHERE, Ruleset, limits_for, load_ruleset, unarmed_for

FOLDER = files("twin_wire") / "rulesets"
SHIPPED = sorted(path.name for path in FOLDER.iterdir() if path.name.endswith(".toml"))
COAL = load_ruleset((FOLDER / "coal-cn.toml").read_text("utf-8"))

HEAD = '[ruleset]\nid = "x"\nversion = "1"\ntitle = "t"\njurisdiction = "CN"\n'
SOURCE = '[[source]]\nid = "s"\ntitle = "t"\n'
PLACES = "".join(f'[[place]]\nid = "{name}"\nname_en = "e"\nname_zh = "z"\n' for name in ("here", "there"))


def rule(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "quantity": "CO",
        "place": "here",
        "kind": "high",
        "role": "alarm",
        "severity": 2,
        "value": 24.0,
        "restore": 20.0,
        "unit": "ppm",
        "confidence": "SEEN",
        "source": "s",
    }
    lines = [f"{key} = {value!r}" for key, value in (fields | changes).items()]
    return "[[rule]]\n" + "\n".join(lines) + "\n"


def ruleset(*rules: str) -> Ruleset:
    return load_ruleset(HEAD + SOURCE + PLACES + "".join(rules))


def limit(severity: int, value: float, restore: float, source: str = "x/1", kind: Any = "high") -> Limit:
    return Limit(kind=kind, severity=severity, value=value, restore=restore, delay_s=0.0, source=source)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_ruleset_is_sound(name: str) -> None:
    shipped = load_ruleset((FOLDER / name).read_text("utf-8"))
    assert f"{shipped.id}.toml" == name
    assert shipped.rules
    for place in (ANYWHERE, *(place.id for place in shipped.places)):
        for quantity in {each.quantity for each in shipped.rules}:
            limits_for(shipped, quantity, place)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_number_is_recalled_and_approved(name: str) -> None:
    shipped = load_ruleset((FOLDER / name).read_text("utf-8"))
    assert not any(each.approved_by for each in shipped.rules)
    assert all((each.source == "memory") == (each.confidence == "RECALLED") for each in shipped.rules)


@pytest.mark.parametrize(
    ("place", "limits"),
    [
        ("heading_face", [(1, 1.5, 1.0), (2, 1.0, 1.0)]),
        ("heading_return", [(1, 1.0, 1.0)]),
        ("face_return_corner", [(1, 1.5, 1.0), (2, 1.0, 1.0)]),
        ("intake", [(1, 0.5, 0.5)]),
        ("heading_series_fan", [(1, 1.5, 0.5)]),
        ("total_return", []),
    ],
)
def test_methane_limits_are_those_of_the_table(place: str, limits: list[tuple[int, float, float]]) -> None:
    assert limits_for(COAL, "CH4", place) == tuple(limit(*each, source="coal-cn/2026.11") for each in limits)


def test_limits_come_in_the_unit_of_the_point() -> None:
    assert limits_for(COAL, "CO", "heading_face")[0].value == 24.0
    assert limits_for(COAL, "CO", "heading_face", "%")[0].value == 0.0024
    assert limits_for(COAL, "CH4", "heading_face", "ppm")[1].value == 10_000.0
    with pytest.raises(ConfigError):
        limits_for(COAL, "CO", "heading_face", "Pa")


def test_a_recalled_number_arms_nothing_until_someone_confirms_it() -> None:
    recalled = ruleset(rule(confidence="RECALLED"))
    assert limits_for(recalled, "CO", "here") == ()
    assert unarmed_for(recalled, "CO", "here") == recalled.rules
    confirmed = ruleset(rule(confidence="RECALLED", approved_by="u7"))
    assert limits_for(confirmed, "CO", "here") == (limit(2, 24.0, 20.0),)
    assert unarmed_for(confirmed, "CO", "here") == ()


def test_a_rule_of_the_place_replaces_the_general_one_of_the_same_role() -> None:
    rules = ruleset(
        rule(place="*"), rule(place="here", value=50.0), rule(place="*", role="power_off", severity=1, value=100.0)
    )
    assert [each.value for each in limits_for(rules, "CO", "here")] == [100.0, 50.0]
    assert [each.value for each in limits_for(rules, "CO", "there")] == [100.0, 24.0]
    assert [each.value for each in limits_for(rules, "CO", ANYWHERE)] == [100.0, 24.0]
    assert limits_for(rules, "CH4", "here") == ()


def test_an_unknown_place_or_quantity_is_a_config_error_with_a_hint() -> None:
    with pytest.raises(ConfigError) as caught:
        limits_for(COAL, "CH4", "moon")
    assert "heading_face" in caught.value.hint
    with pytest.raises(ConfigError):
        limits_for(COAL, "mood", "heading_face")


def test_all_faults_are_listed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        ruleset(
            rule(quantity="mood"),
            rule(unit="Pa"),
            rule(place="nowhere", source="nobody"),
            rule(severity=5),
            rule(restore=25.0),
            rule(kind="low", restore=20.0),
            rule(value=float("inf")),
            rule(colour="red"),
        )
    assert [path for path, _ in caught.value.faults] == [
        "$.rule[7]",
        "$.rule[0].quantity",
        "$.rule[1].unit",
        "$.rule[2].source",
        "$.rule[2].place",
        "$.rule[3].severity",
        "$.rule[4].restore",
        "$.rule[5].restore",
        "$.rule[6]",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        HEAD + "[extra]\na = 1\n",
        HEAD.replace('"x"', '"a b"'),
        HEAD + SOURCE * 2,
        HEAD + "[rule]\na = 1\n",
        HEAD + 'colour = "red"\n',
        "a = " + "[" * 5000,
        "#" * ((1 << 20) + 1),
    ],
    ids=lambda text: text[:30],
)
def test_text_that_is_no_ruleset_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        load_ruleset(text)
