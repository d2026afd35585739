/** The example job-submit as it would run: a real Postgres, a real Redis queue, a real Holdfast; each of them may be down. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../harness/grpcurl.ts';
import { Nodes } from '../harness/nodes.ts';
import { Postgres, withoutPostgres } from '../harness/postgres.ts';
import { Program } from '../harness/program.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { bootstrapped, ReplicaProcess } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

if (withoutPostgres !== '') process.stderr.write(`examples-job-submit.test.ts:${withoutPostgres}\n`);

const FOLDER = join(ROOT, 'examples/job-submit');
const SETTINGS = {
  HOLDFAST_DEFAULT_TTL: '10s',
  HOLDFAST_MAX_TTL: '20s',
  // What a stall of this whole machine must stay below.
  HOLDFAST_NODE_TIMEOUT: '2s',
  HOLDFAST_LOG_LEVEL: 'info',
  // A submitter that is stopped is found out after so long; one that runs answers in time on the busiest machine.
  HOLDFAST_KEEPALIVE_TIME: '1s',
  HOLDFAST_KEEPALIVE_TIMEOUT: '3s',
};
const IMAGE = randomBytes(5000);
const RESULT = { bytes: IMAGE.length, sha256: createHash('sha256').update(IMAGE).digest('hex') };

let nodes: Nodes;
let holdfast: ReplicaProcess;
let queue: RedisServer;
let postgres: Postgres;
let api: Program;
let base = '';
let env: Record<string, string> = {};
let images = '';
/** Those who have asked for an image that is kept back, until they get it. */
const kept: ServerResponse[] = [];

const imageServer = createServer((request, response) => {
  if (request.url === '/kept') kept.push(response);
  else response.end(IMAGE);
});

/** Commits of jobs wait for whoever holds the gate. */
const GATE = `
  create function gate() returns trigger language plpgsql as $$
    begin perform pg_advisory_xact_lock(1); return null; end $$;
  create constraint trigger gate after insert on jobs deferrable initially deferred
    for each row execute function gate()`;

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly timing: string;
}

async function ask(method: 'GET' | 'PUT', id: string, payload?: object, at = base): Promise<Answer> {
  const body = payload === undefined ? {} : { body: JSON.stringify(payload) };
  const answer = await fetch(`${at}/jobs/${id}`, { method, ...body });
  const timing = answer.headers.get('server-timing') ?? '';
  return { status: answer.status, body: (await answer.json()) as Answer['body'], timing };
}

const put = (id: string, path = '/image', at = base): Promise<Answer> =>
  ask('PUT', id, { url: `${images}${path}` }, at);
const get = (id: string): Promise<Answer> => ask('GET', id);
const rows = (id: string): Promise<string> => postgres.run(`select state from jobs where id = '${id}'`);

async function becomes(id: string, state: string): Promise<Answer> {
  let last: Answer | undefined;
  const look = async (): Promise<Answer | undefined> => {
    last = await get(id);
    return last.body.state === state ? last : undefined;
  };
  return until(`${id} is ${state}`, look, 30_000, 20).catch((error: unknown) => {
    throw new Error(`${String(error)}; it is ${JSON.stringify(last)}`);
  });
}

async function listening(one: Program): Promise<string> {
  const line = await one.says('it listens', (said) => 'listening' in said);
  return `http://127.0.0.1:${(line.listening as AddressInfo).port}`;
}

async function withWorker(act: (one: Program) => Promise<void>): Promise<void> {
  const one = new Program([process.execPath, 'worker.ts'], env, FOLDER);
  try {
    await act(one);
  } finally {
    await one.stopped();
  }
}

beforeAll(async () => {
  if (withoutPostgres !== '') return;
  [nodes, queue, postgres] = await Promise.all([Nodes.start(3), startRedis(), Postgres.start()]);
  await bootstrapped(nodes.list, SETTINGS);
  holdfast = await ReplicaProcess.start(nodes.list, SETTINGS);
  await postgres.run(readFileSync(join(FOLDER, 'schema.sql'), 'utf8'));
  await new Promise<void>((resolve) => imageServer.listen(0, '127.0.0.1', resolve));
  images = `http://127.0.0.1:${(imageServer.address() as AddressInfo).port}`;
  env = { ...postgres.env, REDIS_URL: queue.socketPath, HOLDFAST_ADDRESS: holdfast.address, PORT: '0' };
  api = new Program([process.execPath, 'api.ts'], env, FOLDER);
  base = await listening(api);
});

afterAll(async () => {
  await api?.stopped();
  for (const response of kept) response.destroy();
  imageServer.close();
  await Promise.all([holdfast?.stop(), queue?.stop(), postgres?.stop(), nodes?.close()]);
});

describe.skipIf(withoutPostgres !== '')(`job-submit${withoutPostgres}`, () => {
  test('a job is known when its submission is answered, told live while it runs, and from history when it is done', async () => {
    expect((await get('first')).status).toBe(404);
    expect(await put('first', '/kept')).toMatchObject({ status: 202, body: { created: true } });
    expect(await get('first')).toMatchObject({ status: 200, body: { state: 'queued', source: 'history' } });
    await withWorker(async () => {
      await until('a worker fetches', () => kept.length === 1, 30_000);
      expect((await becomes('first', 'running')).body).toMatchObject({
        source: 'live',
        worker: expect.stringMatching(/^.+\/\d+\/\d+$/),
        progress: 'fetching',
      });
      kept.pop()!.end(IMAGE);
      expect((await becomes('first', 'done')).body).toMatchObject({ source: 'history', result: RESULT });
    });
    expect(await put('first')).toMatchObject({ status: 200, body: { created: false } });
    expect((await get('first')).body.state).toBe('done');
  });

  test('a reader never loses sight of a job, from its submission to its end; what the lock adds is printed', async () => {
    const ids = Array.from({ length: 40 }, (_, at) => `seen-${at}`);
    const timings: string[] = [];
    const watch = async (id: string): Promise<void> => {
      const submitted = put(id);
      let known = false;
      submitted.then(() => {
        known = true;
      });
      for (let state: unknown = ''; state !== 'done'; ) {
        const must = known;
        const { status, body } = await get(id);
        if (must) expect(status, `${id} after its submission: ${JSON.stringify(body)}`).toBe(200);
        known ||= status === 200;
        state = body.state;
      }
      const { status, timing } = await submitted;
      expect(status).toBe(202);
      timings.push(timing);
    };
    await withWorker(async () => {
      for (let at = 0; at < ids.length; at += 4) await Promise.all(ids.slice(at, at + 4).map(watch));
    });
    const of = (name: string): number[] =>
      timings
        .map((timing) => Number(new RegExp(`${name};dur=([\\d.]+)`).exec(timing)![1]))
        .sort((a, b) => a - b);
    const [lock, total] = [of('lock'), of('total')];
    const shown = (all: number[]): string => `median ${all[all.length >> 1]} ms, worst ${all.at(-1)} ms`;
    console.log(`${timings.length} submissions: the lock took ${shown(lock)}, of ${shown(total)} in all`);
    expect(timings).toHaveLength(ids.length);
  });

  test('between push and commit it is being submitted, and the worker that has its entry waits for the row', async () => {
    await postgres.run(GATE);
    const open = await postgres.holding('select pg_advisory_lock(1)');
    await withWorker(async (one) => {
      const submitted = put('between');
      await one.says('it has the entry', ({ id, taken }) => id === 'between' && taken === true);
      expect(await rows('between')).toBe('');
      expect(await get('between')).toMatchObject({
        status: 200,
        body: { state: 'submitting', source: 'live' },
      });
      await open();
      expect(await submitted).toMatchObject({ status: 202, body: { created: true } });
      expect((await becomes('between', 'done')).body.result).toEqual(RESULT);
    });
    await postgres.run('drop trigger gate on jobs; drop function gate');
  });

  test('while Redis is down a submission fails, says so and leaves no row; afterwards the same id goes through', async () => {
    await queue.kill();
    expect(await put('no-queue')).toMatchObject({
      status: 503,
      body: { error: 'UNAVAILABLE', service: 'redis' },
    });
    expect(await rows('no-queue')).toBe('');
    expect((await get('no-queue')).status).toBe(404);
    await queue.start();
    await until('it goes through', async () => (await put('no-queue')).status === 202);
    await withWorker(async () => {
      await becomes('no-queue', 'done');
    });
  });

  test('a push that Redis carries out after its submission has failed is void: no job, until it is submitted again', async () => {
    queue.pause();
    const failed = put('late-push');
    try {
      expect(await failed).toMatchObject({ status: 503, body: { service: 'redis' } });
    } finally {
      queue.resume();
    }
    expect(await rows('late-push')).toBe('');
    await withWorker(async (one) => {
      await one.says(
        'the entry came and was dropped',
        ({ id, dealt }) => id === 'late-push' && dealt === true,
      );
      expect(await rows('late-push')).toBe('withdrawn');
      expect((await get('late-push')).status).toBe(404);
      await until('it goes through', async () => (await put('late-push')).status === 202);
      await becomes('late-push', 'done');
    });
  });

  test('a submitter that was stopped past its lease commits nothing when it wakes, and its entry is void', async () => {
    const slow = { ...env, SUBMIT_TTL_MS: '3000', PATIENCE_MS: '20000' };
    const stale = new Program([process.execPath, 'api.ts'], slow, FOLDER);
    const open = (): Promise<string> =>
      postgres.run("select count(*) from pg_stat_activity where state = 'idle in transaction'");
    try {
      const at = await listening(stale);
      queue.pause();
      const submitted = put('stale', '/image', at);
      await until('its row is written', async () => (await open()) === '1');
      stale.signal('SIGSTOP');
      queue.resume();
      await until('Postgres has ended its transaction', async () => (await open()) === '0', 30_000);
      await withWorker(async (one) => {
        stale.signal('SIGCONT');
        expect(await submitted).toMatchObject({ status: 503, body: { error: 'UNAVAILABLE' } });
        await one.says('the entry was dropped', ({ id, dealt }) => id === 'stale' && dealt === true);
        expect((await get('stale')).status).toBe(404);
      });
    } finally {
      queue.resume();
      await stale.stopped();
    }
  });

  test('the job of a worker that is killed in the middle of it is done by the next', async () => {
    expect((await put('orphan', '/kept')).status).toBe(202);
    await withWorker(async () => {
      await until('a worker fetches', () => kept.length === 1, 30_000);
    });
    kept.pop();
    await withWorker(async () => {
      await until('another worker fetches', () => kept.length === 1, 30_000);
      kept.pop()!.end(IMAGE);
      expect((await becomes('orphan', 'done')).body.result).toEqual(RESULT);
    });
  });

  test('while Holdfast is down a submission fails, says so and leaves no row; status is told from history', async () => {
    await holdfast.stop();
    expect(await put('no-locks')).toMatchObject({ status: 503, body: { service: 'holdfast' } });
    expect(await rows('no-locks')).toBe('');
    expect((await get('first')).body).toMatchObject({
      state: 'done',
      source: 'history',
      live: 'unavailable',
    });
    holdfast = await ReplicaProcess.start(nodes.list, { ...SETTINGS, HOLDFAST_LISTEN: holdfast.address });
    await until('it goes through', async () => (await put('no-locks')).status === 202, 30_000);
    expect((await get('no-locks')).body).not.toHaveProperty('live');

    await Promise.all([0, 1].map((node) => nodes.servers[node]!.kill()));
    expect(await put('no-quorum')).toMatchObject({ status: 503, body: { service: 'holdfast' } });
    expect(await rows('no-quorum')).toBe('');
  });
});
