"""Formats to take readings away in: a table of names, one module each with `write`, MEDIA_TYPE and SUFFIX."""

from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import NamedTuple, cast

from twin_server.sites import Sites
from twin_server.store import Store
from twin_wire.errors import ConfigError


class Wanted(NamedTuple):
    """What is asked for: samples with event times in [from_us, to_us), of these points or of all."""

    enterprise: str
    from_us: int
    to_us: int
    points: frozenset[str]  # point ids or gateway:point; empty for all


class Format(NamedTuple):
    """A way to write readings."""

    media_type: str
    suffix: str
    write: Callable[[Store, Sites, Wanted], AsyncIterator[bytes]]


EXPORTS = {"csv": "twin_server.export.csv"}


def open_format(name: str) -> Format:
    """Return a format by its name; ConfigError for an unknown one or one whose package is not installed."""
    if name not in EXPORTS:
        raise ConfigError(f"no export format {name!r}", f"one of {', '.join(EXPORTS)}")
    try:
        module = import_module(EXPORTS[name])
    except ImportError as cause:
        raise ConfigError(f"the format {name!r} needs a package that is not installed: {cause.name}") from cause
    return cast(Format, module.FORMAT)
