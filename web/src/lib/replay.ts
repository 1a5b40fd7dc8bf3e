/** Times and speeds of the time bar; pure. */

export const SPEEDS = [1, 5, 20, 60] as const;
export const SPANS_S = [900, 3600, 8 * 3600, 24 * 3600, 7 * 24 * 3600] as const;
export const STEP_US = 60 * 1e6;

/** What the address says: `t` in µs since 1970 and `speed`; null for live. */
export function replayFromQuery(t: string, speed: string): { from_us: number; speed: number } | null {
  const from_us = Number(t);
  if (!t || !Number.isFinite(from_us) || from_us <= 0) return null;
  const asked = Number(speed);
  return { from_us, speed: speed !== '' && Number.isFinite(asked) && asked >= 0 && asked <= 600 ? asked : 1 };
}

/** Where a time lies on a bar that ends at `end_us`, 0 to 1. */
export function shareOf(time_us: number, end_us: number, span_s: number): number {
  return Math.min(1, Math.max(0, 1 - (end_us - time_us) / (span_s * 1e6)));
}

/** The least span of the list that still shows `time_us`. */
export function spanFor(time_us: number, end_us: number, present_s: number): number {
  const need_s = (end_us - time_us) / 1e6;
  if (need_s <= present_s) return present_s;
  return SPANS_S.find((span) => span >= need_s) ?? (SPANS_S[SPANS_S.length - 1] as number);
}
