/** What a regulator's pages load: enterprises, their changes since the last visit, how complete their data came. */
import { api, ApiError } from './api';
import { isHousekeeping, recallSeen, rememberSeen, type Change, type Seen } from './changes';
import { session } from './session.svelte';
import type { Completeness, EnterpriseSummary } from './types';

const HOUR_US = 3_600_000_000;
const REFRESH_MS = 15_000;
export const CHANGES_MAX = 200;

export interface Watched {
  enterprise: EnterpriseSummary;
  seen: Seen | null;
  changes: Change[];
  strips: Completeness[];
}

/** Completeness of the last hours of one enterprise, per gateway. */
export function strips(enterprise: string, hours: number, bucket_h: number): Promise<Completeness[]> {
  const to = Math.ceil((Date.now() * 1000) / (bucket_h * HOUR_US)) * bucket_h * HOUR_US;
  return api.completeness(enterprise, to - hours * HOUR_US, to, bucket_h * HOUR_US);
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
    rememberSeen(of.enterprise.id, { index: of.enterprise.tree_size - 1, time_us: Date.now() * 1000 });
    void this.load();
  }

  async load(): Promise<void> {
    clearTimeout(this.timer);
    try {
      const enterprises = await api.enterprises();
      this.list = await Promise.all(enterprises.map((e) => this.one(e)));
      this.problem = '';
    } catch (error) {
      if (session.absorb(error)) return;
      if (!(error instanceof ApiError)) throw error;
      this.problem = error.status ? error.message : 'unreachable';
    }
    if (!this.stopped) this.timer = setTimeout(() => void this.load(), REFRESH_MS);
  }

  private async one(enterprise: EnterpriseSummary): Promise<Watched> {
    const seen = recallSeen(enterprise.id);
    const [changes, completeness] = await Promise.all([
      api.changes(enterprise.id, seen ? seen.index + 1 : 0, CHANGES_MAX),
      strips(enterprise.id, 48, 1),
    ]);
    return { enterprise, seen, changes: changes.filter((c) => !isHousekeeping(c)), strips: completeness };
  }
}
