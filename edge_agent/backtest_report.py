"""The page of a backtest: every verdict with its sentence and a plot of the point, its partners and its usual band."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import edge_agent.detect.symptoms as sy
from edge_agent.backtest import Line, Recording, load
from edge_agent.detect.model import Model

BEFORE_S, AFTER_S = 1800.0, 1800.0
WIDE, HIGH, DOTS = 720.0, 160.0, 360
COLOURS = {"hazard": "#b00020", "fault": "#8a5a00", "tamper": "#5b2a86", "benign": "#2e6b3a", "limit": "#333"}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Backtest</title>
<style>body{{font:15px/1.4 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}}
svg{{width:100%;height:auto;background:#f7f7f5}}section{{margin:1.5rem 0}}b{{text-transform:uppercase}}</style>
<h1>Backtest</h1><p>{count} verdicts; model {version}, learnt from {hours:.1f} h. Black: the point; grey: what partners
say it should read; band: what was usual while learning; line: the moment of the verdict.</p>{sections}</html>
"""


def write_report(folder: Path, out: Path, model: Model, lines: Sequence[Line]) -> Path:
    """Write index.html into `out` and return its path."""
    out.mkdir(parents=True, exist_ok=True)
    sections, name, recording = [], "", None
    for line in lines:
        if line.episode != name or recording is None:
            name = line.episode
            recording, _ = load(folder / "episodes" / f"{name}.npz", len(model.site.channels))
        sections.append(_section(model, recording, line))
    page = PAGE.format(
        count=len(lines), version=model.version, hours=model.learnt_s / 3600.0, sections="".join(sections)
    )
    path = out / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _section(model: Model, recording: Recording, line: Line) -> str:
    c = next(c for c, channel in enumerate(model.site.channels) if channel.id == line.point)
    begin, end = line.time_s - BEFORE_S, line.time_s + AFTER_S
    rows = (recording.time_s >= begin) & (recording.time_s <= end)
    thin = max(1, int(rows.sum()) // DOTS)
    time_s = recording.time_s[rows][::thin]
    own = recording.values[rows, c][::thin].astype(np.float64)
    told = [
        model.line[c, k, 0] + model.line[c, k, 1] * recording.values[rows, p][::thin].astype(np.float64)
        for k, p in enumerate(model.partner[c])
        if p >= 0
    ][:3]
    band = float(model.table[c, sy.LOW0]), float(model.table[c, sy.HIGH0])
    text = html.escape(line.sentence)
    colour = COLOURS.get(line.kind, "#333")
    return (
        f'<section><b style="color:{colour}">{html.escape(line.kind)}</b> {html.escape(line.episode)} '
        f"{line.time_s:.0f} s · {html.escape(line.point)} · score {line.score:.2f}<br>{text}"
        f"{_plot(time_s, own, told, band, line.time_s, colour)}</section>"
    )


def _plot(
    time_s: np.ndarray,
    own: np.ndarray,
    told: Sequence[np.ndarray],
    band: tuple[float, float],
    at_s: float,
    colour: str,
) -> str:
    known = own[np.isfinite(own)]
    ends = [*band, *(known.min(), known.max())] if len(known) else list(band)
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return round(HIGH - 8.0 - (value - low) / span * (HIGH - 16.0), 1)

    def x(now: float) -> float:
        return round((now - at_s + BEFORE_S) / (BEFORE_S + AFTER_S) * WIDE, 1)

    def path(series: np.ndarray, ink: str) -> str:
        dots = [(t, min(max(v, low), high)) for t, v in zip(time_s, series, strict=True) if np.isfinite(v)]
        points = " ".join(f"{x(t)},{y(v)}" for t, v in dots)
        return f'<polyline fill="none" stroke="{ink}" points="{points}"/>'

    top, bottom = y(band[1]), y(band[0])
    drawn = "".join(path(series, "#aaa") for series in told) + path(own, "#111")
    return (
        f'<svg viewBox="0 0 {WIDE:.0f} {HIGH:.0f}" role="img"><rect x="0" width="{WIDE:.0f}" y="{top}" '
        f'height="{max(bottom - top, 1.0)}" fill="#dfe8df"/>{drawn}<line x1="{x(at_s)}" x2="{x(at_s)}" y1="0" '
        f'y2="{HIGH:.0f}" stroke="{colour}"/><text x="4" y="14">{high:.4g}</text>'
        f'<text x="4" y="{HIGH - 4:.0f}">{low:.4g}</text></svg>'
    )
