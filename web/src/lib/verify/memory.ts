/** What this browser remembers of a log between visits: the key it first saw and the last head it verified. */
import { hex, unhex, type Bytes } from './bytes';

export interface Head {
  vkey: string;
  size: number;
  root: Bytes;
  checked_us: number;
}

const key = (enterprise: string): string => `minetwin.head.${enterprise}`;

/** The head of the last visit; null on the first, or where the browser keeps nothing. */
export function recall(enterprise: string): Head | null {
  try {
    const found = JSON.parse(localStorage.getItem(key(enterprise)) ?? 'null') as { vkey: string; size: number; root: string; checked_us: number } | null;
    return found && { ...found, root: unhex(found.root) };
  } catch {
    return null;
  }
}

export function remember(enterprise: string, head: Head): void {
  try {
    localStorage.setItem(key(enterprise), JSON.stringify({ ...head, root: hex(head.root) }));
  } catch {
    // a browser that keeps nothing checks like on a first visit each time
  }
}
