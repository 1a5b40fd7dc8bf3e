"""Programs and libraries of Debian that tests talk to: the system's, else unpacked into .cache without root.

`python -m tests.support.debian` makes all of them ready. Nothing here is part of the product or shipped with it.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache/debian"
UNPACKED = CACHE / "root"
PROGRAMS = {"mbpoll": "mbpoll", "tshark": "tshark", "gpsdecode": "gpsd-clients"}
SECONDS_MAX = 50  # a test may take 120


class Missing(Exception):
    """A package that this machine has not and cannot get; the text says why."""


def _apt(*words: str) -> str:
    """Run apt-get on lists and archives of our own, so that neither root nor the system's lists are needed."""
    for name in ("lists/partial", "archives/partial"):
        (CACHE / name).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": CACHE / "lists",
        "Dir::Cache": CACHE,
        "Dir::Cache::archives": CACHE / "archives",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "15",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    command = ["apt-get", "-q", *flags, *words]
    try:
        done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired as error:
        raise Missing(f"apt-get {words[0]} took more than {SECONDS_MAX} s: no network?") from error
    if done.returncode:
        raise Missing(f"apt-get {words[0]}: {done.stderr.strip()[-300:] or done.stdout.strip()[-300:]}")
    return done.stdout


def unpack(package: str) -> Path:
    """Return the folder where a package is unpacked; Missing, without trying again in the same process."""
    found = _unpacked(package)
    if isinstance(found, Missing):
        raise found
    return found


@cache
def _unpacked(package: str) -> Path | Missing:
    try:
        return _unpack(package)
    except Missing as why:
        return why


def _unpack(package: str) -> Path:
    """Return the folder where `package` and all it needs beyond this machine's packages is unpacked; Missing."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Missing(f"{package} is not here, and this is not Debian")
    CACHE.mkdir(parents=True, exist_ok=True)
    stamp = CACHE / f"{package}.done"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            _apt("update")
            wanted = _apt("install", "--print-uris", "-y", "--no-install-recommends", "--reinstall", package)
            names = {line.split("_")[0] for line in re.findall(r"^'\S+' (\S+\.deb) ", wanted, re.M)} or {package}
            _apt("download", *sorted(names))
            for archive in CACHE.glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", archive, UNPACKED], check=True)
                archive.unlink()
            stamp.touch()
    return UNPACKED


def library_path() -> str:
    """Return LD_LIBRARY_PATH for what was unpacked."""
    folders = [*UNPACKED.glob("usr/lib/*-linux-gnu"), *UNPACKED.glob("lib/*-linux-gnu")]
    return os.pathsep.join(map(str, folders))


def program(name: str) -> tuple[str, dict[str, str]]:
    """Return (path, environment) to run one of PROGRAMS with; Missing."""
    found = shutil.which(name)
    if found:
        return found, dict(os.environ)
    path = unpack(PROGRAMS[name]) / "usr/bin" / name
    if not path.exists():
        raise Missing(f"{name} was not in the package {PROGRAMS[name]}")
    return str(path), {**os.environ, "LD_LIBRARY_PATH": library_path()}


def libmodbus() -> tuple[Path, list[str], dict[str, str]]:
    """Return (folder of its examples, flags for gcc, environment to run with); Missing."""
    if shutil.which("gcc") is None:
        raise Missing("no gcc")
    root = Path("/")
    if not (root / "usr/include/modbus/modbus.h").exists():
        root = unpack("libmodbus-dev")
    examples = root / "usr/share/doc/libmodbus-dev/examples"
    libraries = [f"-L{folder}" for folder in (root / "usr/lib").glob("*-linux-gnu")]
    if not (examples / "unit-test-server.c").is_file():
        raise Missing(f"no {examples}")
    environment = dict(os.environ) if root == Path("/") else {**os.environ, "LD_LIBRARY_PATH": library_path()}
    return examples, [f"-I{root}/usr/include/modbus", *libraries, "-lmodbus"], environment


if __name__ == "__main__":
    for what in PROGRAMS:
        sys.stderr.write(f"{what}: {program(what)[0]}\n")
    sys.stderr.write(f"libmodbus: {libmodbus()[0]}\n")
