"""The configuration as one checked value: gateway.toml, points.csv, structure, ruleset; every fault at once."""

import ipaddress
import tomllib
from pathlib import Path

import msgspec

import drivers
from drivers import DeviceOptions, Group, PointOptions, Profile, poll_groups, profile_names
from edge_agent.site import Point, Site, check_anchors, read_file, read_site, read_site_points
from edge_agent.site_profile import load_site_profile
from edge_agent.tables import (
    AnchorTable,
    DeviceTable,
    Faults,
    GatewayTable,
    LinkTable,
    PageTable,
    QueueTable,
    UplinkTable,
    convert,
    convert_each,
    nearest,
)
from twin_wire.errors import ConfigError
from twin_wire.ids import is_id, is_name

GATEWAY_ID_CHARS_MAX = 32  # the gateway's own points are named after it
QUOTA_MB = (2, 1 << 20)
TIMEOUT_MS_MAX = 180_000
PIN_DIGITS = (6, 32)
PASSPHRASE_CHARS = (10, 128)
TABLES = ("gateway", "page", "queue", "uplink", "link", "device", "anchor")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the agent was told, checked."""

    folder: Path
    gateway: GatewayTable
    page: PageTable
    queue: QueueTable
    uplink: UplinkTable
    links: tuple[LinkTable, ...]
    devices: tuple[DeviceTable, ...]
    anchors: tuple[AnchorTable, ...]
    profiles: dict[str, Profile]
    points: tuple[Point, ...]
    groups: tuple[Group, ...]  # of all links, in the order of links
    site: Site

    @property
    def state(self) -> Path:
        """The folder of what must survive."""
        return self.folder / self.gateway.state

    @property
    def quota_bytes(self) -> int:
        """How much of the disk the queue may use."""
        return self.queue.quota_mb << 20

    def device_options(self, link: str) -> list[DeviceOptions]:
        """Return the devices of one link as its driver wants them."""
        return [
            DeviceOptions(
                id=d.id,
                profile=self.profiles[d.profile],
                unit=d.unit,
                period_s=d.period_s,
                timeout_ms=d.timeout_ms,
            )
            for d in self.devices
            if d.link == link
        ]

    def point_options(self, link: str) -> list[PointOptions]:
        """Return the points of one link as its driver wants them."""
        on_link = {d.id for d in self.devices if d.link == link}
        rows = [p.row for p in self.points if p.row.device in on_link]
        return [PointOptions(id=r.point, device=r.device, signal=r.signal, raw=r.raw) for r in rows]


def load_config(path: Path) -> Config:
    """Return the checked configuration; ConfigError with (path, message) of every fault in every file."""
    faults: Faults = []
    tree = _toml(path, faults)
    folder = path.absolute().parent
    faults += [(key, f"is not a known table{nearest(key, TABLES)}") for key in tree.keys() - set(TABLES)]
    gateway = convert(GatewayTable, tree.get("gateway", {}), "gateway", faults)
    page = convert(PageTable, tree.get("page", {}), "page", faults)
    queue = convert(QueueTable, tree.get("queue", {}), "queue", faults)
    uplink = convert(UplinkTable, tree.get("uplink", {}), "uplink", faults)
    links = _links(tree.get("link", []), faults)
    devices = convert_each(DeviceTable, tree.get("device", []), "device", faults)
    anchors = convert_each(AnchorTable, tree.get("anchor", []), "anchor", faults)
    profiles = _check_devices(devices, links, folder, faults)
    if gateway is None or page is None or queue is None or uplink is None:
        raise _refusal(path, faults)
    _check_gateway(gateway, faults)
    _check_rest(page, queue, uplink, folder, faults)
    site = read_site(folder, gateway, faults)
    by_id = {d.id: d for _, d in devices}
    check_anchors(anchors, set(by_id), site, faults)
    config = Config(
        folder=folder,
        gateway=gateway,
        page=page,
        queue=queue,
        uplink=uplink,
        links=tuple(links),
        devices=tuple(by_id.values()),
        anchors=tuple(anchor for _, anchor in anchors),
        profiles=profiles,
        points=read_site_points(folder, gateway.points, by_id, profiles, site, faults),
        groups=(),
        site=site,
    )
    if not faults:
        config = msgspec.structs.replace(config, groups=_groups(config, faults))
    if faults:
        raise _refusal(path, faults)
    return config


def _groups(config: Config, faults: Faults) -> tuple[Group, ...]:
    groups: list[Group] = []
    for link in config.links:
        try:
            groups += poll_groups(config.device_options(link.id), config.point_options(link.id))
        except ConfigError as error:
            faults += [(f"link {link.id}: {path}", message) for path, message in error.faults]
    return tuple(groups)


def _refusal(path: Path, faults: Faults) -> ConfigError:
    unique = tuple(dict.fromkeys(faults))
    return ConfigError(f"{path}: {len(unique)} fault(s)", "mend each line and run check again", unique)


def _toml(path: Path, faults: Faults) -> dict[str, object]:
    data = read_file(path, path.name, faults)
    try:
        tree = tomllib.loads(data.decode()) if data is not None else {}
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        faults.append((path.name, f"is not TOML: {error}"))
        tree = {}
    if faults:
        raise _refusal(path, faults)
    return tree


def _links(tables: object, faults: Faults) -> list[LinkTable]:
    known = {"id", "kind"}
    split: object = tables
    if isinstance(tables, list):
        split = [
            {k: v for k, v in t.items() if k in known} | {"options": {k: v for k, v in t.items() if k not in known}}
            if isinstance(t, dict)
            else t
            for t in tables
        ]
    links = convert_each(LinkTable, split, "link", faults)
    taken: dict[str, str] = {}
    for place, link in links:
        path = f"link[{place}]"
        if link.kind not in drivers.kinds():
            faults.append((f"{path}.kind", f"{link.kind!r} is not a kind of link{nearest(link.kind, drivers.kinds())}"))
            continue
        try:
            address = drivers.check_options(link.kind, link.options)
        except ConfigError as error:
            faults += [(f"{path}.{key}", message) for key, message in error.faults or (("", str(error)),)]
            continue
        if address in taken:
            faults.append((path, f"uses {address}, as link {taken[address]!r} does; one link serves all its devices"))
        taken.setdefault(address, link.id)
    _check_ids("link", [(place, link.id) for place, link in links], faults)
    return [link for _, link in links]


def _check_ids(table: str, ids: list[tuple[int, str]], faults: Faults) -> None:
    seen: set[str] = set()
    for place, text in ids:
        if not is_id(text):
            faults.append((f"{table}[{place}].id", f"{text[:80]!r} is not an identifier: letters, digits, _ . : -"))
        if text in seen:
            faults.append((f"{table}[{place}].id", f"{text[:80]!r} is there twice"))
        seen.add(text)


def _check_gateway(gateway: GatewayTable, faults: Faults) -> None:
    if not is_id(gateway.id) or len(gateway.id) > GATEWAY_ID_CHARS_MAX:
        faults.append(
            ("gateway.id", f"is not an identifier of at most {GATEWAY_ID_CHARS_MAX} letters, digits, _ . : -")
        )
    if not is_id(gateway.site):
        faults.append(("gateway.site", "is not an identifier: letters, digits, _ . : -"))
    if not is_name(gateway.name):
        faults.append(("gateway.name", "is not a short printable text"))


def _check_rest(page: PageTable, queue: QueueTable, uplink: UplinkTable, folder: Path, faults: Faults) -> None:
    if not QUOTA_MB[0] <= queue.quota_mb <= QUOTA_MB[1]:
        faults.append(("queue.quota_mb", f"is not within {QUOTA_MB[0]} to {QUOTA_MB[1]}"))
    if not 0 <= queue.keep_days <= 3_650:
        faults.append(("queue.keep_days", "is not within 0 to 3650"))
    if uplink.ca_file:
        read_file(folder / uplink.ca_file, "uplink.ca_file", faults)
    if page.pin_file:
        pin = read_file(folder / page.pin_file, "page.pin_file", faults)
        if pin is not None and not is_pin(pin):
            text = f"holds neither a PIN of {PIN_DIGITS[0]} digits or more nor a passphrase of {PASSPHRASE_CHARS[0]}"
            faults.append(("page.pin_file", text))
    if page.listen:
        where = listen_address(page.listen)
        if where is None:
            faults.append(("page.listen", f"{page.listen!r} is not ADDRESS:PORT such as 127.0.0.1:8765"))
        elif not is_loopback(where[0]) and not page.pin_file:
            faults.append(("page.listen", "is reachable from outside: name a pin_file with at least 6 digits"))


def is_pin(data: bytes) -> bool:
    """Tell whether a file's content is a PIN of digits or a longer passphrase, and white space around it."""
    text = data.strip()
    if text.isdigit():
        return PIN_DIGITS[0] <= len(text) <= PIN_DIGITS[1]
    return PASSPHRASE_CHARS[0] <= len(text) <= PASSPHRASE_CHARS[1] and b"\n" not in text


def listen_address(text: str) -> tuple[str, int] | None:
    """Return (host, port) of ADDRESS:PORT, None if it is none."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        return None
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_devices(
    devices: list[tuple[int, DeviceTable]], links: list[LinkTable], folder: Path, faults: Faults
) -> dict[str, Profile]:
    _check_ids("device", [(place, device.id) for place, device in devices], faults)
    kinds = {link.id: link.kind for link in links}
    profiles: dict[str, Profile] = {}
    units: dict[tuple[str, int], str] = {}
    for place, device in devices:
        path = f"device[{place}]"
        if device.link not in kinds:
            faults.append((f"{path}.link", f"there is no link {device.link!r}{nearest(device.link, kinds)}"))
        if not is_name(device.name):
            faults.append((f"{path}.name", "is not a short printable text"))
        if not 0 < device.period_s <= 86_400:
            faults.append((f"{path}.period_s", "is not within 0 to 86400 s"))
        if not 0 <= device.timeout_ms <= TIMEOUT_MS_MAX:
            faults.append((f"{path}.timeout_ms", f"is not within 0 to {TIMEOUT_MS_MAX}"))
        if not 0 <= device.unit <= 255:
            faults.append((f"{path}.unit", "is not within 0 to 255"))
        elif kinds.get(device.link, "").startswith("modbus"):
            other = units.setdefault((device.link, device.unit), device.id)
            if other != device.id:
                faults.append((f"{path}.unit", f"{device.unit} is the unit of {other!r} on {device.link!r} already"))
        try:
            profiles[device.profile] = profiles.get(device.profile) or load_site_profile(folder, device.profile)
        except ConfigError as error:
            hint = nearest(device.profile, profile_names()) if device.profile not in profile_names() else ""
            faults.append((f"{path}.profile", f"{error}{hint}"))
            continue
        if not kinds.get(device.link, profiles[device.profile].protocol).startswith(profiles[device.profile].protocol):
            faults.append((f"{path}.profile", f"{device.profile!r} speaks {profiles[device.profile].protocol}"))
    return profiles
