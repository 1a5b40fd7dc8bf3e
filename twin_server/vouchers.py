"""Vouchers: the server's half of enrolment, made by an administrator for one gateway."""

import secrets

from twin_server.config import Config
from twin_server.keys import load_key
from twin_server.log import SERVER_EPOCH
from twin_server.store import Store
from twin_server.store.rows import Voucher as VoucherRow
from twin_wire.errors import ConfigError
from twin_wire.ids import is_id, is_name
from twin_wire.voucher import Voucher, encode_voucher

SECRET_BYTES = 32
FIRST_EPOCH = SERVER_EPOCH + 1
DAY_S = 86_400


async def issue_voucher(
    store: Store, config: Config, enterprise: str, gateway: str, name: str, site: str, days: float, now_us: int
) -> str:
    """Return the line of a new voucher; it replaces an unused one. A gateway enrolled before gets its next epoch."""
    rows = {row.id: row for row in await store.enterprises()}
    if enterprise not in rows:
        raise ConfigError(f"no enterprise {enterprise!r}", f"known: {', '.join(sorted(rows)) or 'none yet'}")
    if not is_id(gateway) or not is_id(site) or not is_name(name):
        raise ConfigError("gateway and site are identifiers (A-Z a-z 0-9 _ . : -), the name is one printable line")
    if not 0 < days <= 366:
        raise ConfigError("a voucher is valid for up to 366 days")
    row, last = rows[enterprise], await store.voucher(gateway)
    epoch = FIRST_EPOCH if last is None else last.epoch + bool(last.used_us)
    expires_s = now_us // 1_000_000 + int(days * DAY_S)
    secret = secrets.token_bytes(SECRET_BYTES)
    voucher = Voucher(
        server=config.public_url,
        enterprise=enterprise,
        gateway=gateway,
        epoch=epoch,
        site=site,
        origin=row.origin,
        log_vkey=row.log_vkey,
        secret=secret,
        expires_s=expires_s,
        simulated=row.simulated,
    )
    line = encode_voucher(voucher, load_key(config.keys / f"{enterprise}.key"))
    kept = VoucherRow(enterprise, gateway, name, site, epoch, secret, expires_s * 1_000_000, 0)
    await store.put_voucher(kept)
    return line


async def extend_voucher(store: Store, gateway: str, days: float, now_us: int) -> VoucherRow:
    """Give an unused voucher more time, so that an enrol statement that was long on its way is still taken."""
    last = await store.voucher(gateway)
    if last is None or last.used_us:
        raise ConfigError(f"there is no unused voucher for {gateway!r}", "make one: twin-server gateways add")
    longer = last._replace(expires_us=now_us + int(days * DAY_S) * 1_000_000)
    await store.put_voucher(longer)
    return longer
