/** The janitor over real nodes and in the embedded store: ends that nobody recorded, what it shows of all locks, and the command. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Mend, makeMend } from '../../src/locks/mend.ts';
import { Desk } from '../harness/desk.ts';
import { ROOT } from '../harness/grpcurl.ts';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, type Environment, ReplicaProcess, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function figures(replica: TestReplica): Promise<ReadonlyMap<string, number>> {
  const { text } = await replica.http('/metrics');
  const lines = text.split('\n').filter((line) => /^holdfast_/.test(line));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

/** The names that one look at all of them has. */
async function remains(mend: Mend, ...resources: string[]): Promise<string[]> {
  const all: string[] = [];
  for (const resource of resources) {
    const sight = await mend.look(resource, false);
    if (sight.kind === 'refusal') throw new Error(sight.message);
    all.push(...sight.remains.map(({ finding: { kind, node } }) => `${kind} ${node} ${resource}`));
  }
  return all;
}

describe('a lease whose replica died and whose time is over', () => {
  let nodes: Nodes;
  const env: Environment = { HOLDFAST_MAX_TTL: '20s', HOLDFAST_DEFAULT_TTL: '500ms' };

  beforeEach(async () => {
    nodes = await Nodes.start(3);
    closing.push(() => nodes.close());
    await bootstrapped(nodes.list, env);
  });

  test('has no end until somebody looks after it; then its end is in the history, and handed on', async () => {
    const doomed = await ReplicaProcess.start(nodes.list, env);
    closing.push(() => doomed.stop());
    await doomed.client.lock('short', { owner: 'doomed' });
    await doomed.client.lock('long', { owner: 'doomed', ttl: { seconds: 15, nanos: 0 } });
    await doomed.stop();
    const held = async (): Promise<string[]> => nodes.holders('short');
    await until('it is over', async () => (await held()).every((value) => value === ''));
    // Over by the clock, and still in each record: nobody was there to forget it.
    const records = await Promise.all([0, 1, 2].map((index) => nodes.record(index, 'short')));
    expect(records.every((record) => (record?.expiryMicros ?? 0) > 0)).toBe(true);

    const desk = await Desk.open(nodes.list, { maxTtlMs: 20_000 });
    closing.push(() => desk.close());
    const mend = makeMend({ quorum: desk.quorum, minAgeMs: 0 });
    const stale = ['n1', 'n2', 'n3'].map((node) => `stale_history ${node} short`);
    expect(await remains(mend, 'short', 'long')).toEqual(stale);
    const sight = await mend.look('short', false);
    if (sight.kind === 'refusal') throw new Error(sight.message);
    expect(sight.events.map(({ type }) => type)).toEqual(['granted']);
    expect((await mend.mend(sight)).map(({ mended }) => mended)).toEqual([true, true, true]);
    expect(await remains(mend, 'short', 'long')).toEqual([]);
    const after = await mend.look('short', false);
    if (after.kind === 'refusal') throw new Error(after.message);
    expect(after.events.map(({ type, owner }) => `${type} ${owner}`)).toEqual([
      'expired doomed',
      'granted doomed',
    ]);
  });
});

describe('in the embedded store', () => {
  async function embedded(more: Environment = {}): Promise<TestReplica> {
    const on = { HOLDFAST_JANITOR: '1', HOLDFAST_JANITOR_EVERY: '100ms', HOLDFAST_CLASSES: 'gpu/=gpus' };
    const replica = await TestReplica.start('', { HOLDFAST_MAX_TTL: '1m', ...on, ...more });
    closing.push(() => replica.stop());
    return replica;
  }

  test('it shows who holds and who waits, by class and for how long', async () => {
    const replica = await embedded();
    const lease = await replica.client.lock('gpu/0', { ttl: { seconds: 60, nanos: 0 } });
    await replica.client.lock('disk', { ttl: { seconds: 60, nanos: 0 } });
    const waiting = replica.client.acquire({
      resources: ['gpu/0'],
      owner: 'next',
      wait: { seconds: 60, nanos: 0 },
    });
    const shows = async (series: string): Promise<number> =>
      (await figures(replica)).get(series) ?? Number.NaN;
    await until('it has seen them', async () => (await shows('holdfast_locks_waiting{class="gpus"}')) === 1);
    const now = await figures(replica);
    const of = (name: string, labels: string): number | undefined => now.get(`holdfast_${name}{${labels}}`);
    expect(of('locks_held', 'class="gpus"')).toBe(1);
    expect(of('locks_held', 'class="other"')).toBe(1);
    expect(of('longest_hold_seconds', 'class="gpus"')).toBeGreaterThan(0);
    expect(of('oldest_wait_seconds', 'class="gpus"')).toBeGreaterThan(0);
    expect(of('oldest_wait_seconds', 'class="other"')).toBe(0);
    for (const name of ['held_too_long', 'silent_holders', 'starving_waiters']) {
      expect(of(name, 'class="gpus"'), name).toBe(0);
    }
    expect(now.get('holdfast_janitor_active')).toBe(1);
    await replica.client.release(lease.lease_id);
    expect((await waiting).lease?.resources).toEqual(['gpu/0']);
    await until('nobody waits', async () => (await shows('holdfast_locks_waiting{class="gpus"}')) === 0);
  });

  test('what lasts longer than the thresholds is shown, told to the alerts, and over when it is over', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-janitor-'));
    closing.push(() => rmSync(directory, { recursive: true, force: true }));
    const file = join(directory, 'alerts.yaml');
    writeFileSync(file, 'thresholds: { held_too_long: 1s, max_silence: 2s, starving: 1s }\n');
    const replica = await embedded({ HOLDFAST_ALERTS: file });
    const lease = await replica.client.lock('gpu/0', { ttl: { seconds: 60, nanos: 0 } });
    const waiting = replica.client.acquire({
      resources: ['gpu/0'],
      owner: 'next',
      wait: { seconds: 60, nanos: 0 },
    });
    const shown = async (): Promise<string> => {
      const now = await figures(replica);
      const names = ['held_too_long', 'silent_holders', 'starving_waiters'];
      return names.map((name) => now.get(`holdfast_${name}{class="gpus"}`)).join();
    };
    await until('all three are shown', async () => (await shown()) === '1,1,1');
    const told = await figures(replica);
    for (const kind of ['held_too_long', 'silent_holder', 'starving_waiter']) {
      expect(told.get(`holdfast_alerts_total{kind="${kind}"}`), kind).toBeGreaterThan(0);
    }
    // A sign of life; it has still been held for too long, and the other still waits.
    await replica.client.heartbeat(lease.lease_id, 60_000, 'step 1');
    await until('it is no longer silent', async () => (await shown()) === '1,0,1');
    await replica.client.release(lease.lease_id);
    await waiting;
    await until('nothing is left to tell', async () => (await shown()) === '0,0,0');
  });

  test('off, it shows nothing and still works by hand', async () => {
    const replica = await embedded({ HOLDFAST_JANITOR: '0' });
    await replica.client.lock('gpu/0');
    expect(await replica.client.janitor(false)).toEqual({ findings: [], found: 0, looked_at: 1 });
    const now = await figures(replica);
    expect([now.get('holdfast_janitor_active'), now.get('holdfast_locks_held{class="gpus"}')]).toEqual([
      0, 0,
    ]);
  });

  test('the command tells what was found, for people and for programs', async () => {
    const replica = await embedded();
    await replica.client.lock('gpu/0');
    const address = replica.replica.addresses[0]!;
    const janitor = async (...flags: string[]): Promise<string> => {
      const args = ['janitor', '--dry-run', '--address', address, ...flags];
      return (await promisify(execFile)(`${ROOT}/bin/holdfast`, args)).stdout;
    };
    expect(JSON.parse(await janitor('--json'))).toEqual({ findings: [], found: 0, looked_at: 1 });
    expect(await janitor()).toBe('0 found, 1 names looked at\n');
  });
});
