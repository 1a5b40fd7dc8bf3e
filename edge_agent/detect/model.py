"""The commissioning model: what is usual of each channel, and which channels go along; a document with a version."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edge_agent.detect.symptoms as sy
from edge_agent.detect.pairs import PARTNERS
from edge_agent.detect.sites import Site

Array = NDArray[Any]
FORMAT = 1
NAMES = {
    "noise": sy.NOISE0, "flat_run_s": sy.RUN0_S, "jump": sy.JUMP0, "spikes": sy.SPIKES0, "missing": sy.MISSED0,
    "low": sy.LOW0, "high": sy.HIGH0, "margin": sy.MARGIN, "middle": sy.MIDDLE, "step": sy.STEP, "pace_s": sy.PACE_S,
    "fan": sy.FAN, "wind": sy.WIND, "learnt": sy.LEARNT,
    "rise": sy.RISE0, "fall": sy.FALL0, "quiet": sy.QUIET0, "loud": sy.LOUD0,
    "driver_share": sy.SHARE, "driver_usual": sy.DRIVER0, "idle_s": sy.IDLE0_S,
}  # fmt: skip


class Model:
    """Arrays over the channels of one site."""

    def __init__(self, site: Site, table: Array) -> None:
        count = len(site.channels)
        self.site = site
        self.table = table  # float64 [C, sy.N_MODEL]
        self.partner, self.scale = np.full((count, PARTNERS), -1, np.int64), np.zeros((count, PARTNERS), np.int64)
        self.line, self.strength = np.ones((count, PARTNERS, 3)), np.zeros((count, PARTNERS))
        self.driver = np.full(count, -1, np.int64)  # whose share is taken off a channel's level
        self.notes: list[str] = []  # what was out of the usual while it learnt
        self.learnt_s = 0.0

    @classmethod
    def blank(cls, site: Site) -> "Model":
        """Return a model that has learnt nothing: only what the site itself says."""
        table = np.zeros((len(site.channels), sy.N_MODEL))
        for row, channel in zip(table, site.channels, strict=True):
            row[sy.END_LOW], row[sy.END_HIGH], row[sy.T90_S] = channel.low, channel.high, channel.t90_s
            row[sy.STEP], row[sy.PACE_S] = channel.resolution, 1.0
        return cls(site, table)

    @property
    def version(self) -> str:
        """Return a name that changes with anything learnt."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()[:8]

    def document(self) -> dict[str, Any]:
        """Return the model as a JSON-able document."""
        return {**self._content(), "version": self.version}

    def _content(self) -> dict[str, Any]:
        ids = [channel.id for channel in self.site.channels]
        points = {
            name: {
                **{word: float(self.table[c, column]) for word, column in NAMES.items()},
                "driver": ids[self.driver[c]] if self.driver[c] >= 0 else "",
                "partners": [
                    [ids[p], int(self.scale[c, k]), *(float(v) for v in self.line[c, k]), float(self.strength[c, k])]
                    for k, p in enumerate(self.partner[c])
                    if p >= 0
                ],
            }
            for c, name in enumerate(ids)
        }
        return {"format": FORMAT, "learnt_s": self.learnt_s, "notes": list(self.notes), "points": points}

    @classmethod
    def from_document(cls, site: Site, document: Mapping[str, Any]) -> "Model":
        """Return the model of a document for the channels there are now; those it does not know are not learnt."""
        model, number = cls.blank(site), {channel.id: c for c, channel in enumerate(site.channels)}
        if document.get("format") != FORMAT:
            return model
        model.learnt_s, model.notes = float(document["learnt_s"]), [str(note) for note in document["notes"]]
        for name, told in document["points"].items():
            if (c := number.get(name)) is None:
                continue
            for word, column in NAMES.items():
                model.table[c, column] = told[word]
            model.driver[c] = number.get(told["driver"], -1)
            known = [row for row in told["partners"] if row[0] in number][:PARTNERS]
            for k, (partner, scale, *line, strength) in enumerate(known):
                model.partner[c, k], model.scale[c, k] = number[partner], scale
                model.line[c, k], model.strength[c, k] = line, strength
        return model
