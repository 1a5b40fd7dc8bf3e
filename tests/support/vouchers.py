"""Vouchers of a log that no server has, for gateways that never reach one."""

from twin_wire.keys import SigningKey
from twin_wire.note import vkey
from twin_wire.voucher import Voucher, encode_voucher

LOG_KEY = SigningKey.from_seed(bytes(range(32)))
ORIGIN = "localhost/north"


def voucher_line(
    gateway: str = "gw-1",
    site: str = "demo",
    epoch: int = 1,
    expires_s: int = 1 << 40,
    server: str = "http://127.0.0.1:1",
) -> str:
    """Return the line of a voucher for a server that does not answer."""
    voucher = Voucher(
        server=server,
        enterprise="north",
        gateway=gateway,
        epoch=epoch,
        site=site,
        origin=ORIGIN,
        log_vkey=vkey(ORIGIN, LOG_KEY.public),
        secret=bytes(16),
        expires_s=expires_s,
        simulated=True,
    )
    return encode_voucher(voucher, LOG_KEY)
