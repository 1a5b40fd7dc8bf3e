/** Proves for single entries that they are in the log: for lists of changes, without following the log. */
import { checkConsistency } from './merkle';
import { RemoteLog } from './log';
import { recall, remember } from './memory';
import { readCheckpoint } from './note';
import { TrustedLog } from './trust';

/** none: nobody asked; checking: on its way; unavailable: no answer came. */
export type RowState = 'none' | 'checking' | 'proven' | 'failed' | 'unavailable';

/** A log under a head that this browser has verified to continue the one it remembers. */
export async function openLog(enterprise: string): Promise<TrustedLog> {
  const remote = new RemoteLog(enterprise);
  const before = recall(enterprise);
  const vkey = before?.vkey ?? (await remote.hints()).log_vkey;
  const head = await readCheckpoint(await remote.checkpoint(), vkey);
  if (before) {
    const path = before.size < head.size ? await remote.consistency(before.size, head.size) : [];
    checkConsistency(before.size, head.size, path, before.root, head.root);
  }
  const now_us = Date.now() * 1000;
  remember(enterprise, { vkey, size: head.size, root: head.root, checked_us: now_us, first_us: before?.first_us ?? now_us });
  const log = new TrustedLog(remote, head.origin);
  log.head = head;
  return log;
}

/** Whether entry `index` is in the log, is of this kind and carries an unaltered body. */
export async function proveRow(log: TrustedLog, index: number, kind: string): Promise<RowState> {
  const { statement } = await log.entry(index);
  return statement.kind === kind ? 'proven' : 'failed';
}
