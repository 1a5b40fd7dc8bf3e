/** A verifier whose engine is fetched when a log is first followed: signing in and lists need none of it. */
import { NOT_CHECKED, RECEIVED, type Caught, type Claim, type ClaimVerdict, type LogStatus, type Verifier } from './types';

const NO_ENGINE: LogStatus = {
  ...NOT_CHECKED,
  state: 'unavailable',
  reason: { zh: '未能取得核验程序', en: 'the checking program could not be fetched' },
};

/** Stands in for the engine until it is there; what it was told meanwhile reaches the engine. */
export function lazyVerifier(load: () => Promise<Verifier>): Verifier {
  return new Lazy(load);
}

class Lazy implements Verifier {
  private engine: Verifier | null = null;
  private fetching = false;
  private enterprise = '';
  private size = 0;
  private waiting: LogStatus = NOT_CHECKED;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly load: () => Promise<Verifier>) {}

  follow(enterprise: string): void {
    this.enterprise = enterprise;
    if (this.engine) this.engine.follow(enterprise);
    else void this.fetch();
  }

  grown(tree_size: number): void {
    this.size = tree_size;
    if (this.engine) this.engine.grown(tree_size);
    else if (this.enterprise) void this.fetch(); // again after a failure
  }

  stop(): void {
    this.enterprise = '';
    this.engine?.stop();
    if (!this.engine) this.put(NOT_CHECKED);
  }

  status(): LogStatus {
    return this.engine?.status() ?? this.waiting;
  }

  caught(): readonly Caught[] {
    return this.engine?.caught() ?? [];
  }

  subscribe(changed: () => void): () => void {
    this.listeners.add(changed);
    return () => void this.listeners.delete(changed);
  }

  async check(claim: Claim): Promise<ClaimVerdict> {
    return (await this.engine?.check(claim)) ?? RECEIVED;
  }

  private async fetch(): Promise<void> {
    if (this.fetching) return;
    this.fetching = true;
    this.put({ ...NOT_CHECKED, state: 'checking' });
    try {
      const engine = await this.load();
      engine.subscribe(() => this.tell());
      this.engine = engine;
      if (this.enterprise) engine.follow(this.enterprise);
      if (this.enterprise && this.size) engine.grown(this.size);
      this.tell();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // what an import that cannot be fetched throws
      this.put(NO_ENGINE);
    } finally {
      this.fetching = false;
    }
  }

  private put(status: LogStatus): void {
    this.waiting = status;
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
