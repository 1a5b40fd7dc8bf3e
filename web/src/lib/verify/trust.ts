/** From a signed checkpoint to readings one may compare: entries proven to be in the log, keys taken from the log. */
import { hex, ProofFault, same, type Bytes } from './bytes';
import { readBody, readRecord, type Body } from './body';
import { PublicKey } from './keys';
import { groupsOf, type RemoteLog } from './log';
import { checkInclusion, digest, leafHash } from './merkle';
import type { Checkpoint } from './note';
import { checkStatement, readEnvelope, readStatement, type Statement } from './statement';

const BODIES_KEPT = 48;

/** Reads entries of one log under the newest head this browser has verified; remembers keys, manifests, bodies. */
export class TrustedLog {
  head: Checkpoint | null = null;
  private readonly keys = new Map<string, Promise<PublicKey>>();
  private readonly manifests = new Map<string, Promise<string[][]>>();
  private readonly bodies = new Map<number, Promise<{ statement: Statement; body: Body }>>();

  constructor(
    private readonly remote: RemoteLog,
    readonly origin: string,
  ) {}

  /** The decoded body of data entry `index`: in the tree, signed by the enrolled key, hash equal; else a fault.

  `manifest` is where the server says the body's manifest is: its bytes count only if the body names them.
  */
  body(index: number, manifest: string): Promise<{ statement: Statement; body: Body }> {
    let found = this.bodies.get(index);
    if (!found) {
      found = this.open(index, manifest);
      found.catch(() => this.bodies.delete(index));
      this.bodies.set(index, found);
      if (this.bodies.size > BODIES_KEPT) this.bodies.delete(this.bodies.keys().next().value!);
    }
    return found;
  }

  private async open(index: number, manifest: string): Promise<{ statement: Statement; body: Body }> {
    const { statement, body } = await this.entry(index);
    if (!body) throw new ProofFault(`the body of entry ${index} was given up`);
    if (statement.kind !== 'data') throw new ProofFault(`entry ${index} holds no readings`);
    await checkStatement(statement, await this.keyOf(statement));
    const read = await readBody(body, await this.groups(manifest));
    if (hex(read.manifest) !== manifest.slice(0, 16)) throw new ProofFault(`entry ${index} names another manifest`);
    return { statement, body: read };
  }

  /** An entry proven to be in the tree, its body's hash compared; its signature is not judged here. */
  async entry(index: number): Promise<{ statement: Statement; body: Bytes | null }> {
    const head = this.head;
    if (!head || index >= head.size) throw new ProofFault(`entry ${index} lies beyond the log checked here`);
    const [{ statement: raw, body }, path] = await Promise.all([
      this.remote.envelope(index).then(readEnvelope),
      this.remote.inclusion(index, head.size),
    ]);
    checkInclusion(leafHash(raw), index, head.size, path, head.root);
    const statement = readStatement(raw);
    if (statement.issuer !== this.origin) throw new ProofFault(`entry ${index} belongs to another log`);
    if (body && !same(digest(body), statement.digest)) throw new ProofFault(`the body of entry ${index} was changed after it was sealed`);
    return { statement, body };
  }

  /** The key with which the log enrolled this statement's gateway for its epoch. */
  private keyOf(statement: Statement): Promise<PublicKey> {
    const name = `${statement.subject}\0${hex(statement.kid)}`;
    let key = this.keys.get(name);
    if (!key) {
      key = this.enrolled(statement);
      key.catch(() => this.keys.delete(name));
      this.keys.set(name, key);
    }
    return key;
  }

  private async enrolled(statement: Statement): Promise<PublicKey> {
    const hints = await this.remote.hints();
    const hint = hints.gateways.find((g) => g.gateway === statement.subject && g.kid === hex(statement.kid));
    if (!hint) throw new ProofFault(`the log enrols no such key for ${statement.subject}`);
    const enrol = await this.entry(hint.enrolled_index);
    if (enrol.statement.kind !== 'enrol' || enrol.statement.subject !== statement.subject || !enrol.body) throw new ProofFault(`entry ${hint.enrolled_index} enrols no key of ${statement.subject}`);
    const raw = (await readRecord(enrol.body)).get('public');
    if (!(raw instanceof Uint8Array)) throw new ProofFault(`entry ${hint.enrolled_index} enrols no key`);
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
