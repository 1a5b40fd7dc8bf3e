/** Compares a number on the page with decoded records; pure. */
import type { Block } from './body';
import type { Claim } from './types';

const AGE_MAX_S = 65535;

export interface Sample {
  time_us: number;
  value: number;
  quality: number;
}

/** The newest sample of a point at or before a time, and whether later ones follow in the same body. */
export function newestOf(blocks: readonly Block[], point: string, gateway: string, as_of_us: number): { sample: Sample | null; last_us: number } {
  let sample: Sample | null = null;
  let last_us = 0;
  for (const block of blocks) {
    const row = rowOf(block, point, gateway);
    if (row < 0) continue;
    block.time_us.forEach((time_us, t) => {
      last_us = Math.max(last_us, time_us);
      if (time_us <= as_of_us && (!sample || time_us >= sample.time_us)) sample = { time_us, value: block.value[row]![t]!, quality: block.quality[row]![t]! };
    });
  }
  return { sample, last_us };
}

/** Pages call a point gateway:point where two gateways have one of the same id. */
function rowOf(block: Block, point: string, gateway: string): number {
  const row = block.points.indexOf(point);
  return row < 0 && point.startsWith(`${gateway}:`) ? block.points.indexOf(point.slice(gateway.length + 1)) : row;
}

/** Age of a sample as a frame states it. */
export function ageOf(sample: Sample, as_of_us: number): number {
  return Math.min(Math.max(Math.floor((as_of_us - sample.time_us) / 1e6), 0), AGE_MAX_S);
}

/** Whether the page shows exactly this sample: number, quality and age. */
export function isShown(sample: Sample, claim: Claim): boolean {
  return ageOf(sample, claim.as_of_us) === claim.age_s && sample.quality === claim.quality && sameNumber(sample.value, claim.value);
}

function sameNumber(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}
