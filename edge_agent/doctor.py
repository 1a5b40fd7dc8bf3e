"""Looks at everything a gateway needs and says of each whether it is well, and what to do if not; changes nothing."""

import asyncio
import importlib.util
import os
import shutil
import ssl
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509

import drivers
from edge_agent.ask_page import running_agent
from edge_agent.clock import NONE, PLAUSIBLE_US, SystemClock, read_kernel_clock
from edge_agent.config import Config, is_loopback, listen_address
from edge_agent.identity import key_path, load_identity
from edge_agent.load import link_loads, load_advice, load_text
from edge_agent.page_tls import fingerprint
from edge_agent.wiring import Finding, wiring
from twin_wire.errors import ConfigError, LinkError, StoreError
from twin_wire.keys import kid_text

PACKAGES = ("twin_wire", "drivers", "buffering", "edge_agent", "twin_server", "hardware_sim")
TIMEOUT = aiohttp.ClientTimeout(total=10)


async def examine(config: Config, ask: bool = False) -> list[Finding]:
    """Return a finding for everything that was looked at, in the order to mend it; `ask` asks where nobody polls."""
    findings = [_packages(), _state_folder(config), _disk(config), _clock(), *_ports(config)]
    unreadable = await open_sources(config)
    findings += unreadable
    if not unreadable:
        loads = await link_loads(config)
        findings += [Finding(f"load of {link}", load_text(load), load_advice(load)) for link, load in loads]
    running = await running_state(config)
    findings.append(Finding("agent", "runs" if running else "does not run on this configuration now"))
    findings += await wiring(config, running, ask)
    findings += _page(config)
    try:
        epoch, key_id, server = _enrolment(config, running)
    except (ConfigError, StoreError) as error:
        findings.append(Finding("enrolment", str(error), error.hint))
        return findings
    findings.append(Finding("enrolment", f"epoch {epoch}, key {key_id}"))
    findings.append(_key_file(config, epoch))
    findings.append(await _server(config, server))
    return findings


def _enrolment(config: Config, running: Mapping[str, Any] | None) -> tuple[int, str, str]:
    """Return epoch, key id and server: as a running agent says, for it alone may open the state, else from there."""
    if running is not None:
        return running["sync"]["epoch"], running["key_id"], running["sync"]["server"]
    identity, key = load_identity(config)
    return identity.epoch, kid_text(key.public.kid), identity.server


def _packages() -> Finding:
    """Another distribution may have overwritten a package with so plain a name; then they do not lie together."""
    folders = {}
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        folders[name] = Path(spec.origin).parent.parent if spec and spec.origin else None
    home = folders["edge_agent"]
    strangers = [name for name, folder in folders.items() if folder != home]
    if strangers:
        advice = "install mine-twin into an environment of its own (pipx install mine-twin[edge])"
        return Finding("packages", f"not beside edge_agent: {', '.join(strangers)}", advice)
    return Finding("packages", f"all in {home}")


def _state_folder(config: Config) -> Finding:
    folder = config.state if config.state.exists() else config.folder
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding(
            "state folder", f"{folder} cannot be written by uid {os.geteuid()}", "change its owner or the user"
        )
    return Finding("state folder", str(config.state))


def _disk(config: Config) -> Finding:
    folder = config.state if config.state.exists() else config.folder
    free = shutil.disk_usage(folder).free
    queue = config.state / "queue.db"
    wanted = config.quota_bytes + (16 << 20) - (queue.stat().st_size if queue.exists() else 0)
    seen = f"{free >> 20} MiB free, the queue may take {config.quota_bytes >> 20} MiB"
    return Finding("disk", seen, "" if free >= wanted else "free the disk, or lower queue.quota_mb")


def _clock() -> Finding:
    clock, now_us = read_kernel_clock(), SystemClock().time_us()
    if now_us < PLAUSIBLE_US:
        return Finding("clock", "was never set", "set it: NTP, a GNSS receiver, or a clock chip with a battery")
    if clock.sync == NONE:
        return Finding("clock", "is not synchronised", "point systemd-timesyncd or chrony at a server of the site")
    return Finding("clock", f"is synchronised, error at most {clock.error_us / 1e3:.1f} ms")


def _ports(config: Config) -> Iterator[Finding]:
    for link in config.links:
        folder = link.options.get("folder")
        if isinstance(folder, str):
            there = Path(folder).is_dir() and os.access(folder, os.R_OK | os.X_OK)
            advice = "" if there else "does the host's share or FTP folder exist, and may this user read it?"
            yield Finding(f"folder of {link.id}", f"{folder} is {'there' if there else 'not readable'}", advice)
        port = link.options.get("port")
        if not isinstance(port, str):
            continue
        path, what = Path(port), f"port of {link.id}"
        if not path.exists():
            yield Finding(what, f"{port} is not there", "plugged in? look in /dev/serial/by-path")
        elif not os.access(path, os.R_OK | os.W_OK):
            yield Finding(what, f"{port} may not be used", "add the user to the group dialout")
        elif not path.is_symlink() and port.startswith("/dev/tty"):
            yield Finding(what, f"{port} changes when adapters are re-plugged", "use its name in /dev/serial/by-path")
        else:
            yield Finding(what, f"{port} is there")


async def open_sources(config: Config) -> list[Finding]:
    """Return a finding for every link whose driver refuses its devices or points; opens no port."""
    findings: list[Finding] = []
    for link in config.links:
        opened = await drivers.open_link(link.kind, link.options, SystemClock())
        try:
            opened.sources(config.device_options(link.id), config.point_options(link.id))
        except ConfigError as error:
            found = error.faults or (("", str(error)),)
            findings += [
                Finding(f"link {link.id}", f"{path}: {message}", error.hint or "mend it") for path, message in found
            ]
        finally:
            await opened.close()
    return findings


def _key_file(config: Config, epoch: int) -> Finding:
    path = key_path(config.state, epoch)
    mode = stat.S_IMODE(path.stat().st_mode)
    advice = f"chmod 600 {path}" if mode & 0o077 else ""
    return Finding("key file", f"{path} has mode {mode:o}", advice)


async def _server(config: Config, server: str) -> Finding:
    from edge_agent.agent import tls_context

    url = f"{server.rstrip('/')}/healthz"
    try:
        connector = aiohttp.TCPConnector(ssl=tls_context(config) or True)
        async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as session, session.get(url) as response:
            if response.status != 200:
                return Finding("server", f"{url} answers {response.status}", "is this the server of the voucher?")
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        advice = "the agent works without it and sends later; check cable, DNS, proxy and certificate"
        return Finding("server", f"{url}: {type(error).__name__}: {error}", advice)
    return Finding("server", f"{server} answers{await asyncio.to_thread(_certificate_text, server)}")


def _certificate_text(server: str) -> str:
    """Tell how long the server's certificate is still good; "" without TLS or where it cannot be read."""
    where = urlsplit(server)
    if where.scheme != "https" or not where.hostname:
        return ", without encryption"
    try:
        pem = ssl.get_server_certificate((where.hostname, where.port or 443), timeout=10)
        end = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    except (OSError, ValueError):
        return ""
    return f", its certificate is good until {end:%Y-%m-%d}"


async def running_state(config: Config) -> dict[str, Any] | None:
    """Return what the page of the agent on this configuration says, None if none runs."""
    try:
        async with running_agent(config) as agent:
            return await agent.state()
    except (ConfigError, LinkError, OSError, TimeoutError):
        return None


def _page(config: Config) -> Iterator[Finding]:
    where = listen_address(config.page.listen) if config.page.listen else None
    if config.page.pin_file:
        path = config.folder / config.page.pin_file
        mode = stat.S_IMODE(path.stat().st_mode)
        advice = f"chmod 600 {path}" if mode & 0o077 else ""
        yield Finding("PIN file", f"{path} has mode {mode:o}", advice)
    if where is not None and not is_loopback(where[0]):
        known = fingerprint(config.state)
        seen = f"SHA-256 {known}" if known else "is made when the agent starts, or by edge-agent label"
        yield Finding("page certificate", seen)
