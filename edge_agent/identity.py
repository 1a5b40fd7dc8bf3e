"""Who this gateway is to a server: the voucher's facts and the signing key, made at enrolment, kept in its folder."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import msgspec
from tinydb import TinyDB

from buffering.queue import Queue
from buffering.state import open_state
from edge_agent.clock import SystemClock
from edge_agent.config import Config
from edge_agent.seal import Signer, seal_gap, seal_record
from edge_agent.store import read_document, write_document
from twin_wire.errors import ConfigError, FormatError
from twin_wire.keys import KEY_BYTES, PublicKey, SigningKey, kid_text
from twin_wire.note import parse_vkey
from twin_wire.voucher import Voucher, enrol_body, read_voucher

DOCUMENT = "identity"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What the voucher said, without its secret."""

    server: str
    enterprise: str
    gateway: str
    epoch: int
    site: str
    origin: str
    log_vkey: str
    simulated: bool

    @property
    def log_public(self) -> PublicKey:
        """The key of the log this gateway believes."""
        return parse_vkey(self.log_vkey)[1]


def key_path(folder: Path, epoch: int) -> Path:
    """Return where the signing key of an epoch lies."""
    return folder / f"key-{epoch}"


def load_identity(config: Config) -> tuple[Identity, SigningKey]:
    """Return identity and key of an enrolled gateway; ConfigError that says what to do if it is not one."""
    if not (config.state / "state.db").exists():
        raise _not_enrolled(config)
    state = open_state(config.state / "state.db")
    try:
        document = read_document(state, DOCUMENT)
    finally:
        state.close()
    if not document:
        raise _not_enrolled(config)
    identity = msgspec.convert(document, Identity)
    if (identity.gateway, identity.site) != (config.gateway.id, config.gateway.site):
        raise ConfigError(
            f"this state folder belongs to gateway {identity.gateway} of site {identity.site}",
            "use the state folder of this gateway, or enroll again with a new voucher",
            (("gateway.id", f"is {config.gateway.id!r}, the folder was enrolled as {identity.gateway!r}"),),
        )
    return identity, _load_key(key_path(config.state, identity.epoch))


def _not_enrolled(config: Config) -> ConfigError:
    hint = "run: edge-agent enroll CONFIG --voucher FILE_OR_LINE"
    return ConfigError(
        f"gateway {config.gateway.id} is not enrolled", hint, (("gateway.state", f"holds no key; {hint}"),)
    )


def _load_key(path: Path) -> SigningKey:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the gateway's key cannot be read: {error}",
            "run as the user who enrolled it, or enroll again",
            ((str(path), str(error.strerror)),),
        ) from error
    if len(data) != KEY_BYTES:
        raise ConfigError(f"{path} is not a key", "enroll again", ((str(path), f"is not {KEY_BYTES} bytes"),))
    return SigningKey.from_seed(data)


def _save_key(path: Path, key: SigningKey) -> None:
    fresh = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key.seed)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def voucher_from(text: str, now_s: float) -> Voucher:
    """Read a voucher given as a line or as the name of a file that holds the line; ConfigError otherwise."""
    line = text.strip()
    if not line.startswith("MTV1."):
        try:
            line = Path(text).read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            raise ConfigError(
                f"no voucher there: {error}", "give the file, or paste the line MTV1.…", (("--voucher", str(error)),)
            ) from error
    try:
        return read_voucher(line, now_s)
    except FormatError as error:
        raise ConfigError(f"voucher: {error}", error.hint, (("--voucher", str(error)),)) from error


def enroll(config: Config, voucher: Voucher, software: str, clock: SystemClock) -> tuple[Identity, str, bool]:
    """Make the key and seal the enrol statement as first of its epoch; return identity, key id and whether it is new.

    Works without a link. Repeating it with the same voucher changes nothing; ConfigError if the voucher is not for
    this gateway or older than what the folder holds; StoreError if an agent runs on the folder.
    """
    _check_voucher(config, voucher)
    config.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = open_state(config.state / "state.db")
    try:
        return _enroll(config, voucher, software, clock, state)
    finally:
        state.close()


def _check_voucher(config: Config, voucher: Voucher) -> None:
    faults = [
        (f"gateway.{name}", f"is {own!r}, the voucher is for {theirs!r}")
        for name, own, theirs in (
            ("id", config.gateway.id, voucher.gateway),
            ("site", config.gateway.site, voucher.site),
        )
        if own != theirs
    ]
    if faults:
        raise ConfigError("the voucher is for another gateway", "ask for a voucher for this one", tuple(faults))


def _enroll(
    config: Config, voucher: Voucher, software: str, clock: SystemClock, state: TinyDB
) -> tuple[Identity, str, bool]:
    fields: dict[str, Any] = {f: getattr(voucher, f) for f in Identity.__struct_fields__}
    identity = Identity(**fields)
    path = key_path(config.state, voucher.epoch)
    key = _load_key(path) if path.exists() else SigningKey.generate()
    signer = Signer(key, voucher.origin, voucher.gateway, clock.monotonic_ms)
    now_ms = clock.time_us() // 1_000
    queue = Queue(
        config.state / "queue.db", lambda p, gap: seal_gap(signer, p, gap, now_ms, (0, bytes(32))), config.quota_bytes
    )
    try:
        known = queue.position.epoch if queue.position.seq else -1
        if known > voucher.epoch or (known == voucher.epoch and not path.exists()):
            raise ConfigError(
                f"this folder is already at epoch {known}",
                "ask the server's administrator for a new voucher",
                (("--voucher", f"is of epoch {voucher.epoch}, the folder at {known}"),),
            )
        new = known < voucher.epoch
        _save_key(path, key)
        write_document(state, DOCUMENT, msgspec.to_builtins(identity))
        if new:
            queue.begin_boot()
            body = enrol_body(voucher, key.public, software)
            queue.append(seal_record(signer, "enrol", body, now_ms, (0, bytes(32))), epoch=voucher.epoch)
    finally:
        queue.close()
    return identity, kid_text(key.public.kid), new


def now_s() -> float:
    """Return the wall time in s, for a voucher's expiry."""
    return time.time()
