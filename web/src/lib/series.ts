/** A trend's numbers: history buckets, the live tail behind them, and the figures that sum them up; pure. */
import type { History, Limit } from './types';

/** Columns for the chart, rising time in seconds; null where there is no number. */
export interface Series {
  time_s: number[];
  min: (number | null)[];
  max: (number | null)[];
  mean: (number | null)[];
  n: number[];
  bad: number[];
}

export interface Sample {
  time_us: number;
  value: number | null;
}

export interface Stats {
  min: number | null;
  max: number | null;
  mean: number | null;
  last: number | null;
  n: number;
  bad: number;
  /** Time at or beyond the nearest alarm limit, in seconds of whole buckets; null without limits. */
  over_s: number | null;
}

const GAP_BUCKETS = 2.5; // a longer hole between samples is shown as a hole

/** The usual distance between entries, µs: the bucket's width, or the median gap where the samples come as they are. */
export function spacing_us(history: History): number {
  if (history.bucket_us > 0) return history.bucket_us;
  const gaps = history.time_us.slice(1).map((t, i) => t - (history.time_us[i] as number));
  return gaps.sort((a, b) => a - b)[gaps.length >> 1] ?? 1e6;
}

/** History with the samples newer than its last entry behind it; a hole in time becomes a null.

Nothing later than `until_us` is taken: a replay must not show what came after.
*/
export function joinSeries(history: History, tail: readonly Sample[], until_us = Infinity): Series {
  const step_us = spacing_us(history);
  const series: Series = { time_s: [], min: [], max: [], mean: [], n: [], bad: [] };
  const push = (time_us: number, min: number | null, max: number | null, mean: number | null, n: number, bad: number): void => {
    series.time_s.push(time_us / 1e6);
    series.min.push(min);
    series.max.push(max);
    series.mean.push(mean);
    series.n.push(n);
    series.bad.push(bad);
  };
  let last_us = -Infinity;
  history.time_us.forEach((time_us, i) => {
    if (time_us > until_us) return;
    if (time_us - last_us > GAP_BUCKETS * step_us && Number.isFinite(last_us)) {
      push(last_us + step_us, null, null, null, 0, 0);
    }
    const some = (history.n[i] ?? 0) > 0;
    push(time_us, some ? (history.min[i] ?? null) : null, some ? (history.max[i] ?? null) : null, some ? (history.mean[i] ?? null) : null, history.n[i] ?? 0, history.bad[i] ?? 0);
    last_us = time_us;
  });
  const from_us = Number.isFinite(last_us) ? last_us + history.bucket_us : history.from;
  for (const sample of tail) {
    if (sample.time_us < from_us || sample.time_us <= last_us || sample.time_us > until_us) continue;
    const v = sample.value;
    push(sample.time_us, v, v, v, v === null ? 0 : 1, v === null ? 1 : 0);
    last_us = sample.time_us;
  }
  return series;
}

/** Says whether a value is at or beyond a limit; rates are not values. */
export function beyond(limit: Limit, low: number, high: number): boolean {
  if (limit.kind === 'high') return high >= limit.value;
  return limit.kind === 'low' && low <= limit.value;
}

/** Sums a series up; `bucket_s` is the time one entry stands for. */
export function statsOf(series: Series, limits: readonly Limit[], bucket_s: number): Stats {
  const stats: Stats = { min: null, max: null, mean: null, last: null, n: 0, bad: 0, over_s: null };
  const acting = limits.filter((l) => l.kind !== 'rate');
  let [sum, over] = [0, 0];
  series.time_s.forEach((_, i) => {
    const [low, high, mean, n] = [series.min[i] ?? null, series.max[i] ?? null, series.mean[i] ?? null, series.n[i] ?? 0];
    stats.bad += series.bad[i] ?? 0;
    if (low === null || high === null || mean === null) return;
    stats.min = stats.min === null ? low : Math.min(stats.min, low);
    stats.max = stats.max === null ? high : Math.max(stats.max, high);
    stats.n += n;
    sum += mean * n;
    stats.last = mean;
    if (acting.some((l) => beyond(l, low, high))) over += bucket_s;
  });
  stats.mean = stats.n ? sum / stats.n : null;
  stats.over_s = acting.length ? over : null;
  return stats;
}

/** How near a value is to acting limits: 1 at the limit, above 1 beyond it; null without a limit or a value. */
export function nearness(value: number, limits: readonly Limit[]): { share: number; limit: Limit } | null {
  let best: { share: number; limit: Limit } | null = null;
  for (const limit of limits) {
    if (limit.kind === 'rate' || !Number.isFinite(value) || limit.value <= 0) continue;
    const share = limit.kind === 'high' ? value / limit.value : value > 0 ? limit.value / value : Infinity;
    if (!best || share > best.share) best = { share, limit };
  }
  return best;
}
