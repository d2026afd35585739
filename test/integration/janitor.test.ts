/** The janitor over real nodes and in the embedded store: ends that nobody recorded, what it shows of all locks, and the command. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ROOT } from '../harness/grpcurl.ts';
import { Nodes } from '../harness/nodes.ts';
import {
  bootstrapped,
  type Environment,
  ReplicaProcess,
  type RpcClient,
  TestReplica,
} from '../harness/replica.ts';
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

describe('a lease whose replica died and whose time is over', () => {
  let nodes: Nodes;
  const env: Environment = { HOLDFAST_MAX_TTL: '20s', HOLDFAST_DEFAULT_TTL: '500ms' };
  const LONG = { seconds: 20, nanos: 0 };

  beforeEach(async () => {
    nodes = await Nodes.start(3);
    closing.push(() => nodes.close());
    await bootstrapped(nodes.list, env);
  });

  /** Replicas sweep names in order, 200 at a time, seconds apart: what stands behind so many is the janitor's alone. */
  async function fillBefore(client: RpcClient, count: number): Promise<void> {
    for (let from = 0; from < count; from += 50) {
      const names = Array.from({ length: 50 }, (_, n) => `before/${from + n}`);
      const leases = await Promise.all(names.map((name) => client.lock(name, { ttl: LONG })));
      await Promise.all(leases.map(({ lease_id }) => client.release(lease_id)));
    }
  }

  test('has no end until somebody looks after it; then its end is in the history, and handed on', async () => {
    const doomed = await ReplicaProcess.start(nodes.list, env);
    closing.push(() => doomed.stop());
    await fillBefore(doomed.client, 1000);
    await doomed.client.lock('short', { owner: 'doomed' });
    await doomed.client.lock('long', { owner: 'doomed', ttl: LONG });
    await doomed.stop();
    const held = async (name: string): Promise<string> =>
      (await nodes.holders(name)).map((value) => (value === '' ? '-' : 'h')).join('');
    await until('it is over', async () => (await held('short')) === '---');

    const directory = mkdtempSync(join(tmpdir(), 'holdfast-janitor-'));
    closing.push(() => rmSync(directory, { recursive: true, force: true }));
    const archive = { HOLDFAST_ARCHIVE: `sqlite:${join(directory, 'history.db')}` };
    const survivor = await TestReplica.start(nodes.list, { ...env, ...archive });
    closing.push(() => survivor.stop());
    const janitor = async (dryRun: boolean): Promise<string[]> =>
      (await survivor.client.janitor(dryRun)).findings
        .map(({ kind, node, resource, mended }) => `${kind} ${node} ${resource} ${mended}`)
        .sort();
    const stale = ['n1', 'n2', 'n3'].map((node) => `stale_history ${node} short`);
    expect(await janitor(true)).toEqual(stale.map((one) => `${one} false`));
    // Over by the clock, and still in each record: nobody was there to forget it.
    const records = await Promise.all([0, 1, 2].map((index) => nodes.record(index, 'short')));
    expect(records.every((record) => (record?.expiryMicros ?? 0) > 0)).toBe(true);

    expect(await janitor(false)).toEqual(stale.map((one) => `${one} true`));
    expect(await janitor(true)).toEqual([]);
    expect(await survivor.metric('holdfast_janitor_findings_total')).toBe(3);
    expect(await held('long')).toBe('hhh');
    const told = ({ events }: Awaited<ReturnType<typeof survivor.client.history>>): string[] =>
      events.map(({ type, resource, owner }) => `${type} ${resource} ${owner}`);
    const ended = ['EVENT_TYPE_EXPIRED short doomed', 'EVENT_TYPE_GRANTED short doomed'];
    expect(told(await survivor.client.history({ resource: 'short' }))).toEqual(ended);
    // By its owner only the archive can tell, which has heard of it from the janitor alone.
    const handedOn = async () => told(await survivor.client.history({ owner: 'doomed' }));
    await until('the archive has it', async () => {
      const known = await handedOn();
      return ended.every((one) => known.includes(one));
    });
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
