/** What an audit says: faults that name the batch, notes that explain, and counts of what was looked at. */

export type FaultKind =
  | 'entry' // the entry is not the one whose hash the log's tree holds
  | 'form'
  | 'altered' // the body is not the one that was sealed
  | 'signature'
  | 'chain'
  | 'contradiction'
  | 'duplicate'
  | 'missing'
  | 'absent' // a body is not here, and no gap record says why
  | 'key'
  | 'revoked'
  | 'anchor'
  | 'root'
  | 'tile'
  | 'rewritten'
  | 'shrunk'
  | 'rekeyed';

/** Something that does not hold. `index` -1: no one entry; `gateway` '': not known; `last`: end of a range of numbers. */
export interface Finding {
  kind: FaultKind;
  index: number;
  gateway: string;
  epoch: number;
  seq: number;
  last: number;
  /** How many times, where one cause shows in many entries. */
  count: number;
  /** What exactly, in English, for people who know the format. */
  detail: string;
}

export type NoteKind = 'explained' | 'given_up' | 'late' | 'new_box' | 'restored' | 'suspect';

/** Something one should know that is no fault. */
export interface Note {
  kind: NoteKind;
  gateway: string;
  epoch: number;
  seq: number;
  last: number;
  count: number;
}

export interface Epoch {
  gateway: string;
  epoch: number;
  kid: string;
  enrolled_index: number;
  statements: number;
  last_seq: number;
  /** Event times of its readings, ms; 0 when there are none. */
  first_ms: number;
  last_ms: number;
}

export const COUNTS = ['entries', 'data', 'bodies', 'signatures', 'vouched', 'anchors', 'given_up', 'late'] as const;
export type Counts = Record<(typeof COUNTS)[number], number>;

export interface Options {
  /** Check every signature, not only those that vouch for all others. */
  every: boolean;
  /** Fetch and hash every body, not only those that carry keys, gaps and times of receipt. */
  bodies: boolean;
}

export interface Report {
  origin: string;
  vkey: string;
  size: number;
  root: string;
  simulated: boolean;
  options: Options;
  counts: Counts;
  findings: Finding[];
  /** Findings beyond those listed. */
  more: number;
  notes: Note[];
  epochs: Epoch[];
  /** The head of an earlier visit that this log was compared with; null on a first visit. */
  before: { size: number; checked_us: number; first_us: number } | null;
  begun_us: number;
  ended_us: number;
}

export type Phase = 'entries' | 'signatures';

export interface Progress {
  phase: Phase;
  done: number;
  of: number;
  faults: number;
}
