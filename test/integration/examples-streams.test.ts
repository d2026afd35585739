/** The streams of examples/grpcurl.md, as a reader would run them: grpcurl against two replicas over three lock nodes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  INSTALL_MS,
  installedGrpcurl,
  type Message,
  run,
  Terminal,
  withoutGrpcurl,
} from '../harness/grpcurl.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { bootstrapped, ReplicaProcess } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

if (withoutGrpcurl !== '') process.stderr.write(`examples-streams.test.ts:${withoutGrpcurl}\n`);

/** As they are unless set, for that is what a reader has. */
const DEFAULTS = {
  HOLDFAST_MIN_TTL: '100ms',
  HOLDFAST_DEFAULT_TTL: '30s',
  HOLDFAST_MAX_TTL: '60s',
  HOLDFAST_DRAIN_TIMEOUT: '20s',
};

interface Result {
  readonly seq: string;
  readonly [answer: string]: unknown;
}

const results = (message: Message) => (message.results ?? []) as readonly Result[];
const events = (message: Message) => (message.events ?? []) as readonly Result[];

describe.skipIf(withoutGrpcurl !== '')(`the streams of examples/grpcurl.md${withoutGrpcurl}`, () => {
  let grpcurl = '';
  let nodes: RedisServer[] = [];
  let list = '';
  const replicas: ReplicaProcess[] = [];

  beforeAll(async () => {
    grpcurl = await installedGrpcurl();
    nodes = await Promise.all([1, 2, 3].map(() => startRedis()));
    list = nodes.map(({ url }) => url).join(',');
    await bootstrapped(list, DEFAULTS);
    for (const _ of [1, 2]) replicas.push(await ReplicaProcess.start(list, DEFAULTS));
  }, INSTALL_MS);

  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await Promise.all(nodes.map((node) => node.stop()));
  });

  const open = (method: string, first: object, at = 0): Terminal => {
    const terminal = new Terminal(grpcurl, replicas[at]!.address, `LockService/${method}`, first);
    // A request of one message is complete with the end of its input.
    if (method === 'Hold') terminal.halfClose();
    return terminal;
  };

  const inspect = async (resource: string): Promise<Message> => {
    const request = JSON.stringify({ resource, history_limit: 9 });
    const asked = ['-plaintext', '-d', request, replicas[1]!.address];
    const { out, err } = await run(grpcurl, [...asked, 'holdfast.v1.LockService/Inspect']);
    return out === '' ? { err } : (JSON.parse(out) as Message);
  };

  const free = (resource: string): Promise<unknown> =>
    until(`${resource} is free`, async () => (await inspect(resource)).state === 'STATE_FREE');

  test('Hold: granted, renewed, and with Ctrl-C the next in line has it', async (context) => {
    if (grpcurl === '') context.skip('grpcurl could not be installed by go');
    const first = open('Hold', { acquire: { resources: ['gpu/0'], owner: 'worker-1', ttl: '2s' } });
    const { lease_ref } = await first.event('granted');
    expect(await first.event('renewed')).toMatchObject({ owner: 'worker-1', lease_ref });

    const second = open('Hold', { acquire: { resources: ['gpu/0'], owner: 'worker-2' } }, 1);
    const queued = await second.event('queued');
    expect(queued).toMatchObject({ position: 1, queue_length: 1, holders: [{ owner: 'worker-1' }] });

    const late = open('Hold', { acquire: { resources: ['gpu/0'], owner: 'late', wait: '0.3s' } });
    expect(await late.event('busy')).toMatchObject({ wait_elapsed: true, position: 2 });
    expect(await late.ended()).toBe(0);

    await first.interrupt();
    expect(await second.event('granted')).toMatchObject({ owner: 'worker-2' });
    const { history } = await inspect('gpu/0');
    expect(history).toContainEqual(
      expect.objectContaining({
        type: 'EVENT_TYPE_RELEASED',
        reason: 'the stream was closed',
        owner: 'worker-1',
      }),
    );

    const force = JSON.stringify({ resource: 'gpu/0', reason: 'stuck' });
    await run(grpcurl, [
      '-plaintext',
      '-d',
      force,
      replicas[0]!.address,
      'holdfast.v1.AdminService/ForceRelease',
    ]);
    expect(await second.event('lost')).toMatchObject({ reason: 'LOST_REASON_FORCED' });
    expect(await second.ended()).toBe(0);
  });

  test('a Hold with a grace waits for whoever resumes it, and the newer stream has it', async (context) => {
    if (grpcurl === '') context.skip('grpcurl could not be installed by go');
    const hold = { acquire: { resources: ['gpu/1'], owner: 'worker-1' }, grace: '30s' };
    const first = open('Hold', hold);
    const granted = await first.event('granted');
    await first.interrupt();

    const resume = { resume_lease_id: granted.lease_id };
    const second = open('Hold', { ...resume, grace: '30s' });
    expect(await second.event('granted')).toMatchObject({ fencing_token: granted.fencing_token });
    const third = open('Hold', resume);
    expect(await third.event('granted')).toMatchObject({ fencing_token: granted.fencing_token });
    expect(await second.event('lost')).toMatchObject({ detail: expect.stringContaining('another stream') });

    await third.interrupt();
    await free('gpu/1');
    const gone = open('Hold', resume);
    expect(await gone.ended()).not.toBe(0);
    expect(gone.err).toContain('Message: LEASE_LOST: the lease is gone: released');
  });

  test('Session: many operations in one message, cancel, release, and the end of input frees the rest', async (context) => {
    if (grpcurl === '') context.skip('grpcurl could not be installed by go');
    const other = open('Hold', { acquire: { resources: ['gpu/9'], owner: 'other' } });
    await other.event('granted');
    const ops = [
      { seq: 1, acquire: { resources: ['gpu/2'], owner: 'job-1', ttl: '2s' } },
      { seq: 2, acquire: { resources: ['gpu/3', 'gpu/4'], any: 1, owner: 'job-2' } },
      { seq: 3, acquire: { resources: ['gpu/9'], owner: 'job-3', wait: '60s' } },
      { seq: 4, acquire: { resources: ['gpu/2'], owner: 'job-4', ttl: '1h' } },
      { seq: 5, check_token: { resource: 'gpu/nowhere', fencing_token: 1 } },
    ];
    const session = open('Session', { ops });
    const answered = async (seq: number): Promise<Result> => {
      const find = (message: Message) => results(message).find((result) => result.seq === String(seq));
      return find(await session.sees(`${seq} is answered`, (message) => find(message) !== undefined))!;
    };
    const { lease } = (await answered(1)).acquire as { lease: { lease_id: string } };
    expect(await answered(2)).toMatchObject({ acquire: { lease: { owner: 'job-2' } } });
    expect(await answered(4)).toMatchObject({ error: { code: 3, reason: 'INVALID_FIELD' } });
    expect(await answered(5)).toMatchObject({ error: { code: 5, reason: 'UNKNOWN_RESOURCE' } });
    await session.sees('3 is queued', (message) =>
      events(message).some(({ seq, queued }) => seq === '3' && queued !== undefined),
    );
    await session.sees('the first lease is renewed', (message) =>
      events(message).some(({ seq, renewed }) => seq === '1' && renewed !== undefined),
    );

    session.type({
      ops: [
        { seq: 6, cancel: { seq: 3 } },
        { seq: 7, release: { lease_id: lease.lease_id } },
      ],
    });
    expect(await answered(6)).toMatchObject({ cancel: { cancelled: true } });
    expect(await answered(3)).toMatchObject({ error: { code: 1, message: 'given up by cancel' } });
    expect(await answered(7)).toMatchObject({ release: { released: true } });

    session.type({ ops: [{ seq: 8, acquire: { resources: ['gpu/9'], owner: 'job-3', wait: '60s' } }] });
    session.halfClose();
    await session.sees('8 is queued', (message) => events(message).some(({ seq }) => seq === '8'));
    await other.interrupt();
    expect(await answered(8)).toMatchObject({ acquire: { lease: { owner: 'job-3' } } });
    expect(await session.ended()).toBe(0);
    for (const resource of ['gpu/2', 'gpu/3', 'gpu/4', 'gpu/9']) {
      await until(`${resource} is not held`, async () => (await inspect(resource)).state !== 'STATE_HELD');
    }
  });

  test('drain: told, resumed at the other replica with the same token, the place in line kept', async (context) => {
    if (grpcurl === '') context.skip('grpcurl could not be installed by go');
    const leaving = replicas.push(await ReplicaProcess.start(list, DEFAULTS)) - 1;
    const hold = { acquire: { resources: ['gpu/5'], owner: 'worker-1', ttl: '4s' } };
    const holding = open('Hold', hold, leaving);
    const granted = await holding.event('granted');
    // Without it the replica would end with the other stream, and could free nothing any more.
    const staying = open('Hold', { acquire: { resources: ['gpu/6'], owner: 'worker-4' } }, leaving);
    await staying.event('granted');
    const wanted = { acquire: { resources: ['gpu/5'], owner: 'worker-2', request_id: 'again-7731' } };
    const waiting = open('Hold', wanted, leaving);
    await waiting.event('queued');
    const behind = open('Hold', { acquire: { resources: ['gpu/5'], owner: 'worker-3' } });
    expect(await behind.event('queued')).toMatchObject({ position: 2 });

    replicas[leaving]!.signal('SIGTERM');
    expect(await holding.event('draining')).toHaveProperty('remaining');
    expect(await waiting.ended()).not.toBe(0);
    expect(waiting.err).toContain('Message: DRAINING: ');

    const again = open('Hold', wanted, 1);
    expect(await again.event('queued')).toMatchObject({ position: 1 });
    const resumed = open('Hold', { resume_lease_id: granted.lease_id }, 1);
    expect(await resumed.event('granted')).toMatchObject({ fencing_token: granted.fencing_token });
    await holding.interrupt();
    expect(await resumed.event('renewed')).toMatchObject({ fencing_token: granted.fencing_token });
    await staying.interrupt();
    expect(await replicas[leaving]!.ended()).toBe(0);
    expect(await inspect('gpu/5')).toMatchObject({ holders: [{ owner: 'worker-1' }] });
    expect(await inspect('gpu/6')).toMatchObject({ holders: [{ owner: 'worker-4' }] });

    await resumed.interrupt();
    expect(await again.event('granted')).toMatchObject({ owner: 'worker-2' });
    await again.interrupt();
    expect(await behind.event('granted')).toMatchObject({ owner: 'worker-3' });
    await behind.interrupt();
  });
});
