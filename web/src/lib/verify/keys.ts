/** Ed25519 in the browser: WebCrypto where it has it, else the small library; keys of small order are refused. */
import { encode } from './cbor';
import { digest } from './merkle';
import { FormatFault, ProofFault, type Bytes } from './bytes';

const P = 2n ** 255n - 19n;
const Y_ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
const SMALL = new Set([0n, 1n, P - 1n, Y_ORDER_8, P - Y_ORDER_8]);

/** The first 8 bytes of the COSE key thumbprint (RFC 9679). */
export function keyId(raw: Bytes): Bytes {
  return digest(encode(new Map<number, number | Bytes>([[1, 1], [-1, 6], [-2, raw]]))).slice(0, 8);
}

/** A key id as people compare it: ef30-cdaa-8997-4712. */
export function keyText(kid: Uint8Array): string {
  return Array.from({ length: 4 }, (_, n) => [0, 1].map((k) => kid[2 * n + k]!.toString(16).padStart(2, '0')).join('')).join('-');
}

type Check = (signature: Bytes, message: Bytes) => Promise<boolean>;

export class PublicKey {
  readonly kid: Bytes;
  private check: Promise<Check> | null = null;

  constructor(readonly raw: Bytes) {
    if (raw.length !== 32) throw new FormatFault('public key is not 32 bytes');
    const y = raw.reduceRight((sum, octet, at) => (sum << 8n) | BigInt(at === 31 ? octet & 127 : octet), 0n);
    if (y >= P || SMALL.has(y)) throw new ProofFault('public key of small order or in a second encoding');
    this.kid = keyId(raw);
  }

  /** Throws ProofFault unless the signature holds. */
  async verify(signature: Bytes, message: Bytes): Promise<void> {
    if (signature.length !== 64) throw new ProofFault('signature is not 64 bytes');
    this.check ??= checker(this.raw);
    if (!(await (await this.check)(signature, message))) throw new ProofFault(`signature does not hold under key ${keyText(this.kid)}`);
  }
}

async function checker(raw: Bytes): Promise<Check> {
  try {
    const key = await crypto.subtle.importKey('raw', raw, { name: 'Ed25519' }, false, ['verify']);
    return (signature, message) => crypto.subtle.verify({ name: 'Ed25519' }, key, signature, message);
  } catch {
    const { ed25519 } = await import('@noble/curves/ed25519.js');
    return async (signature, message) => ed25519.verify(signature, message, raw, { zip215: false });
  }
}
