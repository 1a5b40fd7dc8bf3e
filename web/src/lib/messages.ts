/** Text messages of the live socket and the pace of reconnecting; pure. */
import type { FeedMessage, Notice, TickMessage } from './types';

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

const FACTOR = /[×x*]\s*(\d+(?:\.\d+)?)/i;

/** How much faster than real time the simulated world runs, by the notices of a tick; 1 when nothing says so. */
export function worldFactor(tick: TickMessage | null): number {
  for (const notice of tick?.notices ?? []) {
    if (typeof notice !== 'string' && notice.factor && notice.factor > 1) return notice.factor;
    const text = typeof notice === 'string' ? notice : `${notice.kind} ${notice.text}`;
    if (!/world|time_scale|simulat/i.test(text)) continue;
    const factor = Number(FACTOR.exec(text)?.[1] ?? 1);
    if (factor > 1) return factor;
  }
  return 1;
}

/** The sentences of a tick that are not about the world's pace. */
export function otherNotices(tick: TickMessage | null): string[] {
  const notices = (tick?.notices ?? []).filter((n) => worldFactor({ notices: [n] } as unknown as TickMessage) === 1);
  return notices.map((n: Notice | string) => (typeof n === 'string' ? n : n.text)).filter(Boolean);
}
