"""`jit`: numba's njit, cached where a folder can be written; the plain function where numba is missing (32-bit)."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def _sources() -> str:
    """Return a name for the state of all compiled sources: numba looks at a function's own file, not those it calls."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        data = path.read_bytes()
        if b"@jit" in data:
            digest.update(data)
    return digest.hexdigest()[:12]


def _cache_dir() -> Path | None:
    """Return a folder numba may write to: the one asked for, the service's, the user's, the system's; else None."""
    sources = _sources()
    named = os.environ.get("NUMBA_CACHE_DIR")
    cache = os.environ.get("CACHE_DIRECTORY") or os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    for folder in (Path(named) if named else None, Path(cache) / "mine-twin-numba", Path(tempfile.gettempdir())):
        if folder is None:
            continue
        if folder.name != sources:  # what a parent process has set is ours already
            folder = folder / sources
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


def _compiler() -> Callable[[F], F]:
    folder = _cache_dir()
    if folder is not None:
        os.environ["NUMBA_CACHE_DIR"] = str(
            folder
        )  # numba reads it once, at import; without it a read-only home is fatal
    try:
        import numba
    except ImportError:
        return lambda function: function
    return cast("Callable[[F], F]", numba.njit(cache=folder is not None, nogil=True))


jit = _compiler()
