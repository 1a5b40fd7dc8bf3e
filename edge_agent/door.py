"""Who may use the gateway's page: everyone on loopback, elsewhere who knows the PIN; and what may come from a page."""

import hashlib
import hmac
import ipaddress
import secrets

ATTEMPTS_MAX = 5  # wrong PINs from anyone, then a pause for everyone: a gateway has one installer
PAUSE_S = 300.0
SESSIONS_MAX = 16


class Door:
    """Counts wrong attempts, knows its sessions, and gives each a token that only its own page can read."""

    def __init__(self, pin: bytes, now_s: float) -> None:
        self._pin = pin
        self._secret = secrets.token_bytes(32)
        self._sessions: list[str] = []
        self._wrong = 0
        self._closed_until_s = now_s

    def is_open(self, cookie: str) -> bool:
        """Tell whether a session cookie was given out here."""
        return not self._pin or any(_same(cookie, known) for known in self._sessions)

    def wait_s(self, now_s: float) -> float:
        """Return how long no PIN is looked at, 0 if one may be tried."""
        return max(0.0, self._closed_until_s - now_s)

    def enter(self, pin: bytes, now_s: float) -> str:
        """Return a session cookie for the right PIN, "" for a wrong one."""
        if not hmac.compare_digest(pin.strip(), self._pin):
            self._wrong += 1
            if self._wrong >= ATTEMPTS_MAX:
                self._wrong, self._closed_until_s = 0, now_s + PAUSE_S
            return ""
        self._wrong = 0
        session = secrets.token_urlsafe(24)
        self._sessions = [*self._sessions[1 - SESSIONS_MAX :], session]
        return session

    def token(self, cookie: str) -> str:
        """Return what every order has to carry in X-CSRF-Token; a page of another site cannot read it."""
        session = cookie if self._pin else ""
        return hmac.new(self._secret, session.encode(), hashlib.sha256).hexdigest()

    def may_order(self, cookie: str, token: str) -> bool:
        """Tell whether an order comes from this page in an open session."""
        return self.is_open(cookie) and _same(token, self.token(cookie))


def _same(told: str, known: str) -> bool:
    """Compare in constant time; a header's bytes that are no UTF-8 come as what cannot be encoded."""
    return hmac.compare_digest(told.encode(errors="replace"), known.encode())


def is_own_name(host: str, gateway: str) -> bool:
    """Tell whether a Host header can mean this gateway: an address, or a name nobody else can point at it."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]").lower()
    if name in ("localhost", f"{gateway.lower()}.local"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:  # a name of the internet's: somebody may have rebound it to us
        return False
    return True
