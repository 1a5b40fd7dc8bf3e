"""Simulated devices of other packages: entry points of the group `mine_twin.stand_ins`, kind → what makes a talker.

    [project.entry-points."mine_twin.stand_ins"]
    acme-flow = "acme_flow.stand_in:Talker"     # a class made without arguments, as `Stand`

`edge-agent simulate` (hardware-sim serve-config) then serves links of that kind too. Their profiles lie beside.
"""

import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from hardware_sim.pusher import Talker
from twin_wire.errors import ConfigError

GROUP = "mine_twin.stand_ins"
BROKEN = (  # what a module may die of while it is loaded
    *(ImportError, AttributeError, NameError, TypeError, ValueError, SyntaxError, LookupError, OSError),
    *(RuntimeError, ArithmeticError, AssertionError, SystemExit),
)


class Stand(Talker, Protocol):
    """A device on a pseudo-terminal that talks, hears, and can be told what to show."""

    def show(self, name: str, value: float) -> None:
        """Show a physical value of a signal from now on; NaN for none."""


def stand_in(kind: str) -> Callable[[], Stand] | None:
    """Return what makes a device for links of a kind, None if no package has one; ConfigError if it is broken."""
    for entry in importlib.metadata.entry_points(group=GROUP, name=kind):
        owner = f"{entry.dist.name if entry.dist is not None else '?'} ({entry.value})"
        try:
            made = entry.load()
        except BROKEN as error:
            reason = f"{type(error).__name__}: {error}"
            raise ConfigError(f"stand-in {kind!r} of {owner} cannot be loaded: {reason}") from error
        missing = [name for name in ("due", "hear", "show") if not callable(getattr(made, name, None))]
        if missing or not callable(made):
            raise ConfigError(f"stand-in {kind!r} of {owner} has no {' and no '.join(missing) or 'maker'}")
        found: Callable[[], Stand] = made
        return found
    return None


def profile_beside(name: str) -> Path | None:
    """Return the file `<name>.toml` beside a stand-in of another package, None if there is none."""
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            spec = importlib.util.find_spec(entry.module.rpartition(".")[0] or entry.module)
        except (ImportError, ValueError):
            continue
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            path = Path(folder) / f"{name}.toml"
            if path.is_file():
                return path
    return None
