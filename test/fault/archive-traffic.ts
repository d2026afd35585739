/** Locks that are taken and returned at one replica all the while, and what its archive says meanwhile. */
import type { TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

export const OWNER = 'archivist';
const RESOURCES = ['work/0', 'work/1', 'work/2', 'work/3'];
/** Long enough that a test fills whatever it wants to fill soon. */
const REASON = 'so it goes '.repeat(40);

export class ArchiveTraffic {
  readonly #replica: TestReplica;
  readonly #loops: Promise<void>[];
  #stopping = false;
  #pairs = 0;

  constructor(replica: TestReplica) {
    this.#replica = replica;
    this.#loops = RESOURCES.map((resource) => this.#loop(resource));
  }

  /** Acquires and releases that ended well; any that did not fails the test. */
  get pairs(): number {
    return this.#pairs;
  }

  /** Locks go on: so many more of them, whatever becomes of the archive. */
  async goesOn(pairs = 100): Promise<void> {
    const before = this.#pairs;
    await Promise.race([
      until(`${pairs} more locks`, () => this.#pairs >= before + pairs, 30_000),
      this.#failed(),
    ]);
  }

  /** Resolves once the metric is so. */
  async becomes(name: string, is: (value: number) => boolean): Promise<void> {
    let value = Number.NaN;
    const look = async (): Promise<boolean> => {
      value = await this.#replica.metric(name);
      return is(value);
    };
    await Promise.race([until(`${name} is as expected`, look, 30_000, 50), this.#failed()]).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}; it is ${value}`);
      },
    );
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#loops);
  }

  async #failed(): Promise<never> {
    await Promise.all(this.#loops);
    throw new Error('the traffic has ended');
  }

  async #loop(resource: string): Promise<void> {
    const { client } = this.#replica;
    while (!this.#stopping) {
      const lease = await client.lock(resource, { owner: OWNER });
      if (!(await client.release(lease.lease_id, REASON))) throw new Error(`${resource} was lost`);
      this.#pairs += 1;
    }
  }
}

/** Events of the traffic that are told, and those that gaps speak of. */
export async function accounted(replica: TestReplica): Promise<{ told: number; missing: number }> {
  let told = 0;
  const gaps = new Map<string, number>();
  for (const resource of RESOURCES) {
    let page_token = '';
    do {
      const page = await replica.client.history({ resource, page_size: 1000, page_token });
      told += page.events.length;
      for (const gap of page.gaps) gaps.set(JSON.stringify(gap), Number(gap.events));
      page_token = page.next_page_token;
    } while (page_token !== '');
  }
  return { told, missing: [...gaps.values()].reduce((sum, events) => sum + events, 0) };
}
