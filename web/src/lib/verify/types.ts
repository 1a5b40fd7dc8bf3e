/** What the pages ask of the log verification engine; the words are decisions 13 and 14 of the design.

A badge never says more than this browser has computed itself: a flag from the server changes nothing here.
*/

/** unchecked: no engine runs here. unavailable: it cannot (no secure context, no answer). */
export type LogState = 'unchecked' | 'unavailable' | 'checking' | 'verified' | 'failed';

export interface LogStatus {
  state: LogState;
  /** Entries the browser has checked up to: signature, consistency with the remembered head, recent entries. */
  size: number;
  /** When that check ended, µs on the browser's clock; 0 if never. */
  checked_us: number;
  /** For `failed` and `unavailable`: what did not hold, one sentence per language. */
  reason: Reason | null;
  /** For `failed`: the log entry that did not hold, where one can be named. */
  index: number | null;
}

export interface Reason {
  zh: string;
  en: string;
}

/** One number as the page shows it: the newest sample of the point at or before `as_of_us`. */
export interface Claim {
  point: string;
  as_of_us: number;
  /** Whole seconds between that sample and as_of_us, as the frame has it. */
  age_s: number;
  /** NaN for "no number". */
  value: number;
  quality: number;
}

/** received: nobody has compared it here. verified: body fetched, hashed, decoded, compared and equal. */
export type ClaimState = 'received' | 'checking' | 'verified' | 'failed' | 'unavailable';

export interface ClaimVerdict {
  state: ClaimState;
  /** The log entry that carries it. */
  index: number | null;
  size: number;
  checked_us: number;
  reason: Reason | null;
}

/** A number that was shown although the sealed record says another. */
export interface Caught {
  point: string;
  time_us: number;
  reason: Reason;
}

export interface Verifier {
  /** Follow the log of one enterprise; replaces the one before. */
  follow(enterprise: string): void;
  /** The log has grown to `tree_size` as the server says; the engine decides when to look. */
  grown(tree_size: number): void;
  stop(): void;
  status(): LogStatus;
  /** Numbers that differed from their records since the page follows this log, newest last. */
  caught(): readonly Caught[];
  /** Called after every change of status() or caught(); returns how to stop. */
  subscribe(changed: () => void): () => void;
  check(claim: Claim): Promise<ClaimVerdict>;
}

export const NOT_CHECKED: LogStatus = { state: 'unchecked', size: 0, checked_us: 0, reason: null, index: null };
export const RECEIVED: ClaimVerdict = { state: 'received', index: null, size: 0, checked_us: 0, reason: null };
