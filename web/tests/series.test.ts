/** What a trend shows: holes stay holes, the live tail joins without a seam, sums are right. */
import { describe, expect, it } from 'vitest';
import { joinSeries, nearness, spacing_us, statsOf } from '../src/lib/series';
import type { History, Limit } from '../src/lib/types';

const S = 1e6;
const history = (time_us: number[], bucket_us: number, more: Partial<History> = {}): History => ({
  point: 'p',
  from: 0,
  to: 100 * S,
  bucket_us,
  time_us,
  n: time_us.map(() => 2),
  min: time_us.map((_, i) => i),
  max: time_us.map((_, i) => i + 2),
  mean: time_us.map((_, i) => i + 1),
  last: time_us.map((_, i) => i + 1),
  bad: time_us.map(() => 0),
  ...more,
});
const high = (value: number): Limit => ({ kind: 'high', severity: 1, value, restore: value, delay_s: 0, source: 'site' });

describe('a series', () => {
  it('shows a hole in the buckets as a hole', () => {
    const joined = joinSeries(history([0, 10 * S, 50 * S], 10 * S), []);
    expect(joined.mean).toEqual([1, 2, null, 3]);
  });

  it('draws samples that come as they are without holes between them', () => {
    const exact = history([0, 1 * S, 2 * S, 3 * S], 0);
    expect(spacing_us(exact)).toBe(S);
    expect(joinSeries(exact, []).mean).toEqual([1, 2, 3, 4]);
    expect(joinSeries(history([0, 1 * S, 2 * S, 30 * S], 0), []).mean).toEqual([1, 2, 3, null, 4]);
  });

  it('shows a bucket without a number as nothing, never as zero', () => {
    const joined = joinSeries(history([0, 10 * S], 10 * S, { n: [0, 2], min: [0, 1], bad: [5, 0] }), []);
    expect(joined.mean).toEqual([null, 2]);
    expect(joined.bad).toEqual([5, 0]);
  });

  it('takes only the live samples that lie behind its last bucket', () => {
    const tail = [{ time_us: 15 * S, value: 9 }, { time_us: 21 * S, value: 7 }, { time_us: 22 * S, value: null }];
    const joined = joinSeries(history([0, 10 * S], 10 * S), tail);
    expect(joined.time_s).toEqual([0, 10, 21, 22]);
    expect(joined.mean).toEqual([1, 2, 7, null]);
    expect(joined.bad.at(-1)).toBe(1);
  });

  it('shows nothing of what came after the time of a replay', () => {
    const tail = [{ time_us: 21 * S, value: 7 }, { time_us: 31 * S, value: 8 }];
    const joined = joinSeries(history([0, 10 * S], 10 * S), tail, 25 * S);
    expect(joined.mean).toEqual([1, 2, 7]);
    expect(joinSeries(history([0, 10 * S, 20 * S], 10 * S), [], 15 * S).mean).toEqual([1, 2]);
  });

  it('sums up, weighted by the samples', () => {
    const joined = joinSeries(history([0, 10 * S], 10 * S, { n: [1, 3] }), []);
    expect(statsOf(joined, [high(3)], 10)).toMatchObject({ min: 0, max: 3, mean: 1.75, last: 2, n: 4, over_s: 10 });
    expect(statsOf(joined, [], 10).over_s).toBeNull();
  });
});

describe('nearness', () => {
  it('is one at the limit, for high and low limits alike', () => {
    expect(nearness(1, [high(1)])?.share).toBe(1);
    expect(nearness(10, [{ ...high(20), kind: 'low' }])?.share).toBe(2);
    expect(nearness(0.5, [high(1), high(0.8)])?.limit.value).toBe(0.8);
  });

  it('says nothing without a limit, without a value, or for a rate', () => {
    expect(nearness(1, [])).toBeNull();
    expect(nearness(NaN, [high(1)])).toBeNull();
    expect(nearness(1, [{ ...high(1), kind: 'rate' }])).toBeNull();
  });
});
