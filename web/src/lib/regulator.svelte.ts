/** What a regulator's pages load: enterprises, their changes since the last visit, how complete their data came. */
import { api, ApiError } from './api';
import { isHousekeeping, readFrom, recallSeen, rememberSeen, seenIndex, type Change, type Seen } from './changes';
import { t } from './i18n/index.svelte';
import { session } from './session.svelte';
import type { Completeness, EnterpriseSummary, Gateway } from './types';

const HOUR_US = 3_600_000_000;
const REFRESH_MS = 15_000;
const PAGES_MAX = 5;
export const CHANGES_MAX = 200;

export interface Watched {
  enterprise: EnterpriseSummary;
  seen: Seen | null;
  /** The log is shorter than what was seen of it. */
  shorter: boolean;
  changes: Change[];
  /** There are changes after those listed. */
  more: boolean;
  strips: Completeness[];
  /** Only known of an enterprise that is silent. */
  silent: Gateway[];
}

/** Completeness of the last hours of one enterprise, per gateway. */
export function strips(enterprise: string, hours: number, bucket_h: number): Promise<Completeness[]> {
  const to = Math.ceil((Date.now() * 1000) / (bucket_h * HOUR_US)) * bucket_h * HOUR_US;
  return api.completeness(enterprise, to - hours * HOUR_US, to, bucket_h * HOUR_US);
}

/** Changes from an index on, in pages; those of the server's own housekeeping are left out. */
export async function readChanges(enterprise: string, from: number, pages: number): Promise<{ changes: Change[]; next: number; more: boolean }> {
  const changes: Change[] = [];
  let next = from;
  for (let n = 0; n < pages; n++) {
    const page = await api.changes(enterprise, next, CHANGES_MAX);
    changes.push(...page.filter((change) => !isHousekeeping(change)));
    next = Math.max(next, ...page.map((change) => change.index + 1));
    if (page.length < CHANGES_MAX) return { changes, next, more: false };
  }
  return { changes, next, more: true };
}

/** What to say when a load failed; null when the session itself ended and the login page says it. */
export function failure(error: unknown): string | null {
  if (session.absorb(error)) return null;
  if (!(error instanceof ApiError)) throw error;
  return error.status ? error.message : t('app.unreachable');
}

export class Overview {
  list = $state.raw<Watched[] | null>(null);
  problem = $state('');
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;

  follow(): () => void {
    void this.load();
    return () => {
      this.stopped = true;
      clearTimeout(this.timer);
    };
  }

  /** Remembers that everything now shown of an enterprise has been looked at. */
  markSeen(of: Watched): void {
    const index = seenIndex(of.enterprise.tree_size, of.changes, of.more);
    rememberSeen(of.enterprise.id, { index, time_us: Date.now() * 1000 });
    void this.load();
  }

  async load(): Promise<void> {
    clearTimeout(this.timer);
    try {
      const enterprises = await api.enterprises();
      this.list = await Promise.all(enterprises.map((e) => this.one(e)));
      this.problem = '';
    } catch (error) {
      this.problem = failure(error) ?? '';
    }
    clearTimeout(this.timer); // another load may have ended meanwhile
    if (!this.stopped && session.state === 'in') this.timer = setTimeout(() => void this.load(), REFRESH_MS);
  }

  private async one(enterprise: EnterpriseSummary): Promise<Watched> {
    const seen = recallSeen(enterprise.id);
    const { index, shorter } = readFrom(seen, enterprise.tree_size);
    const [{ changes, more }, completeness, detail] = await Promise.all([
      readChanges(enterprise.id, index, PAGES_MAX),
      strips(enterprise.id, 48, 1),
      enterprise.state === 'silent' ? api.enterprise(enterprise.id) : null,
    ]);
    const silent = (detail?.gateways ?? []).filter((gateway) => gateway.state === 'silent');
    return { enterprise, seen, shorter, changes, more, strips: completeness, silent };
  }
}
