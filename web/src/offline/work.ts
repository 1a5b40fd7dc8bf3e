/** One check of a bundle, wherever it runs: reads the file, judges it, tells how far it is. */
import { ARCHIVE_BYTES_MAX } from '../lib/verify/zip';
import { checkBundle, type BundleReport, type BundleTold } from '../lib/verify/bundle';
import { Fault, FormatFault } from '../lib/verify/bytes';

export interface Order {
  file: File;
  vkey: string;
}

export type Message = { type: 'progress'; done: number; of: number; faults: number } | { type: 'report'; report: BundleReport; took_s: number } | { type: 'failed'; text: string };

const TELL_MS = 100;

/** Runs one order; `pause` lets the page breathe when there is no worker. */
export async function work({ file, vkey }: Order, say: (message: Message) => void, pause: () => Promise<void> | void): Promise<void> {
  const begun_ms = performance.now();
  let told_ms = -Infinity;
  const told: BundleTold = (done, of, faults) => {
    const now_ms = performance.now();
    if (now_ms - told_ms < TELL_MS && done < of) return;
    told_ms = now_ms;
    say({ type: 'progress', done, of, faults });
    return pause();
  };
  try {
    if (file.size > ARCHIVE_BYTES_MAX) throw new FormatFault(`file of more than ${ARCHIVE_BYTES_MAX} bytes`);
    const report = await checkBundle(new Uint8Array(await file.arrayBuffer()), vkey, told);
    say({ type: 'report', report, took_s: (performance.now() - begun_ms) / 1000 });
  } catch (error) {
    say({ type: 'failed', text: error instanceof Fault || error instanceof Error ? error.message : String(error) });
  }
}

/** The buffers of a report that go over without a copy. */
export function buffersOf(report: BundleReport): ArrayBuffer[] {
  return report.points.flatMap((each) => [each.time_us.buffer, each.value.buffer, each.quality.buffer, each.row.buffer]);
}
