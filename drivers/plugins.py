"""Drivers of other packages: entry points of the group `mine_twin.drivers`, kind → module; our own kinds always win.

Profiles lie beside the module, `<id>.toml`; our own win here too.

[project.entry-points."mine_twin.drivers"]
acme-flow = "acme_flow.driver"          # has check_options(options) and async open_link(options, clock)
"""

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

from twin_wire.errors import ConfigError

GROUP = "mine_twin.drivers"
NEEDED = ("check_options", "open_link")
BROKEN = (  # what a module may die of while it is loaded
    *(ImportError, AttributeError, NameError, TypeError, ValueError, SyntaxError, LookupError, OSError),
    *(RuntimeError, ArithmeticError, AssertionError, SystemExit),
)


def plugin_kinds() -> tuple[str, ...]:
    """Return the kinds that installed packages offer; nothing of theirs is loaded."""
    return tuple(sorted({entry.name for entry in importlib.metadata.entry_points(group=GROUP)}))


def load_plugin(kind: str) -> Any:
    """Return the module another package offers for a kind, None if there is none; ConfigError if it is broken."""
    found = {entry.value: entry for entry in importlib.metadata.entry_points(group=GROUP, name=kind)}
    if not found:
        return None
    if len(found) > 1:
        owners = ", ".join(sorted(_owner(entry) for entry in found.values()))
        raise _refusal(kind, f"is offered more than once: {owners}", "uninstall one of them")
    [entry] = found.values()
    try:
        module = entry.load()
    except BROKEN as error:
        reason = f"{type(error).__name__}: {error}"
        raise _refusal(kind, f"of {_owner(entry)} cannot be loaded: {reason}", "reinstall that package") from error
    missing = [name for name in NEEDED if not callable(getattr(module, name, None))]
    if missing:
        raise _refusal(kind, f"of {_owner(entry)} has no {' and no '.join(missing)}", "see drivers/README.md")
    return module


def plugin_profile(name: str) -> Path | None:
    """Return the file `<name>.toml` beside a driver of another package, None if there is none."""
    for entry in importlib.metadata.entry_points(group=GROUP):
        package = entry.module.rpartition(".")[0] or entry.module
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            continue  # not there any more: whoever opens the link is told
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            path = Path(folder) / f"{name}.toml"
            if path.is_file():
                return path
    return None


def _owner(entry: importlib.metadata.EntryPoint) -> str:
    return f"{entry.dist.name if entry.dist is not None else '?'} ({entry.value})"


def _refusal(kind: str, what: str, hint: str) -> ConfigError:
    return ConfigError(f"driver {kind!r} {what}", hint, (("kind", what),))
