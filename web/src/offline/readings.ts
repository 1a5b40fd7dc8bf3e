/** What the page computes from a point's readings: order in time, a span, its figures, a curve, CSV; pure. */
import { BAD } from '../lib/quality';
import type { History } from '../lib/types';
import type { PointReadings } from '../lib/verify/shown';
import type { Row } from '../lib/verify/bundle';

const BUCKETS = 1000;
const CSV_ROWS = 20_000; // lines a piece of the file is made of
const QUALITY: Record<number, string> = { 0: 'GOOD', 16: 'UNCERTAIN', 17: 'CLOCK_UNSURE', 18: 'CALIBRATING', 19: 'BYPASSED', 20: 'STUCK', 21: 'OVER_RANGE', 22: 'UNDER_RANGE', 32: 'BAD', 33: 'NO_ANSWER', 34: 'SENTINEL', 35: 'DEVICE_FAULT' };

/** The same readings in order of time; a late batch lies behind in the log. */
export function inTime(point: PointReadings): PointReadings {
  const { time_us } = point;
  let rises = true;
  for (let n = 1; n < time_us.length && rises; n++) rises = time_us[n]! >= time_us[n - 1]!;
  if (rises) return point;
  const order = Uint32Array.from(time_us, (_, n) => n).sort((a, b) => time_us[a]! - time_us[b]! || a - b);
  return { ...point, time_us: Float64Array.from(order, (n) => time_us[n]!), value: Float64Array.from(order, (n) => point.value[n]!), quality: Uint8Array.from(order, (n) => point.quality[n]!), row: Uint32Array.from(order, (n) => point.row[n]!) };
}

/** Where in rising times the first one at or after `time_us` is. */
export function placeOf(times: Float64Array, time_us: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < time_us) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface Figures {
  n: number;
  bad: number;
  min: number | null;
  max: number | null;
  mean: number | null;
}

/** Whether a reading is a number that can be drawn and summed up. */
const isNumber = (value: number, quality: number): boolean => quality < BAD && Number.isFinite(value);

/** Figures of readings [from, to). */
export function figures(point: PointReadings, from = 0, to = point.value.length): Figures {
  let [n, min, max, sum] = [0, Infinity, -Infinity, 0];
  for (let at = from; at < to; at++) {
    const value = point.value[at]!;
    if (!isNumber(value, point.quality[at]!)) continue;
    n++;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
  }
  return { n: to - from, bad: to - from - n, min: n ? min : null, max: n ? max : null, mean: n ? sum / n : null };
}

/** Readings [from, to) as the chart takes them: each, or at most BUCKETS with their least and most. */
export function curve(point: PointReadings, from: number, to: number): History {
  const { time_us, value, quality } = point;
  const [first_us, last_us] = [time_us[from] ?? 0, (time_us[to - 1] ?? 0) + 1];
  const bucket_us = to - from > BUCKETS ? Math.ceil((last_us - first_us) / BUCKETS) : 0;
  const made: History = { point: point.id, from: first_us, to: last_us, bucket_us, time_us: [], n: [], min: [], max: [], mean: [], last: [], bad: [] };
  for (let at = from; at < to; ) {
    const start_us = bucket_us ? first_us + Math.floor((time_us[at]! - first_us) / bucket_us) * bucket_us : time_us[at]!;
    let end = at + 1;
    while (bucket_us && end < to && time_us[end]! < start_us + bucket_us) end++;
    const sums = figures(point, at, end);
    made.time_us.push(start_us);
    made.n.push(sums.n - sums.bad);
    made.bad.push(sums.bad);
    made.min.push(sums.min);
    made.max.push(sums.max);
    made.mean.push(sums.mean);
    made.last.push(isNumber(value[end - 1]!, quality[end - 1]!) ? value[end - 1]! : null);
    at = end;
  }
  return made;
}

const field = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** ISO 8601 in UTC, with microseconds where there are some. */
function isoText(time_us: number): string {
  const rest_us = time_us % 1e6;
  return `${new Date((time_us - rest_us) / 1000).toISOString().slice(0, 19)}${rest_us ? `.${String(rest_us).padStart(6, '0')}` : ''}Z`;
}

/** A value so that reading it gives the same bits; empty when there is none. */
function exact(value: number, quality: number): string {
  if (Number.isNaN(value)) return quality >= BAD ? '' : 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return Object.is(value, -0) ? '-0' : String(value);
}

/** Pieces of a CSV file with the columns that `verify_evidence.py` prints. */
export function* csv(points: readonly PointReadings[], rows: readonly Row[]): Generator<string> {
  yield 'time_us,time,gateway,point,value,unit,quality,epoch,seq,index\n';
  for (const point of points) {
    const named = `${field(point.gateway)},${field(point.id)}`;
    for (let from = 0; from < point.value.length; from += CSV_ROWS) {
      let text = '';
      for (let n = from; n < Math.min(from + CSV_ROWS, point.value.length); n++) {
        const [time_us, quality, row] = [point.time_us[n]!, point.quality[n]!, rows[point.row[n]!]!];
        text += `${time_us},${isoText(time_us)},${named},${exact(point.value[n]!, quality)},${field(point.unit)},${QUALITY[quality] ?? quality},${row.epoch},${row.seq},${row.index}\n`;
      }
      yield text;
    }
  }
}
