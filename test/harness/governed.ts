/** A service with an access file that the test writes: who is who, what each may do, and a client for each of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf, makeToken } from '../../src/domain/access-token.ts';
import { systemRandom } from '../../src/std/random.ts';
import { type AuditWish, written } from './audit-log.ts';
import { Folder } from './certificates.ts';
import { HoldStream, SessionStream } from './lock-streams.ts';
import { type Environment, RpcClient, TestReplica } from './replica.ts';
import { bearer, type Shown } from './shown.ts';
import { WatchReader } from './watching.ts';

export interface Person {
  readonly name: string;
  readonly tenant?: string;
  readonly allow: readonly { readonly prefixes?: readonly string[]; readonly verbs: readonly string[] }[];
  readonly quota?: Readonly<Record<string, unknown>>;
}

export const all = [{ verbs: ['acquire', 'inspect', 'force_release', 'admin'] }];

/** What one person has in hands. */
export class Hands {
  readonly client: RpcClient;
  readonly #address: string;
  readonly #shown: Shown;
  readonly #closing: (() => void)[] = [];

  constructor(address: string, shown: Shown) {
    this.#address = address;
    this.#shown = shown;
    this.client = new RpcClient(address, { 'grpc.use_local_subchannel_pool': 1 }, shown);
    this.#closing.push(() => this.client.close());
  }

  hold(request: ConstructorParameters<typeof HoldStream>[1]): HoldStream {
    const hold = new HoldStream(this.#address, request, this.#shown);
    this.#closing.push(() => hold.cancel());
    return hold;
  }

  session(): SessionStream {
    const session = new SessionStream(this.#address, this.#shown);
    this.#closing.push(() => session.cancel());
    return session;
  }

  async watch(request: Parameters<WatchReader['open']>[1]): Promise<WatchReader> {
    const reader = await new WatchReader().open(this.#address, request, this.#shown);
    this.#closing.push(() => reader.close());
    return reader;
  }

  close(): void {
    for (const close of this.#closing.splice(0)) close();
  }
}

export class GovernedSite {
  readonly replica: TestReplica;
  readonly #folder: Folder;
  readonly #tokens: ReadonlyMap<string, string>;
  readonly #hands = new Map<string, Hands>();

  private constructor(replica: TestReplica, folder: Folder, tokens: ReadonlyMap<string, string>) {
    this.replica = replica;
    this.#folder = folder;
    this.#tokens = tokens;
  }

  /** `list`: the nodes; empty: the embedded store. */
  static async open(people: readonly Person[], list = '', env: Environment = {}): Promise<GovernedSite> {
    const folder = new Folder();
    const tokens = new Map(people.map(({ name }) => [name, makeToken(systemRandom)]));
    const file = GovernedSite.#file(people, tokens);
    const replica = await TestReplica.start(list, {
      HOLDFAST_ACCESS: folder.write('access.yaml', file),
      HOLDFAST_AUDIT_LOG: join(folder.path, 'audit.log'),
      HOLDFAST_MAX_TTL: '20s',
      HOLDFAST_DEFAULT_TTL: '10s',
      ...env,
    });
    return new GovernedSite(replica, folder, tokens);
  }

  static #file(people: readonly Person[], tokens: ReadonlyMap<string, string>): string {
    const identities = people.map((person) => ({
      ...person,
      tokens: [{ name: 'main', sha256: digestOf(tokens.get(person.name)!) }],
    }));
    return JSON.stringify({ identities });
  }

  by(name: string): Hands {
    const known = this.#hands.get(name);
    if (known !== undefined) return known;
    const hands = new Hands(this.replica.replica.addresses[0]!, bearer(this.#tokens.get(name)!));
    this.#hands.set(name, hands);
    return hands;
  }

  token(name: string): string {
    return this.#tokens.get(name)!;
  }

  /** Other rules for the same people, from now on: what the file says is read again. */
  async change(people: readonly Person[], by: string): Promise<void> {
    this.#folder.write('access.yaml', GovernedSite.#file(people, this.#tokens));
    await this.by(by).client.reload();
  }

  /** `action outcome identity`, of all that was written down. */
  audit(): string[] {
    const text = readFileSync(join(this.#folder.path, 'audit.log'), 'utf8');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { action: string; outcome: string; identity: string })
      .map(({ action, outcome, identity }) => `${action} ${outcome} ${identity}`);
  }

  /** Once what was done since `sinceMs` (Date.now) is written down as expected; tries `again` until then. */
  async written(sinceMs: number, expected: AuditWish, again?: () => Promise<unknown>): Promise<void> {
    await written(join(this.#folder.path, 'audit.log'), sinceMs, expected, again);
  }

  async close(): Promise<void> {
    for (const hands of this.#hands.values()) hands.close();
    await this.replica.stop();
    this.#folder.remove();
  }
}
