"""Open areas: three ranges or more are solved freely in the plane, since nobody keeps to a middle line there."""

import math

import numpy as np

from edge_agent.position.field import Field
from edge_agent.position.likelihood import LATE_MEAN_M, RANGE
from edge_agent.position.rows import Fix
from edge_agent.position.tracks import Epoch
from twin_wire.graph import Place
from twin_wire.readings import Method

STEPS, ENOUGH_M = 12, 0.01
ANCHORS_MIN = 3
DILUTION_MAX = 6.0  # metres of position for a metre of range: anchors in one line solve nothing
OFF_M_MAX = 60.0  # further from the nearest roadway it would be no refinement


class Plane:
    """Solves ranges for x and y; the height is the roadway's."""

    def __init__(self, field: Field) -> None:
        self._field = field

    def refine(self, fix: Fix, epoch: Epoch) -> Fix:
        """Return the fix where the ranges meet in the plane; the same fix where they do not decide."""
        rows = [row for row in epoch.rows if row.kind == RANGE]
        if len({row.anchor for row in rows}) < ANCHORS_MIN or fix.place is None:
            return fix
        anchors = self._field.map.anchor_xyz[[row.anchor for row in rows]]
        value, sigma = np.array([row.value for row in rows]), np.array([row.sigma for row in rows])
        z = fix.xyz[2]
        at = np.array(fix.xyz[:2])
        if len({round(float(a), 3) for a in anchors[:, 0]}) == 1:
            at[0] += 1.0  # from the line between the anchors the gradient does not lead away
        normal = np.eye(2)
        error = value
        for _ in range(STEPS):
            offset = np.column_stack([at[0] - anchors[:, 0], at[1] - anchors[:, 1]])
            distance = np.maximum(np.sqrt((offset**2).sum(axis=1) + (z - anchors[:, 2]) ** 2), 0.1)
            error = value - distance
            # A range is too long more often than too short: what is too long weighs less the longer it is.
            weight = np.where(error > 2 * sigma, 2 * sigma / np.maximum(error, 1e-9) / 2, 1.0) / sigma**2
            weight *= np.where(error < -6 * sigma, 0.3, 1.0)
            slope = offset / distance[:, None]
            normal = (slope * weight[:, None]).T @ slope + np.eye(2) * 1e-9
            step = np.linalg.solve(normal, (slope * (weight * error)[:, None]).sum(axis=0))
            at = at + step * min(1.0, 20.0 / max(float(np.hypot(*step)), 1e-9))
            if float(np.hypot(*step)) < ENOUGH_M:
                break
        spread = np.linalg.inv(normal)
        dilution = math.sqrt(float(np.trace(spread))) / float(sigma.min())
        chainage, off = self._field.graph.projections(float(at[0]), float(at[1]), None)
        best = int(np.argmin(off))
        if not math.isfinite(dilution) or dilution > DILUTION_MAX or off[best] > OFF_M_MAX:
            return fix
        misfit = math.sqrt(float((np.clip(error, -LATE_MEAN_M, LATE_MEAN_M) ** 2).mean()))
        sigma_m = max(math.sqrt(float(np.linalg.eigvalsh(spread)[-1])), misfit)
        place = Place(best, float(chainage[best]))
        zone = self._field.graph.zone_of[best]
        return fix._replace(
            place=place, xyz=(float(at[0]), float(at[1]), z), sigma_m=sigma_m, method=Method.RANGES_PLANE, zone=zone
        )
