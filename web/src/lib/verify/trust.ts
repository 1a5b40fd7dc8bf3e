/** From a signed checkpoint to readings one may compare: entries proven to be in the log, keys taken from the log. */
import { hex, ProofFault, same, type Bytes } from './bytes';
import { readBody, readRecord, type Body } from './body';
import { PublicKey } from './keys';
import { groupsOf, type RemoteLog } from './log';
import { checkInclusion, digest, leafHash } from './merkle';
import type { Checkpoint } from './note';
import { checkStatement, readEnvelope, readStatement, type Statement } from './statement';

const BODIES_KEPT = 48;

/** A data entry whose signature, place in the log and body hold. */
export interface Opened {
  index: number;
  statement: Statement;
  body: Body;
}

/** Reads entries of one log under the newest head this browser has verified; remembers keys, manifests, bodies. */
export class TrustedLog {
  head: Checkpoint | null = null;
  private readonly keys = new Map<string, Promise<PublicKey>>();
  private readonly manifests = new Map<string, Promise<string[][]>>();
  private readonly opening = new Map<number, Promise<Opened>>();
  private readonly kept = new Map<number, Opened>();

  constructor(
    private readonly remote: RemoteLog,
    readonly origin: string,
  ) {}

  /** What was opened lately, newest last. */
  opened(): Opened[] {
    return [...this.kept.values()];
  }

  /** The decoded body of data entry `index`: in the tree, signed by the enrolled key, hash equal; else a fault.

  `manifest` is where the server says the body's manifest is: its bytes count only if the body names them.
  */
  open(index: number, manifest: string): Promise<Opened> {
    const kept = this.kept.get(index);
    if (kept) return Promise.resolve(kept);
    let opening = this.opening.get(index);
    if (!opening) {
      opening = this.read(index, manifest).finally(() => this.opening.delete(index));
      this.opening.set(index, opening);
    }
    return opening;
  }

  private async read(index: number, manifest: string): Promise<Opened> {
    const { statement, body } = await this.entry(index);
    if (!body) throw new ProofFault(`the body of entry ${index} is not here`, { index, zh: `第 ${index} 条的正文不在` });
    if (statement.kind !== 'data') throw new ProofFault(`entry ${index} holds no readings`, { index });
    await checkStatement(statement, await this.keyOf(statement));
    const read = await readBody(body, await this.groups(manifest));
    if (hex(read.manifest) !== manifest.slice(0, 16)) throw new ProofFault(`entry ${index} names another manifest`, { index });
    const opened = { index, statement, body: read };
    this.kept.set(index, opened);
    if (this.kept.size > BODIES_KEPT) this.kept.delete(this.kept.keys().next().value!);
    return opened;
  }

  /** An entry proven to be in the tree, its body's hash compared; its signature is not judged here. */
  async entry(index: number): Promise<{ statement: Statement; body: Bytes | null }> {
    const head = this.head;
    if (!head || index >= head.size) throw new ProofFault(`entry ${index} lies beyond the log checked here`, { index });
    const [{ statement: raw, body }, path] = await Promise.all([
      this.remote.envelope(index).then(readEnvelope),
      this.remote.inclusion(index, head.size),
    ]);
    checkInclusion(leafHash(raw), index, head.size, path, head.root);
    const statement = readStatement(raw);
    if (statement.issuer !== this.origin) throw new ProofFault(`entry ${index} belongs to another log`, { index });
    if (body && !same(digest(body), statement.digest)) {
      throw new ProofFault(`the body of ${nameOf(statement, index)} was changed after it was sealed`, { index, zh: `${nameOf(statement, index)} 的正文封存后被改动` });
    }
    return { statement, body };
  }

  /** The key with which the log enrolled this statement's gateway for its epoch. */
  private keyOf(statement: Statement): Promise<PublicKey> {
    const name = `${statement.subject}\0${statement.chain.epoch}\0${hex(statement.kid)}`;
    let key = this.keys.get(name);
    if (!key) {
      key = this.enrolled(statement);
      key.catch(() => this.keys.delete(name));
      this.keys.set(name, key);
    }
    return key;
  }

  private async enrolled(statement: Statement): Promise<PublicKey> {
    const { subject, chain, kid } = statement;
    const hints = await this.remote.hints();
    const hint = hints.gateways.find((g) => g.gateway === subject && g.kid === hex(kid) && g.epoch === chain.epoch);
    if (!hint) throw new ProofFault(`the log enrols no such key for ${subject}`, { zh: `日志没有为 ${subject} 登记这把密钥` });
    const index = hint.enrolled_index;
    const enrol = await this.entry(index);
    const same_place = enrol.statement.subject === subject && enrol.statement.chain.epoch === chain.epoch;
    if (enrol.statement.kind !== 'enrol' || !same_place || !enrol.body) throw new ProofFault(`entry ${index} enrols no key of ${subject}`, { index });
    const record = await readRecord(enrol.body);
    const raw = record.get('public');
    if (!(raw instanceof Uint8Array) || record.get('gateway') !== subject || record.get('epoch') !== chain.epoch) throw new ProofFault(`entry ${index} enrols another key`, { index });
    const key = new PublicKey(raw);
    await checkStatement(enrol.statement, key);
    return key;
  }

  private groups(manifest: string): Promise<string[][]> {
    let groups = this.manifests.get(manifest);
    if (!groups) {
      groups = this.remote.body(manifest).then(async (body) => {
        if (!body || hex(digest(body)) !== manifest) throw new ProofFault('the manifest the record names is not here');
        return groupsOf(await readRecord(body)).groups;
      });
      groups.catch(() => this.manifests.delete(manifest));
      this.manifests.set(manifest, groups);
    }
    return groups;
  }
}

/** A batch as people name it: gateway, epoch and number, and its place in the log. */
export function nameOf(statement: Statement, index: number): string {
  return `${statement.subject} ${statement.chain.epoch}/${statement.chain.seq} #${index}`;
}
