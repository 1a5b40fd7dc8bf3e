/** Completeness: what is missing, and what may still be on its way. */
import { describe, expect, it } from 'vitest';
import { periods, totalShare } from '../src/lib/completeness';
import type { Completeness } from '../src/lib/types';

const HOUR_US = 3_600_000_000;
const strip = (expected: number[], received: number[]): Completeness => ({ gateway: 'gw', bucket_us: HOUR_US, time_us: expected.map((_, n) => n * HOUR_US), expected, received, late: expected.map(() => 0) });

describe('completeness', () => {
  it('knows nothing owed, all arrived, some missing', () => {
    const found = periods(strip([0, 3600, 3600], [600, 3600, 1800]), 10 * HOUR_US);
    expect(found.map(({ share, incomplete }) => [share, incomplete])).toEqual([[null, false], [1, false], [0.5, true]]);
  });

  it('fills no gap with the surplus of another period', () => {
    expect(totalShare(periods(strip([0, 100, 100], [500, 150, 50]), 10 * HOUR_US))).toBe(0.75);
    expect(totalShare(periods(strip([0, 0], [5, 0]), 10 * HOUR_US))).toBeNull();
  });

  it('does not count the newest minute of the period under way as missing, but what is older', () => {
    const half = HOUR_US / 2; // 1800 of 3600 owed so far, 60 a minute
    expect(periods(strip([1800], [1745]), half)[0]).toMatchObject({ running: true, incomplete: false, share: 1 });
    expect(periods(strip([1800], [1700]), half)[0]).toMatchObject({ running: true, incomplete: true });
    expect(periods(strip([1800], [1745]), 2 * HOUR_US)[0]).toMatchObject({ running: false, incomplete: true });
    expect(periods(strip([1800], [0]), half)[0]?.share).toBe(0);
  });

  it('calls nothing missing in the first minute', () => {
    expect(periods(strip([20], [0]), 20_000_000)[0]).toMatchObject({ share: 1, incomplete: false });
  });
});
