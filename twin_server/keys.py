"""The private keys of the logs: one file of 64 hex digits per enterprise, readable by the server's user alone."""

import os
from pathlib import Path

from twin_wire.errors import ConfigError, FormatError
from twin_wire.keys import SigningKey


def make_key(path: Path) -> SigningKey:
    """Make a key and keep it durably before it is used; ConfigError when there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = SigningKey.generate()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} exists", "a log's key is made once; never replace it") from None
    with os.fdopen(handle, "w") as file:
        file.write(key.seed.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return key


def load_key(path: Path) -> SigningKey:
    """Read a key; ConfigError when it is missing, damaged or readable by others."""
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(f"cannot read the log key {path}: {cause}", "restore it from your backup") from cause
    if mode & 0o077:
        raise ConfigError(f"{path} is open to other users", f"chmod 600 {path}")
    try:
        return SigningKey.from_seed(bytes.fromhex(text.strip()))
    except (ValueError, FormatError) as cause:
        raise ConfigError(f"{path} does not hold a log key", "restore it from your backup") from cause
