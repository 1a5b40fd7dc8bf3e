/** The stand-in of the verification engine claims nothing, and hands on what it was told. */
import { describe, expect, it } from 'vitest';
import { lazyVerifier } from '../src/lib/verify/lazy';
import { NOT_CHECKED, RECEIVED, type LogStatus, type Verifier } from '../src/lib/verify/types';

const VERIFIED: LogStatus = { ...NOT_CHECKED, state: 'verified', size: 7, checked_us: 1 };
const CLAIM = { point: 'p', as_of_us: 1, age_s: 0, value: 1, quality: 0 };
const settle = (): Promise<void> => new Promise((done) => setTimeout(done));

function engine(told: string[]): Verifier {
  let changed = (): void => undefined;
  return {
    follow: (e) => void told.push(`follow ${e}`),
    grown: (n) => {
      told.push(`grown ${n}`);
      changed();
    },
    stop: () => void told.push('stop'),
    status: () => VERIFIED,
    caught: () => [],
    subscribe: (fn) => {
      changed = fn;
      return () => undefined;
    },
    check: async () => ({ ...RECEIVED, state: 'verified' }),
  };
}

describe('the stand-in', () => {
  it('fetches nothing before a log is followed', () => {
    let loads = 0;
    const lazy = lazyVerifier(async () => (loads++, engine([])));
    lazy.grown(5);
    expect([loads, lazy.status().state]).toEqual([0, 'unchecked']);
  });

  it('says checking and received until the engine is there, then what the engine says', async () => {
    const told: string[] = [];
    const lazy = lazyVerifier(async () => engine(told));
    let changes = 0;
    lazy.subscribe(() => changes++);
    lazy.follow('mine');
    lazy.grown(7);
    expect(lazy.status().state).toBe('checking');
    expect(await lazy.check(CLAIM)).toEqual(RECEIVED);
    await settle();
    expect(told).toEqual(['follow mine', 'grown 7']);
    expect(lazy.status()).toBe(VERIFIED);
    expect((await lazy.check(CLAIM)).state).toBe('verified');
    expect(changes).toBeGreaterThan(1);
  });

  it('follows nothing when it was stopped before the engine came', async () => {
    const told: string[] = [];
    const lazy = lazyVerifier(async () => engine(told));
    lazy.follow('mine');
    lazy.stop();
    await settle();
    expect(told).toEqual([]);
  });

  it('says so when the engine cannot be fetched, and tries again', async () => {
    let loads = 0;
    const lazy = lazyVerifier(async () => {
      if (loads++ === 0) throw new TypeError('no network');
      return engine([]);
    });
    lazy.follow('mine');
    await settle();
    expect(lazy.status().state).toBe('unavailable');
    lazy.grown(8);
    await settle();
    expect(lazy.status()).toBe(VERIFIED);
  });
});
