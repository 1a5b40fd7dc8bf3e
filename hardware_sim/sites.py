"""The kinds of site there are: what each is on paper, what lives behind its instruments, and what may befall it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hardware_sim import coal_hazards, instruments, metal_site, tailings_site
from hardware_sim.catalogue import DevicePlan, LinkPlan
from hardware_sim.labelled import Recipe, Targets, live
from hardware_sim.metal import MetalMine
from hardware_sim.model import Model
from hardware_sim.plan import ANCHORS, COAL, Anchor, Layout
from hardware_sim.scenarios import Action
from hardware_sim.tailings import TailingsPond
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
    "metal": SitePlan(
        kind="metal",
        site="demo-metal",
        name="Demo metal mine (simulated) 示范金属矿（模拟）",
        gateway_name="500 level gateway 500中段网关",
        ruleset="noncoal-cn",
        layout=metal_site.LAYOUT,
        links=metal_site.LINKS,
        devices=metal_site.devices,
        anchors=(),
        model=MetalMine,
        working=MetalMine,
        recipes=metal_site.RECIPES,
        targets=metal_site.targets,
        stories={"quiet": ()},
    ),
    "tailings": SitePlan(
        kind="tailings",
        site="demo-tailings",
        name="Demo tailings pond (simulated) 示范尾矿库（模拟）",
        gateway_name="Dam gateway 坝体网关",
        ruleset="tailings-cn",
        layout=tailings_site.LAYOUT,
        links=tailings_site.LINKS,
        devices=tailings_site.devices,
        anchors=(),
        model=TailingsPond,
        working=lambda seed: TailingsPond(seed, showers=True),
        recipes=tailings_site.RECIPES,
        targets=tailings_site.targets,
        stories={"quiet": ()},
        edges=tailings_site.EDGES,
    ),
}
