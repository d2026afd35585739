/** Every metric of the path, driven by what it is about and read back over HTTP. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/std/clock.ts';
import { HoldStream } from '../harness/lock-streams.ts';
import { Nodes } from '../harness/nodes.ts';
import { Preload } from '../harness/preload.ts';
import { bootstrapped, refusal, span, TestReplica } from '../harness/replica.ts';
import { becomes, grows, Samples } from '../harness/samples.ts';
import { until } from '../harness/until.ts';

const env = {
  HOLDFAST_CLASSES: 'gpu/=gpu,rack/=rack',
  HOLDFAST_MAX_TTL: '4s',
  HOLDFAST_DEFAULT_TTL: '4s',
};
/** Node 2 is ahead by so much, and a replica behind. */
const AHEAD_MS = 300;
/** Longer than any stall between the grant of one replica and the next one's. */
const BEHIND_MS = 30_000;

let clock: Preload;
let nodes: Nodes;
let one: TestReplica;
let two: TestReplica;
let http: string;

beforeAll(async () => {
  clock = Preload.skewedClock();
  clock.set(AHEAD_MS * 1000);
  nodes = await Nodes.start(3, (index) => (index === 1 ? { env: clock.env } : {}));
  await bootstrapped(nodes.list, env);
  one = await TestReplica.start(nodes.list, env);
  two = await TestReplica.start(nodes.list, env);
  http = one.replica.httpAddress;
  await one.becomes('ready', 'ready', 'ready');
});
afterAll(async () => {
  await one?.stop();
  await two?.stop();
  await nodes?.close();
  clock?.close();
});

const rpc = (method: string, code: string): string =>
  `rpc_server_call_duration_seconds_count{rpc_system_name="grpc",rpc_method="holdfast.v1.${method}",` +
  `rpc_response_status_code="${code}"}`;

test('before anything has happened each series that an alert may need is there, and at 0', async () => {
  const samples = await Samples.of(http);
  for (const name of ['gpu', 'rack', 'other']) {
    for (const family of [
      'wait_seconds_count',
      'held_seconds_count',
      'handovers_total',
      'handover_seconds_count',
    ]) {
      expect(samples.value(`holdfast_${family}{class="${name}"}`)).toBe(0);
    }
    expect(samples.value(`holdfast_forced_releases_total{class="${name}"}`)).toBe(0);
    for (const reason of ['expired', 'forced', 'unknown']) {
      expect(samples.value(`holdfast_leases_lost_total{class="${name}",reason="${reason}"}`)).toBe(0);
    }
  }
  for (const method of ['LockService/Acquire', 'LockService/History', 'AdminService/Reload']) {
    expect(samples.value(rpc(method, 'OK'))).toBe(0);
  }
  expect(samples.value('holdfast_ready')).toBe(1);
  expect(samples.value('holdfast_quorum_margin')).toBe(1);
});

test('docs/telemetry.md has each of them by its name', async () => {
  const { text } = await Samples.of(http);
  const document = readFileSync(new URL('../../docs/telemetry.md', import.meta.url), 'utf8');
  const names = [...text.matchAll(/^# TYPE ((?:holdfast|rpc)_\S+) /gm)].map(([, name]) => name!);
  expect(names.length).toBeGreaterThan(40);
  expect(names.filter((name) => !document.includes(`\`${name}\``))).toEqual([]);
});

test('a grant and its release: calls, operations, votes, round trips, and how long it was held', async () => {
  const before = await Samples.of(http);
  await grows(
    http,
    {
      [rpc('LockService/Acquire', 'OK')]: 1,
      [rpc('LockService/Release', 'OK')]: 1,
      'holdfast_operations_total{op="acquire",outcome="granted",reason=""}': 1,
      'holdfast_operations_total{op="release",outcome="released",reason=""}': 1,
      'holdfast_wait_seconds_count{class="gpu"}': 1,
      'holdfast_wait_seconds_bucket{class="gpu",le="0.001"}': 1,
      'holdfast_held_seconds_count{class="gpu"}': 1,
      'holdfast_held_seconds_count{class="other"}': 0,
      'holdfast_votes_total{node="n3",answer="held"}': 1,
      'holdfast_votes_total{node="n3",answer="released"}': 1,
    },
    async () => {
      const lease = await one.client.lock(['gpu/0', 'rack/1']);
      // Another replica knows as well for how long: the token tells.
      await one.client.release(lease.lease_id);
    },
  );
  const after = await Samples.of(http);
  expect(after.value('holdfast_held_seconds_sum{class="gpu"}')).toBeLessThan(15);
  for (const series of ['holdfast_node_seconds_count{node="n1"}', 'holdfast_batch_operations_count']) {
    expect(after.value(series)).toBeGreaterThan(before.value(series));
  }
  expect(after.text).not.toMatch(/gpu\/0|rack\/1/);
});

test('a lease that was granted elsewhere is held since its grant, not since this replica knows of it', async () => {
  const lease = await two.client.lock('gpu/0');
  const grantedMs = Number(lease.fencing_token) / 1000;
  const before = await Samples.of(http);
  const sum = 'holdfast_held_seconds_sum{class="gpu"}';
  await until('it was held for a while', () => Date.now() > grantedMs + 200);
  await one.client.release(lease.lease_id);
  expect((await Samples.of(http)).value(sum) - before.value(sum)).toBeGreaterThan(0.19);
});

test('a wait and its hand-over, with the gap where both went through this replica', async () => {
  await grows(
    http,
    {
      'holdfast_operations_total{op="acquire",outcome="busy",reason=""}': 1,
      'holdfast_wait_seconds_count{class="rack"}': 2,
      'holdfast_handovers_total{class="rack"}': 1,
      'holdfast_handover_seconds_count{class="rack"}': 1,
    },
    async () => {
      const lease = await one.client.lock('rack/1');
      expect((await one.client.acquire({ resources: ['rack/1'] })).outcome).toBe('busy');
      const next = one.client.lock('rack/1', { owner: 'w2', wait: span(10_000) });
      await becomes(http, { holdfast_waiters: 1 });
      await one.client.release(lease.lease_id);
      await one.client.release((await next).lease_id);
    },
  );
  await becomes(http, { holdfast_waiters: 0 });
});

test('a hand-over from another replica counts, and its gap is nobody’s guess', async () => {
  await grows(
    http,
    { 'holdfast_handovers_total{class="rack"}': 1, 'holdfast_handover_seconds_count{class="rack"}': 0 },
    async () => {
      const lease = await two.client.lock('rack/2');
      const next = one.client.lock('rack/2', { owner: 'w2', wait: span(10_000) });
      await becomes(http, { holdfast_waiters: 1 });
      await two.client.release(lease.lease_id);
      await one.client.release((await next).lease_id);
    },
  );
});

test('force at one replica, and the loss at the one whose stream had the lease', async () => {
  const kept = 'holdfast_kept_leases';
  const forced = 'holdfast_forced_releases_total{class="gpu"}';
  const elsewhere = (await Samples.of(two.replica.httpAddress)).value(forced);
  await grows(
    http,
    {
      'holdfast_leases_lost_total{class="gpu",reason="forced"}': 1,
      [forced]: 0,
      // Counted by the replica that ended it.
      'holdfast_held_seconds_count{class="gpu"}': 0,
    },
    async () => {
      const stream = HoldStream.acquire(one.replica.addresses[0]!, 'gpu/1');
      await stream.first('granted');
      await becomes(http, { [kept]: 1 });
      await two.client.force({ resource: 'gpu/1', reason: 'a test' });
      await stream.first('lost');
      expect(await refusal(one.client.heartbeat(stream.lease.lease_id))).toMatchObject({
        metadata: { why: 'forced' },
      });
      stream.cancel();
    },
  );
  await becomes(http, { [kept]: 0 });
  await becomes(two.replica.httpAddress, { [forced]: elsewhere + 1 });
});

test('a Heartbeat after the end', async () => {
  await grows(
    http,
    {
      'holdfast_leases_lost_total{class="other",reason="expired"}': 1,
      'holdfast_operations_total{op="heartbeat",outcome="refused",reason="LEASE_LOST"}': 2,
      'holdfast_held_seconds_count{class="other"}': 1,
    },
    async () => {
      const lease = await one.client.lock('short', { ttl: span(100) });
      await until('it has ended', async () => (await one.client.inspect('short')).holders.length === 0);
      for (const _ of [1, 2]) await refusal(one.client.heartbeat(lease.lease_id));
    },
  );
});

test('tokens that are not current, and leases that are not the caller’s', async () => {
  await grows(
    http,
    {
      'holdfast_stale_tokens_total{where="check_token"}': 1,
      'holdfast_ownership_violations_total{op="release"}': 1,
    },
    async () => {
      const lease = await one.client.lock('checked');
      expect((await one.client.checkToken('checked', lease.fencing_token)).current).toBe(true);
      expect(await one.client.release(lease.lease_id)).toBe(true);
      expect((await one.client.checkToken('checked', lease.fencing_token)).current).toBe(false);
      expect(await one.client.release(lease.lease_id)).toBe(false);
    },
  );
});

test('a vote with a token behind the fence', async () => {
  const late = { ...systemClock, wallMicros: () => systemClock.wallMicros() - BEHIND_MS * 1000 };
  const behind = await TestReplica.start(nodes.list, env, { clock: late });
  try {
    await one.client.release((await one.client.lock('fenced')).lease_id);
    await behind.client.release((await behind.client.lock('fenced')).lease_id);
    const samples = await Samples.of(behind.replica.httpAddress);
    expect(samples.value('holdfast_stale_tokens_total{where="vote"}')).toBeGreaterThanOrEqual(2);
    const offset = samples.value('holdfast_node_clock_offset_seconds{node="n1"}');
    expect(Math.abs(offset - BEHIND_MS / 1000)).toBeLessThan(0.2);
  } finally {
    await behind.stop();
  }
});

test('how far the clock of each node is from ours', async () => {
  const samples = await Samples.of(http);
  const offset = (node: string): number =>
    samples.value(`holdfast_node_clock_offset_seconds{node="${node}"}`);
  expect(Math.abs(offset('n1'))).toBeLessThan(0.15);
  expect(Math.abs(offset('n2') - AHEAD_MS / 1000)).toBeLessThan(0.15);
});

test('a node that hangs, dies, and comes back without its memory', async () => {
  const node = nodes.servers[2]!;
  const timeouts = 'holdfast_votes_total{node="n3",answer="timeout"}';
  await grows(http, { [timeouts]: 1 }, async () => {
    node.pause();
    await one.client.lock('hung');
  });
  await becomes(http, { holdfast_quorum_margin: 0, 'holdfast_node_state{node="n3",state="silent"}': 1 });
  expect((await Samples.of(http)).value('holdfast_undos_owed{node="n3"}')).toBe(0);
  node.resume();
  await becomes(http, { holdfast_quorum_margin: 1 });
  await node.kill();
  await becomes(http, { 'holdfast_node_state{node="n3",state="silent"}': 1 });
  const answer = 'holdfast_votes_total{node="n3",answer="unreachable"}';
  await grows(http, { [answer]: 2, 'holdfast_undos_owed{node="n3"}': 1 }, async () => {
    const { lease_id } = await one.client.lock('dead');
    // That it was released is owed to the node.
    await one.client.release(lease_id);
  });
  await node.start();
  await becomes(http, { 'holdfast_node_quarantined{node="n3"}': 1, holdfast_quorum_margin: 0 });
  await becomes(http, {
    'holdfast_node_quarantined{node="n3"}': 0,
    'holdfast_undos_owed{node="n3"}': 0,
    holdfast_quorum_margin: 1,
  });
});

test('without a majority the replica is not ready, and says how far it is from one', async () => {
  await nodes.servers[0]!.kill();
  await nodes.servers[1]!.kill();
  await becomes(http, { holdfast_ready: 0, holdfast_quorum_margin: -1 });
  await grows(
    http,
    {
      'holdfast_operations_total{op="acquire",outcome="refused",reason="NO_QUORUM"}': 1,
      [rpc('LockService/Acquire', 'UNAVAILABLE')]: 1,
    },
    () => refusal(one.client.lock('nobody')),
  );
});
