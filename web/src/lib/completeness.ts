/** How much of what was owed arrived, per period; pure. What may still be on its way is not counted as missing. */
import type { Completeness } from './types';

export const FULL = 0.999;
const GRACE_S = 60;

export interface Period {
  time_us: number;
  expected: number;
  received: number;
  late: number;
  /** null: nothing was owed. */
  share: number | null;
  /** The period is not over; its newest minute is not counted. */
  running: boolean;
  incomplete: boolean;
  /** What counts as owed and as received in sums over periods. */
  owed: number;
  held: number;
}

/** The periods of a strip as they stand at `now_us`. */
export function periods(strip: Completeness, now_us: number): Period[] {
  return strip.time_us.map((time_us, n) => {
    const expected = strip.expected[n] ?? 0;
    const received = strip.received[n] ?? 0;
    const running = now_us >= time_us && now_us < time_us + strip.bucket_us;
    const elapsed_s = Math.max(GRACE_S, (now_us - time_us) / 1e6);
    const underway = running ? (expected * GRACE_S) / elapsed_s : 0;
    const owed = Math.max(Math.min(received, expected), expected - underway);
    const held = Math.min(received, owed);
    const share = !expected ? null : owed > 0 ? held / owed : 1;
    return { time_us, expected, received, late: strip.late[n] ?? 0, share, running, incomplete: share !== null && share < FULL, owed, held };
  });
}

/** The share over all periods, null when nothing was owed; a period's surplus fills no other's gap. */
export function totalShare(of: Period[]): number | null {
  const owed = of.reduce((sum, period) => sum + period.owed, 0);
  return owed > 0 ? of.reduce((sum, period) => sum + period.held, 0) / owed : null;
}
