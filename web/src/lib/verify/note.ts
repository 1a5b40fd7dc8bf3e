/** Signed notes and checkpoints of C2SP, and the verifier key a log's key is handed out as. */
import { ascii, FormatFault, hex, join, ProofFault, same, unbase64, type Bytes } from './bytes';
import { PublicKey } from './keys';
import { digest } from './merkle';
import { isName } from './statement';

const ED25519 = Uint8Array.of(1);
const NOTE_BYTES_MAX = 65536;
const SIGNATURES_MAX = 64;

export interface Checkpoint {
  origin: string;
  size: number;
  root: Bytes;
  text: string;
}

/** Reads `name+id+base64`; throws when its id does not belong to it. */
export function parseVkey(text: string): { name: string; id: Bytes; key: PublicKey } {
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
  if (!isName(name) || !id || !encoded) throw new FormatFault('verifier key is not name+id+key');
  const blob = unbase64(encoded);
  if (blob[0] !== 1) throw new FormatFault('verifier key is not of type Ed25519');
  const wanted = digest(join(ascii(`${name}\n`), ED25519, blob.slice(1))).slice(0, 4);
  if (hex(wanted) !== id) throw new ProofFault("verifier key's id does not belong to it");
  return { name, id: wanted, key: new PublicKey(blob.slice(1)) };
}

/** Opens a checkpoint that the log of this verifier key signed. */
export async function readCheckpoint(note: string, vkey: string): Promise<Checkpoint> {
  const { name, id, key } = parseVkey(vkey);
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n') || note.length > NOTE_BYTES_MAX || /[\u0000-\u0009\u000b-\u001f]/.test(note)) throw new FormatFault('checkpoint is no signed note');
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > SIGNATURES_MAX) throw new FormatFault(`note with more than ${SIGNATURES_MAX} signatures`);
  let signed = false;
  for (const line of lines) {
    const [dash, signer, encoded, more] = line.split(' ');
    if (dash !== '\u2014' || !isName(signer) || !encoded || more !== undefined) throw new FormatFault('malformed signature line');
    const blob = unbase64(encoded);
    if (signer !== name || !same(blob.slice(0, 4), id)) continue;
    await key.verify(blob.slice(4), ascii(text));
    signed = true;
  }
  const [origin, digits, root, ...rest] = text.split('\n');
  if (!signed || origin !== name) throw new ProofFault('checkpoint is not signed by this log', { zh: '树头不是由这份日志的密钥签名的' });
  if (!digits || !/^(0|[1-9][0-9]{0,15})$/.test(digits) || !root || rest.length !== 1) throw new FormatFault('checkpoint is not three lines');
  const hash = unbase64(root);
  if (hash.length !== 32) throw new FormatFault('checkpoint root is not 32 bytes');
  return { origin, size: Number(digits), root: hash, text };
}
