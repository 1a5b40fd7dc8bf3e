"""The kinds of site there are: what each is on paper, what lives behind its instruments, and what may befall it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hardware_sim import coal_hazards, instruments
from hardware_sim.catalogue import DevicePlan, LinkPlan
from hardware_sim.labelled import Recipe, Targets, live
from hardware_sim.model import Model
from hardware_sim.plan import ANCHORS, COAL, Anchor, Layout
from hardware_sim.scenarios import Action
from hardware_sim.truth import Mine


class SitePlan(NamedTuple):
    """One kind of site, before anything of it runs."""

    kind: str
    site: str
    name: str
    gateway_name: str
    ruleset: str
    layout: Layout
    links: tuple[LinkPlan, ...]
    devices: Callable[[], tuple[DevicePlan, ...]]
    anchors: tuple[Anchor, ...]
    model: Callable[[int], Model]
    working: Callable[[int], Model]  # the same with shifts, for episodes
    recipes: Mapping[str, Recipe]
    targets: Callable[[], Targets]
    stories: Mapping[str, tuple[Action, ...]]
    edges: tuple[tuple[str, str], ...] = ()  # between places, beside those of the air
    machines: tuple[str, ...] = ()  # devices left out of episodes

    def scenarios(self) -> dict[str, tuple[Action, ...]]:
        """Return everything that can be told live, by name."""
        return {**live(self.recipes, self.targets()), **self.stories}


SITES: dict[str, SitePlan] = {
    "coal": SitePlan(
        kind="coal",
        site="demo-mine",
        name="Demo mine (simulated) 示范煤矿（模拟）",
        gateway_name="North wing gateway 北翼网关",
        ruleset="coal-cn",
        layout=COAL,
        links=instruments.LINKS,
        devices=instruments.devices,
        anchors=ANCHORS,
        model=Mine,
        working=lambda seed: Mine(seed, shifts=True),
        recipes=coal_hazards.RECIPES,
        targets=coal_hazards.targets,
        stories=coal_hazards.STORIES,
        machines=("plc-machines",),
    ),
}
