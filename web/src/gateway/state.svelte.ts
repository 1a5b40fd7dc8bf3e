/** What the agent says of itself, asked every two seconds while someone looks; the page never fills a silence. */

export interface LinkState {
  id: string;
  kind: string;
  port: string;
  state: 'starting' | 'up' | 'degraded' | 'down';
  utilisation: number;
  predicted: number | null;
  polls: number;
  answers: number;
  timeouts: number;
  crc_errors: number;
  rejected: number;
  late: number;
  exceptions: number;
  missed: number;
  restarts: number;
  turnaround_ms: number;
  notes: string[];
}

export interface PointState {
  id: string;
  name: string;
  value: number | null;
  unit: string;
  decimals: number;
  quality: number | null;
  time_us: number | null;
  raw: number | null;
  word?: string;
}

export interface DeviceState {
  id: string;
  name: string;
  link: string;
  unit: number;
  profile: string;
  rung: string;
  state: 'starting' | 'up' | 'down';
  reason: string;
  since_us: number;
  last_question_hex: string;
  last_answer_hex: string;
  points: PointState[];
}

export interface EventState {
  rule: string;
  severity: number;
  point: string;
  begin_us: number;
  end_us: number;
  text: string;
}

/** A test or certificate and where it lies in the server's log; −1 while no receipt has come. */
export interface Proof {
  state: 'waiting' | 'held' | 'proved';
  epoch: number;
  seq: number;
  at_us: number;
  index: number;
  size: number;
}

export interface Commissioning {
  alarm_test: Proof | null;
  certificate: Proof | null;
  roles: string[];
  paused: string[];
}

export interface AgentState {
  gateway: string;
  name: string;
  site: string;
  enterprise: string;
  simulated: boolean;
  version: string;
  key_id: string;
  uptime_s: number;
  time_us: number;
  clock: { sync: 'none' | 'ntp' | 'gnss' | 'manual'; error_us: number; offset_us: number };
  links: LinkState[];
  devices: DeviceState[];
  sync: {
    state: string;
    reason: string;
    server: string;
    epoch: number;
    boot: number;
    seq: number;
    server_epoch: number | null;
    server_seq: number | null;
    queued: number;
    unsent: number;
    quarantined: number;
    last_receipt_us: number;
    verified_size: number;
    backoff_s: number;
    round_trip_ms: number | null;
    watched: boolean;
  };
  budget: { seconds_until_loss: number | null; queue_bytes: number; unsent_bytes: number; quota_bytes: number; bytes_per_s: number };
  active: EventState[];
  events: EventState[];
  commissioning: Commissioning;
  csrf: string;
}

const PERIOD_MS = 2_000;
const TIMEOUT_MS = 4_000;
const STALE_MS = 6_000;

/** asking: no answer yet. pin: the agent wants a PIN. heard: an answer is shown. lost: it stopped answering. */
export type Hearing = 'asking' | 'pin' | 'heard' | 'lost';

class Agent {
  state = $state.raw<AgentState | null>(null);
  hearing = $state<Hearing>('asking');
  heard_ms = $state(0);
  pinProblem = $state<'' | 'empty' | 'wrong' | 'wait' | 'unreachable'>('');
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Asks again and again until the returned function is called; pauses while the page is hidden. */
  follow(): () => void {
    const visible = (): void => void (document.hidden || this.ask());
    document.addEventListener('visibilitychange', visible);
    void this.ask();
    return () => {
      clearTimeout(this.timer);
      document.removeEventListener('visibilitychange', visible);
    };
  }

  /** What the gateway's clock says now, judged by its last answer; the viewer's own clock may be wrong. */
  now_us(now_ms: number): number {
    return (this.state?.time_us ?? 0) + Math.max(0, now_ms - this.heard_ms) * 1000;
  }

  async enter(pin: string): Promise<void> {
    if (!pin.trim()) {
      this.pinProblem = 'empty';
      return;
    }
    const answer = await fetch('/api/pin', { method: 'POST', body: pin, credentials: 'same-origin' }).catch(() => null);
    this.pinProblem = answer?.ok ? '' : answer?.status === 403 ? 'wrong' : answer?.status === 429 ? 'wait' : 'unreachable';
    if (answer?.ok) await this.ask();
  }

  /** Asks at once, as after an order. */
  async ask(): Promise<void> {
    clearTimeout(this.timer);
    try {
      const answer = await fetch('/api/state', { signal: AbortSignal.timeout(TIMEOUT_MS), credentials: 'same-origin' });
      if (answer.status === 401) this.hearing = 'pin';
      else if (answer.ok) {
        this.state = (await answer.json()) as AgentState;
        this.heard_ms = Date.now();
        this.hearing = 'heard';
      } else throw new Error(String(answer.status));
    } catch {
      if (this.hearing !== 'pin' && Date.now() - this.heard_ms > STALE_MS) this.hearing = 'lost';
    }
    if (!document.hidden && this.hearing !== 'pin') this.timer = setTimeout(() => void this.ask(), PERIOD_MS);
  }
}

export const agent = new Agent();
