"""The build hook with a stand-in for Node: what it builds from, and what a failure leaves behind."""

import stat
import sys
from pathlib import Path

import pytest

import hatch_build

NODE = """#!{python}
import pathlib, sys
words = sys.argv[1:]
pathlib.Path("calls.txt").open("a").write(" ".join(words) + "\\n")
if pathlib.Path("break").exists() and pathlib.Path("break").read_text() in words:
    print("it does not work")
    raise SystemExit(3)
if "build" in words:
    out = pathlib.Path(".build") / words[words.index("--mode") + 1]
    out.mkdir(parents=True)
    name = "verify.html" if out.name == "offline" else "index.html"
    (out / name).write_text(pathlib.Path("src/app.css").read_text())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a tree with the least a build needs; `node` is a program that records how it is called."""
    (tmp_path / "web/src").mkdir(parents=True)
    (tmp_path / "web/index.html").write_text("page")
    (tmp_path / "web/src/app.css").write_text("first")
    node = tmp_path / "node"
    node.write_text(NODE.format(python=sys.executable))
    node.chmod(node.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def build(root: Path) -> None:
    hatch_build.build(root, root / "node", root / "npm-cli.js")


def test_a_build_is_fresh_until_a_source_changes(root: Path) -> None:
    assert not hatch_build.fresh(root)
    build(root)
    assert hatch_build.fresh(root)
    (root / "web/src/more.ts").write_text("x")
    assert not hatch_build.fresh(root)


def test_files_that_do_not_reach_the_pages_ask_for_no_build(root: Path) -> None:
    build(root)
    for name in ("tests/a.test.ts", "dev/fake_server.py", "node_modules/x/y.js", "README.md"):
        path = root / "web" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert hatch_build.fresh(root)


def test_names_and_contents_cannot_be_taken_for_one_another(root: Path) -> None:
    (root / "web/src/ab").write_text("c")
    before = hatch_build.digest(root / "web")
    (root / "web/src/ab").rename(root / "web/src/a")
    (root / "web/src/a").write_text("bc")
    assert hatch_build.digest(root / "web") != before


@pytest.mark.parametrize("step", ["ci", "build"])
def test_a_failed_build_leaves_the_last_good_pages(root: Path, step: str) -> None:
    build(root)
    (root / "web/src/app.css").write_text("second")
    (root / "web/break").write_text(step)
    with pytest.raises(hatch_build.BuildFailed, match="it does not work"):
        build(root)
    assert (root / "twin_server/static/index.html").read_text() == "first"
    assert not (root / "web/.build").exists()
    (root / "web/break").unlink()
    build(root)
    assert (root / "twin_server/static/index.html").read_text() == "second"


def test_the_gateways_page_is_built_once_it_exists(root: Path) -> None:
    build(root)
    assert not (root / "edge_agent").exists()
    (root / "web/gateway.html").write_text("page")
    build(root)
    assert (root / "edge_agent/static/index.html").is_file()


def test_the_page_that_opens_from_disk_lies_beside_the_servers(root: Path) -> None:
    (root / "web/verify.html").write_text("page")
    assert not hatch_build.fresh(root)
    build(root)
    assert (root / "twin_server/static/verify.html").read_text() == "first"
    assert (root / "twin_server/static/index.html").is_file()


def test_no_third_party_script_runs_at_install(root: Path) -> None:
    build(root)
    first = (root / "web/calls.txt").read_text().splitlines()[0].split()
    assert first[1] == "ci"
    assert {"--ignore-scripts", "--include=dev"} <= set(first)


def test_an_unknown_mode_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_WEB", "maybe")
    with pytest.raises(SystemExit, match="auto, require, skip"):
        hatch_build.mode()


def test_the_lock_file_names_no_registry() -> None:
    lock = (Path(hatch_build.__file__).parent / "web/package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') > 50
