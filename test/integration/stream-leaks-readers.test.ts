/** Clients that read nothing, ask too much or babble: bounded memory, typed answers, and nobody else is hurt. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import type { SessionOp } from '../../src/edge/gen/holdfast/v1/SessionOp.ts';
import { BareConnection, encodeSession, type Reading } from '../harness/bare-streams.ts';
import type { TestReplica } from '../harness/replica.ts';
import { expireMs, span } from '../harness/rpc-client.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const MIB = 2 ** 20;
const TTL_MS = 1000;
const SHORT_TTL_MS = 300;
const WAIT = { seconds: 30 };
/** So many times the same: nothing happens any more. */
const LOOKS = 20;
const OK = 0;
const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;

let scene: Scene;
let replica: TestReplica;
let address: string;
let heapBytes: () => number;
const open: BareConnection[] = [];

beforeAll(async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  heapBytes = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  scene = await Scene.open();
  replica = await scene.replica({ HOLDFAST_NODE_TIMEOUT: '5s' });
  address = replica.replica.addresses[0]!;
});
afterEach(async () => {
  for (const connection of open.splice(0)) connection.close();
  await until('no stream keeps anything', async () => (await metric('holdfast_kept_leases')) === 0, 30_000);
});
afterAll(() => scene.close());

async function connect(reading: Reading = {}): Promise<BareConnection> {
  const connection = await BareConnection.to(address, reading);
  open.push(connection);
  return connection;
}

async function metric(name: string): Promise<number> {
  const { text } = await replica.http('/metrics');
  const line = text.split('\n').find((text) => text.startsWith(`${name} `));
  return Number(line?.split(' ')[1]);
}

async function asked(op: string, outcome: string, reason = ''): Promise<number> {
  const count = await metric(`holdfast_operations_total{op="${op}",outcome="${outcome}",reason="${reason}"}`);
  return Number.isNaN(count) ? 0 : count;
}

const acquire = (resource: string, more = {}): SessionOp => ({
  acquire: { resources: [resource], owner: 'o', ...more },
});

describe('a Hold whose client reads nothing', () => {
  const labels = Object.fromEntries(
    Array.from({ length: limits.labels }, (_, at) => [`${at}`.padEnd(64, 'k'), 'v'.repeat(256)]),
  );
  // Not even the grant; and after some events, which are large, since the client's own library reads ahead.
  test.each([[0], [20_000]])(
    'is renewed no more, and expires: with a window of %i bytes',
    async (windowBytes) => {
      const name = `unread/${windowBytes}`;
      const connection = await connect({ windowBytes });
      const ttl = span(windowBytes === 0 ? TTL_MS : SHORT_TTL_MS);
      const hold = connection.hold({ acquire: { resources: [name], owner: 'mute', ttl, labels } });
      if (windowBytes > 0) await hold.granted();
      hold.pause();
      await until('it is kept', async () => (await metric('holdfast_kept_leases')) === 1);
      const next = await replica.client.lock(name, { owner: 'next', wait: WAIT });
      expect(await metric('holdfast_kept_leases')).toBe(0);
      const takenMs = Number(next.acquire_time!.seconds) * 1000 + next.acquire_time!.nanos / 1e6;
      if (hold.lease != null) expect(takenMs).toBeGreaterThanOrEqual(expireMs(hold.lease));
      const { history } = await replica.client.inspect(name, 100);
      expect(history.map(({ type }) => type)).toContain('EVENT_TYPE_EXPIRED');
      expect(history.map(({ type }) => type)).not.toContain('EVENT_TYPE_RELEASED');
      hold.resume();
      await until('its stream was ended', () => hold.closed);
    },
  );
});

describe('a Session whose client reads nothing', () => {
  test('is read no further, and answers everything once when it is read at last', async () => {
    const MESSAGES = 100;
    const total = MESSAGES * limits.operationsPerMessage;
    const connection = await connect({ windowBytes: 0 });
    const session = connection.openSession();
    const before = { bytes: heapBytes(), served: await asked('acquire', 'refused', 'INVALID_FIELD') };
    const ops = Array.from({ length: limits.operationsPerMessage }, () => acquire('', { owner: '' }));
    for (let at = 0; at < MESSAGES; at += 1) session.ask(ops);
    let served = 0;
    let unchanged = 0;
    await until('no more is read', async () => {
      const last = served;
      served = (await asked('acquire', 'refused', 'INVALID_FIELD')) - before.served;
      unchanged = served > 0 && served === last ? unchanged + 1 : 0;
      return unchanged === LOOKS;
    });
    // What may be unanswered, and what grpc-js was handed before.
    expect(served).toBeGreaterThanOrEqual(limits.operationsPerSession);
    expect(served).toBeLessThan(total / 2);
    expect(session.messages).toEqual([]);
    expect(heapBytes() - before.bytes).toBeLessThan(48 * MIB);
    connection.session.settings({ initialWindowSize: MIB });
    await until('all is answered', () => session.results.length >= total, 40_000);
    const seqs = session.results.map(({ seq }) => Number(seq)).sort((a, b) => a - b);
    expect(seqs).toEqual(Array.from({ length: total }, (_, at) => at + 1));
    expect(session.closed).toBe(false);
  });

  test('does not make the replica keep what its answers weigh: they are counted by their bytes', async () => {
    const labels = Object.fromEntries(
      Array.from({ length: limits.labels }, (_, at) => [`${at}`.padEnd(64, 'k'), 'v'.repeat(256)]),
    );
    const names = Array.from({ length: 16 }, (_, at) => `heavy/${at}`);
    const holder = await replica.client.lock(names, { labels, owner: 'heavy' });
    const connection = await connect({ windowBytes: 0 });
    const session = connection.openSession();
    const before = heapBytes();
    const ops = Array.from({ length: 16 }, () => ({ acquire: { resources: names, owner: 'asks' } }));
    const busy = await asked('acquire', 'busy');
    let held = false;
    for (let at = 16; at <= 640 && !held; at += 16) {
      session.ask(ops);
      let answered = 0;
      let unchanged = 0;
      await until(`${at} are answered, or nothing more is read`, async () => {
        const last = answered;
        answered = (await asked('acquire', 'busy')) - busy;
        unchanged = answered === last ? unchanged + 1 : 0;
        held = unchanged === LOOKS;
        return answered >= at || held;
      });
    }
    expect(held).toBe(true);
    expect(heapBytes() - before).toBeLessThan(24 * MIB);
    await replica.client.release(holder.lease_id);
  });
});

describe('a message that breaks the rules of the stream', () => {
  const cancels = (count: number): SessionOp[] =>
    Array.from({ length: count }, (_, at) => ({ seq: at + 1, cancel: { seq: 9 } }));
  test.each<[string, Buffer, number, RegExp]>([
    [
      '1,025 operations',
      encodeSession({ ops: cancels(1025) }),
      INVALID_ARGUMENT,
      /INVALID_FIELD: ops must be/,
    ],
    ['half a million empty ones', Buffer.alloc(MIB, Buffer.from([0x0a, 0])), INVALID_ARGUMENT, /ops must be/],
    [
      'a seq twice',
      encodeSession({ ops: [...cancels(2), ...cancels(1)] }),
      INVALID_ARGUMENT,
      /ops\[2\]\.seq was used/,
    ],
    [
      'a seq of 0',
      encodeSession({ ops: [{ cancel: { seq: 9 } }] }),
      INVALID_ARGUMENT,
      /ops\[0\]\.seq must not be 0/,
    ],
    ['no protobuf', Buffer.from('ffffffffff', 'hex'), INVALID_ARGUMENT, /not a valid protobuf/],
    ['a message that is cut', Buffer.from('0aff0108', 'hex'), INVALID_ARGUMENT, /not a valid protobuf/],
    ['a million nested groups', Buffer.alloc(MIB, 0x0b), INVALID_ARGUMENT, /not a valid protobuf/],
    ['a message that is too large', Buffer.alloc(MIB + 1), RESOURCE_EXHAUSTED, /QUOTA/],
    [
      'a grace that is too long',
      encodeSession({ grace: { seconds: 9999 } }),
      INVALID_ARGUMENT,
      /grace must be at most/,
    ],
  ])(
    'ends its own stream with a reason, and what it kept is released: %s',
    async (_what, message, code, detail) => {
      const connection = await connect();
      const beside = connection.openSession();
      const session = connection.openSession();
      // Its number is one that no message above uses.
      session.send(encodeSession({ ops: [{ seq: 5000, ...acquire('broken') }] }));
      await session.result(5000);
      session.send(message);
      await until('it has ended', () => session.status !== undefined);
      expect([session.status, session.detail]).toEqual([code, expect.stringMatching(detail)]);
      const next = await replica.client.lock('broken', { owner: 'next', wait: WAIT });
      await replica.client.release(next.lease_id);
      const seq = beside.ask([acquire('beside')]);
      expect((await beside.result(seq)).acquire?.lease).toBeDefined();
    },
  );
});

describe('an operation that breaks its rules', () => {
  test.each<[string, SessionOp, string[]]>([
    ['none at all', {}, ['op']],
    ['a huge name', acquire('n'.repeat(500_000)), ['acquire.resources[0]']],
    [
      'half a million names',
      { acquire: { resources: Array(500_000).fill(''), owner: 'o' } },
      ['acquire.resources'],
    ],
    ['a mode that nobody knows', acquire('r', { mode: 77 }), ['acquire.mode']],
    ['a huge owner', acquire('r', { owner: 'o'.repeat(900_000) }), ['acquire.owner']],
    ['a ttl below all', acquire('r', { ttl: { seconds: '-9223372036854775808' } }), ['acquire.ttl']],
    ['a lease id of nonsense', { resume: { lease_id: 'x'.repeat(900_000) } }, ['resume.lease_id']],
    ['the token 0', { check_token: { resource: 'r' } }, ['check_token.fencing_token']],
    ['a cancel of nothing', { cancel: {} }, ['cancel.seq']],
  ])('fails alone with its field: %s', async (_what, op, fields) => {
    const connection = await connect();
    const session = connection.openSession();
    const seq = session.ask([op, acquire('good')]);
    const { error } = await session.result(seq - 1);
    expect(error?.reason).toBe('INVALID_FIELD');
    expect(error?.field_violations.map(({ field }) => field)).toEqual(fields);
    expect((await session.result(seq)).acquire?.lease).toBeDefined();
    session.halfClose();
    await until('it ends well', () => session.status !== undefined);
    expect(session.status).toBe(OK);
  });

  test('the largest seq there is names its answer', async () => {
    const session = (await connect()).openSession();
    const seqs = ['18446744073709551615', '18446744073709551614', '9007199254740993', '9007199254740992'];
    session.send(encodeSession({ ops: seqs.map((seq) => ({ seq, cancel: { seq: 1 } })) }));
    await until('all four are answered', () => session.results.length === 4);
    expect(session.results.map(({ seq }) => seq).sort()).toEqual([...seqs].sort());
  });
});

test(`a session keeps ${limits.leasesPerSession} leases; one more is a matter of quota, until one is let go`, async () => {
  const connection = await connect({ windowBytes: 2 ** 22 });
  const session = connection.openSession();
  const EACH = 512;
  const leases: string[] = [];
  for (let at = 0; at < limits.leasesPerSession; at += EACH) {
    const last = session.ask(
      Array.from({ length: EACH }, (_, index) => acquire(`quota/${at + index}`, { ttl: span(20_000) })),
    );
    await until('these are granted', () => {
      const answers = session.messages.splice(0).flatMap(({ results }) => results);
      leases.push(
        ...answers.map(({ acquire: answer, error }) => answer?.lease?.lease_id ?? String(error?.message)),
      );
      return leases.length === last;
    });
  }
  expect(leases.filter((id) => !id.startsWith('hf'))).toEqual([]);
  const over = await session.result(session.ask([acquire('quota/more')]));
  expect(over.error?.reason).toBe('QUOTA');
  await session.result(session.ask([{ release: { lease_id: leases[0]! } }]));
  const again = await session.result(session.ask([acquire('quota/more')]));
  expect(again.acquire?.lease?.resources).toEqual(['quota/more']);
});
