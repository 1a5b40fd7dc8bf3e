/** What the installer orders of the agent: work on a bus, points, a test alarm, the certificate. One job at a time. */
import { agent } from './state.svelte';

export interface FoundUnit {
  unit: number;
  baud: number;
  parity: string;
  stop_bits: number;
  function: number;
  said: string;
}

export interface Evidence {
  what: string;
  seen: string;
  weight: number;
  frame: string;
}

export interface Match {
  profile: string;
  vendor: string;
  model: string;
  share: number;
  evidence: Evidence[];
}

export interface Guess {
  address: number;
  type: string;
  order: string;
  value: number | string | null;
  reasons: string[];
}

export interface Register {
  address: number;
  word: number;
  moved: boolean;
  candidates: [string, string, number | string | null][];
}

export interface Job {
  kind: 'scan' | 'identify' | 'registers';
  target: string;
  link: string;
  state: 'running' | 'done' | 'failed' | 'stopped';
  progress: { done?: number; planned?: number; left_s?: number; setting?: string; unit?: number; text?: string; reads?: number };
  result: {
    found?: FoundUnit[];
    noise?: string[];
    ignores_unit?: boolean;
    identity?: Record<string, string>;
    matches?: Match[];
    guesses?: Guess[] | Record<string, Guess[]>;
    registers?: Register[];
    request?: string;
    answer?: string;
  };
  error: string;
  hint: string;
  took_s: number;
}

export interface Port {
  target: string;
  link: string;
  listen_only?: boolean;
  baud?: number;
  parity?: string;
  stop_bits?: number;
}

export interface Profiles {
  profiles: { id: string; vendor: string; model: string; unit: number; signals: { id: string; quantity: string; unit: string; name: string }[] }[];
  quantities: { code: string; unit: string; decimals: number; name_en: string; name_zh: string }[];
  zones: string[];
  roadways: string[];
  places: string[];
}

/** A register that is to become a signal: how it is read, and what it measures. */
export interface Pick {
  func: number;
  address: number;
  type: string;
  order: string;
  shapes: Register['candidates'];
  quantity: string;
  decimals: number;
  id: string;
}

export interface Mapped {
  tables: string;
  rows: Record<string, string>[];
  backups: string[];
}

/** Why an order was refused: in the agent's words, with every fault. */
export interface Refusal {
  path: string;
  error: string;
  hint: string;
  faults: [string, string][];
}

const PERIOD_MS = 700;

class Orders {
  job = $state.raw<Job | null>(null);
  ports = $state.raw<Port[]>([]);
  known = $state.raw<Profiles | null>(null);
  refusal = $state.raw<Refusal | null>(null);
  busy = $state(false);
  /** Where the present work is: of the scan's chosen unit. */
  target = $state('');
  unit = $state(1);
  baud = $state(0);
  parity = $state('');
  stop_bits = $state(1);
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Reads what there is to choose from, and follows a job that runs. */
  open(): () => void {
    void this.look('/api/ports').then((found) => (this.ports = (found as Port[] | null) ?? []));
    void this.reload();
    void this.follow();
    return () => clearTimeout(this.timer);
  }

  /** Reads the profiles again, as after a new one was written. */
  async reload(): Promise<void> {
    this.known = ((await this.look('/api/profiles')) as Profiles | null) ?? this.known;
  }

  async start(kind: Job['kind'], more: Record<string, unknown>): Promise<void> {
    const setting = kind === 'scan' ? {} : { baud: this.baud, parity: this.parity, stop_bits: this.stop_bits, unit: this.unit };
    const job = (await this.send(`/api/${kind}`, { target: this.target, ...setting, ...more })) as Job | null;
    if (job) this.job = job;
    void this.follow();
  }

  async stop(): Promise<void> {
    await this.send('/api/job/stop', {});
    await this.follow();
  }

  /** Gives one order; null when it was refused, and then `refusal` says why. */
  async send(path: string, body: Record<string, unknown>): Promise<unknown> {
    this.busy = true;
    this.refusal = null;
    try {
      const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': agent.state?.csrf ?? '' };
      const answer = await fetch(path, { method: 'POST', credentials: 'same-origin', headers, body: JSON.stringify(body) });
      if (answer.ok) return await answer.json();
      this.refusal = answer.status === 409 ? { ...((await answer.json()) as Refusal), path } : { path, error: `${answer.status} ${await answer.text()}`, hint: '', faults: [] };
    } catch {
      this.refusal = { path, error: 'unreachable', hint: '', faults: [] };
    } finally {
      this.busy = false;
    }
    return null;
  }

  private async follow(): Promise<void> {
    clearTimeout(this.timer);
    const job = (await this.look('/api/job')) as Job | null;
    if (job) this.job = job;
    if (this.job?.state === 'running') this.timer = setTimeout(() => void this.follow(), PERIOD_MS);
  }

  private async look(path: string): Promise<unknown> {
    const answer = await fetch(path, { credentials: 'same-origin' }).catch(() => null);
    return answer?.ok ? await answer.json() : null;
  }
}

export const orders = new Orders();