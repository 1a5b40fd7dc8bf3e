/** Text messages of the live socket and the pace of reconnecting; pure. */
import type { FeedMessage, TickMessage } from './types';

const WORLD = 'world'; // the kind of notice that tells a simulated world's pace
const BACKOFF_S = [1, 2, 5, 10];

/** Seconds to wait before attempt n (0 first) to reach the server again. */
export const backoff_s = (attempt: number): number => BACKOFF_S[Math.min(attempt, BACKOFF_S.length - 1)] as number;

const KINDS = new Set(['layout', 'tick', 'alarm']);

/** The message in a text frame; null for one this page does not know. */
export function parseMessage(text: string): FeedMessage | null {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof message !== 'object' || message === null) return null;
  const type = (message as { type?: unknown }).type;
  return typeof type === 'string' && KINDS.has(type) ? (message as FeedMessage) : null;
}

/** How much faster than real time the simulated world runs, by the notices of a tick; 1 when nothing says so. */
export function worldFactor(tick: TickMessage | null): number {
  return Math.max(1, ...(tick?.notices ?? []).filter((n) => n.kind === WORLD).map((n) => n.factor));
}

/** The sentences of a tick that are not about the world's pace. */
export function otherNotices(tick: TickMessage | null): string[] {
  return (tick?.notices ?? []).filter((n) => n.kind !== WORLD || n.factor <= 1).flatMap((n) => n.text || []);
}
