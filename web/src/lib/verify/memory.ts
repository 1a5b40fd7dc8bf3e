/** What this browser remembers of a log between visits: the key it first saw and the last head it verified. */
import { hex, unhex, type Bytes } from './bytes';

export interface Head {
  vkey: string;
  size: number;
  root: Bytes;
  /** When this head was verified here, and when the log was first seen here; µs on the browser's clock. */
  checked_us: number;
  first_us: number;
}

const name = (enterprise: string): string => `minetwin.head.${enterprise}`;

/** The head of the last visit; null on the first, or where the browser keeps nothing. */
export function recall(enterprise: string): Head | null {
  try {
    const found = JSON.parse(localStorage.getItem(name(enterprise)) ?? 'null') as (Omit<Head, 'root'> & { root: string }) | null;
    if (!found || typeof found.vkey !== 'string' || !Number.isSafeInteger(found.size) || found.size < 1) return null;
    const root = unhex(found.root);
    return root.length === 32 ? { ...found, first_us: found.first_us || found.checked_us, root } : null;
  } catch {
    return null;
  }
}

/** Keeps a verified head; another tab that has seen more of the same log is not set back. */
export function remember(enterprise: string, head: Head): void {
  const held = recall(enterprise);
  if (held && held.vkey === head.vkey && held.size > head.size) return;
  try {
    localStorage.setItem(name(enterprise), JSON.stringify({ ...head, root: hex(head.root) }));
  } catch {
    // a browser that keeps nothing checks like on a first visit each time
  }
}

/** Begins anew with a log: what was remembered no longer speaks against it. */
export function forget(enterprise: string): void {
  try {
    localStorage.removeItem(name(enterprise));
  } catch {
    // nothing was kept
  }
}
