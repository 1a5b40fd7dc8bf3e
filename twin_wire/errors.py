"""Every error of the product: one class per reaction of the caller, not one per cause.

Error                 has .hint, one line for the person on site
├─ ConfigError        exit 2, with the path of every fault; never retried
├─ LinkError          no answer or a broken one: quality BAD, back off, ask again
│  └─ DeviceError     the device refused (exception code): slow retry, shown to the installer
├─ FormatError        bytes are not what SPEC.md says: 400, or drop and count
│  └─ ProofError      signature, key, sequence or proof is wrong: 4xx and an audit record, never retried
├─ UplinkError        server out of reach or 5xx: keep, back off
│  └─ Rejected        the server said no for good: quarantine that batch, go on
└─ StoreError         disk full, corrupt, sync failed: go on from the reserve where there is one, else stop the process
"""


class Error(Exception):
    """Base of all errors we raise; `hint` tells the person on site what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(Error):
    """The configuration cannot be used; `faults` are (path, message) pairs, all found at once."""

    def __init__(self, message: str, hint: str = "", faults: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message, hint)
        self.faults = faults


class LinkError(Error):
    """A device gave no answer, or one that cannot be its own; asking again may help."""


class DeviceError(LinkError):
    """The device answered with a refusal; `code` is the protocol's own (Modbus exception 1 to 11)."""

    def __init__(self, message: str, code: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class FormatError(Error):
    """Bytes from outside are not what the specification says; `faults` are (path, message) pairs, if many."""

    def __init__(self, message: str, hint: str = "", faults: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message, hint)
        self.faults = faults


class ProofError(FormatError):
    """A signature, key, sequence number or Merkle proof does not hold."""


class UplinkError(Error):
    """The server could not be reached or could not store; everything is kept and sent again."""


class Rejected(UplinkError):
    """The server refused this batch for good; `reason` is its word for it."""

    def __init__(self, message: str, reason: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class StoreError(Error):
    """What must survive a power cut could not be written; the process has to stop."""
