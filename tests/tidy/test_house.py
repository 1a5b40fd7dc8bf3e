"""The rules of the house, checked: layers, cycles, sizes, docstrings, banned words, no hosts in the locks."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS: dict[str, set[str]] = {
    "twin_wire": set(),
    "drivers": {"twin_wire"},
    "buffering": {"twin_wire"},
    "edge_agent": {"twin_wire", "drivers", "buffering"},
    "twin_server": {"twin_wire"},
    "hardware_sim": {"twin_wire"},
}
SIM_MAY_USE = {"twin_wire.errors", "twin_wire.quantity"}
PURE = {
    "asyncio",
    "socket",
    "sqlite3",
    "serial",
    "pymodbus",
    "aiohttp",
    "threading",
    "subprocess",
    "time",
    "os",
    "random",
}
FILE_LINES_MAX, FUNCTION_LINES_MAX = 400, 50
BROAD_EXCEPT = {"edge_agent/agent.py", "edge_agent/detect/__init__.py", "edge_agent/poll.py", "twin_server/app.py"}
BANNED = {
    r"\bprint\(": "logging, or sys.stdout in a __main__",
    r"\b(FIXME|TODO|XXX)\b": "do it",
    r"^\s*# type: ignore$": "say which",
}
SOURCES = sorted(p for package in LAYERS for p in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_file_keeps_to_its_layer(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = set(imports(ast.walk(parsed(path))))
    roots = {name.split(".")[0] for name in names}
    assert roots & LAYERS.keys() <= LAYERS[package] | {package}
    if package == "twin_wire":
        assert not roots & PURE, "twin_wire does no I/O and has no clock"
    if package == "hardware_sim":
        ours = {n for n in names if n.startswith("twin_wire.")}
        assert all(any(n == m or n.startswith(m + ".") for m in SIM_MAY_USE) for n in ours), (
            "the simulator shares no encoder"
        )


def test_all_of_pymodbus_comes_through_one_module() -> None:
    users = {name_of(p) for p in SOURCES if any(n.split(".")[0] == "pymodbus" for n in imports(ast.walk(parsed(p))))}
    assert users == {"drivers/modbus/pymodbus_lines.py"}, "its interface changes with every minor version"


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or 0) - first.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_file_is_small_and_says_what_it_is_for(path: Path) -> None:
    text, tree = path.read_text(), parsed(path)
    assert ast.get_docstring(tree), "the file opens with a line that says what it is for"
    assert text.count("\n") <= FILE_LINES_MAX
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert body_lines(node) <= FUNCTION_LINES_MAX, f"{node.name} has {body_lines(node)} lines"
        if isinstance(node, ast.ExceptHandler) and not catches_by_name(node):
            assert name_of(path) in BROAD_EXCEPT, f"line {node.lineno}: name the error"
    for pattern, instead in BANNED.items():
        if path.name not in ("__main__.py", "demo.py"):
            found = re.search(pattern, text, re.M)
            assert not found, f"{found and found[0]}: {instead}"


def catches_by_name(node: ast.ExceptHandler) -> bool:
    return node.type is not None and "Exception" not in {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}


def test_no_import_goes_in_a_circle() -> None:
    modules = {name_of(p)[:-3].replace("/", ".").removesuffix(".__init__"): p for p in SOURCES}
    graph = {m: {n for n in imports(iter(parsed(p).body)) if n in modules and n != m} for m, p in modules.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for used in graph[module]:
                visit(used, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_packages_are_those_of_pyproject_and_each_has_a_readme() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(config["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == LAYERS.keys()
    assert not LAYERS.keys() & sys.stdlib_module_names
    missing = [p for p in (*LAYERS, "web", "tests") if not (ROOT / p / "README.md").is_file()]
    assert not missing


def test_the_locks_hold_hashes_and_no_hosts() -> None:
    python = (ROOT / "requirements.lock").read_text()
    assert "://" not in python
    assert "--hash=sha256:" in python
    for lock in ROOT.glob("**/package-lock.json"):
        if "node_modules" not in lock.parts and ".cache" not in lock.parts:
            text = lock.read_text()
            assert '"resolved"' not in text, lock
            assert '"integrity"' in text, lock
