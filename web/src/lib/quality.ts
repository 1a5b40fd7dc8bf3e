/** Quality codes of a sample, ordered as in twin_wire/readings.py: from BAD on there is no number. */
import type { Key } from './i18n/zh';

export const GOOD = 0;
export const BAD = 32;

const WORDS: Record<number, Key> = {
  0: 'quality.good',
  16: 'quality.uncertain',
  17: 'quality.clock_unsure',
  18: 'quality.calibrating',
  19: 'quality.bypassed',
  20: 'quality.stuck',
  21: 'quality.over_range',
  22: 'quality.under_range',
  32: 'quality.bad',
  33: 'quality.no_answer',
  34: 'quality.sentinel',
  35: 'quality.device_fault',
};

const POLLS_MISSED = 3;
const AGE_LEAST_S = 15; // a gateway nobody watches seals every 10 s

export type PointState = 'good' | 'uncertain' | 'bad' | 'stale' | 'none';

/** The dictionary key of a quality code; an unknown code reads as bad. */
export const qualityKey = (code: number): Key => WORDS[code] ?? (code < BAD ? 'quality.uncertain' : 'quality.bad');

/** How old a sample of a point may be, in seconds, before it is shown as stale. */
export const staleAfter_s = (period_s: number | undefined): number =>
  Math.max(AGE_LEAST_S, POLLS_MISSED * (period_s ?? 0));

/** What a point's last sample is worth now. */
export function pointState(quality: number, age_s: number, period_s: number | undefined): PointState {
  if (age_s >= 65535) return 'none';
  if (age_s > staleAfter_s(period_s)) return 'stale';
  if (quality >= BAD) return 'bad';
  return quality === GOOD ? 'good' : 'uncertain';
}
