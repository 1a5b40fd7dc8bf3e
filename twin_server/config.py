"""server.toml: everything has a default, so that `twin-server serve --data DIR` is enough on one machine."""

import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from twin_wire.errors import ConfigError, FormatError
from twin_wire.note import parse_witness

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Certificate chain and key as PEM files; both or none."""

    certificate: str = ""
    key: str = ""


class WitnessTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[witness]]`: somebody else's witness that every log asks to cosign its heads."""

    url: str  # without /add-checkpoint
    vkey: str  # its verifier key, as it was given by another way


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one client may ask for."""

    posts_per_s: float = 20.0  # per gateway, with a burst of ten seconds' worth
    session_h: float = 12.0
    verify_threads: int = 2
    silent_s: float = 90.0  # a gateway that says nothing for so long is recorded as silent
    trail_days: float = 30.0  # how far back people's trails can be read; readings have no such limit


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The resolved configuration of one server process."""

    data: str = "twin-data"
    store: str = ""  # URL; "" for sqlite in the data folder
    listen: str = "127.0.0.1:8440"
    url: str = ""  # how gateways and browsers reach the server; "" for what it listens on
    origin: str = ""  # prefix of the logs' names; "" for the host of `url`
    behind_proxy: bool = False  # a proxy on this machine or network does TLS; trust its X-Forwarded-* headers
    tls: Tls = Tls()
    limits: Limits = Limits()
    witness: tuple[WitnessTable, ...] = ()

    @property
    def host(self) -> str:
        """The address part of `listen`."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port part of `listen`."""
        return int(self.listen.rpartition(":")[2])

    @property
    def store_url(self) -> str:
        """The store's URL."""
        return self.store or f"sqlite:{self.data}"

    @property
    def keys(self) -> Path:
        """The folder of the logs' private keys."""
        return Path(self.data) / "keys"

    @property
    def public_url(self) -> str:
        """The URL that goes into vouchers, without a last slash."""
        return (self.url or f"{'https' if self.tls.certificate else 'http'}://{self.listen}").rstrip("/")

    @property
    def origin_prefix(self) -> str:
        """What the names of the logs begin with: a host name says whose logs they are."""
        return self.origin or urlsplit(self.public_url).hostname or "localhost"


def read_config(path: str | None, changes: dict[str, object] | None = None) -> Config:
    """Read server.toml, or the defaults, with changes from the command line; ConfigError with every fault."""
    document: dict[str, object] = {}
    if path is not None:
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
            raise ConfigError(f"cannot read {path}: {cause}", faults=((path, str(cause)),)) from cause
        if isinstance(document.get("data"), str):  # relative to the file, not to where the command is typed
            document["data"] = str(Path(path).parent / str(document["data"]))
    document |= {name: value for name, value in (changes or {}).items() if value is not None}
    try:
        config = msgspec.convert(document, Config)
    except msgspec.ValidationError as cause:
        raise ConfigError(f"{path or 'options'}: {cause}", faults=((path or "options", str(cause)),)) from cause
    found = _faults(config)
    if found:
        raise ConfigError("; ".join(f"{where}: {what}" for where, what in found), faults=tuple(found))
    return config


def check_listen(config: Config) -> None:
    """ConfigError where the server would speak without TLS to more than this machine and no proxy stands before it."""
    if config.host not in LOOPBACK and not config.tls.certificate and not config.behind_proxy:
        raise ConfigError(
            f"refusing to listen on {config.listen} without TLS",
            "give [tls] certificate and key, or --behind-proxy if a proxy does TLS, or listen on 127.0.0.1",
            (("$.listen", "beyond loopback without TLS"),),
        )


def _faults(config: Config) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    host, colon, port = config.listen.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        found.append(("$.listen", "not address:port"))
    if config.url and not config.url.startswith(("http://", "https://")):
        found.append(("$.url", "not an http or https URL"))
    if bool(config.tls.certificate) != bool(config.tls.key):
        found.append(("$.tls", "certificate and key go together"))
    for name, low, high in (
        ("posts_per_s", 0.1, 10_000),
        ("session_h", 0.1, 720),
        ("silent_s", 5, 86_400),
        ("trail_days", 0, 3660),
    ):
        if not low <= getattr(config.limits, name) <= high:
            found.append((f"$.limits.{name}", f"not within {low} to {high}"))
    for place, each in enumerate(config.witness):
        if not each.url.startswith(("http://", "https://")):
            found.append((f"$.witness[{place}].url", "not an http or https URL"))
        try:
            parse_witness(each.vkey)
        except FormatError as fault:
            found.append((f"$.witness[{place}].vkey", str(fault)))
    if not 1 <= config.limits.verify_threads <= 64:
        found.append(("$.limits.verify_threads", "not within 1 to 64"))
    return found
