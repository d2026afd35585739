/** The example gpu-worker as it would run: two Celery workers over a real Redis broker, and cards that tell who used them. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../harness/grpcurl.ts';
import { Nodes } from '../harness/nodes.ts';
import { Program, PYTHON, PYTHON_ENV, withoutPython } from '../harness/program.ts';
import { strayBlocks } from '../harness/readme.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { bootstrapped, ReplicaProcess } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

if (withoutPython !== '') process.stderr.write(`examples-gpu-worker.test.ts:${withoutPython}\n`);

const FOLDER = join(ROOT, 'examples/gpu-worker');
const SETTINGS = {
  HOLDFAST_DEFAULT_TTL: '30s',
  HOLDFAST_MAX_TTL: '60s',
  // What a stall of this whole machine must stay below.
  HOLDFAST_NODE_TIMEOUT: '2s',
  HOLDFAST_LOG_LEVEL: 'info',
};
const BUSY_MS = 40_000;

const folder = mkdtempSync(join(tmpdir(), 'holdfast-cards-'));
const incidents = join(folder, 'incidents.jsonl');
let nodes: Nodes;
let holdfast: ReplicaProcess;
let broker: RedisServer;
let env: Record<string, string> = {};
const workers: Program[] = [];

interface Act {
  readonly act: string;
  readonly token: number;
  readonly pid: number;
}

function linesOf<T>(path: string): T[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as T);
  } catch {
    return [];
  }
}

/** A card: what was done with it, and what is wrong with it. */
class Card {
  readonly name: string;
  readonly #folder: string;

  constructor(name: string) {
    this.name = name;
    this.#folder = join(folder, name);
    mkdirSync(this.#folder, { recursive: true });
  }

  get acts(): Act[] {
    return linesOf<Act>(join(this.#folder, 'log'));
  }

  is(...states: readonly ('hang' | 'fault' | 'stuck')[]): void {
    for (const state of states) writeFileSync(join(this.#folder, state), '');
  }

  isNot(state: 'hang' | 'fault' | 'stuck'): void {
    rmSync(join(this.#folder, state));
  }

  /** The first act of that kind after `from` of them. */
  did(act: string, from = 0): Promise<Act> {
    const look = (): Act | undefined => this.acts.slice(from).find((one) => one.act === act);
    return until(`${this.name}: ${act}`, look, BUSY_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${workers.map(({ err }) => err).join('\n')}`);
    });
  }

  /** What became of the lock, newest first. */
  async history(): Promise<readonly { type: string; reason: string; fencing_token: string }[]> {
    const { history } = await holdfast.client.inspect(this.name, 50);
    return history;
  }
}

function submit(...args: readonly (string | number)[]): Program {
  return new Program([PYTHON, 'submit.py', ...args.map(String)], env, FOLDER);
}

const ends = (program: Program): ReturnType<Program['says']> =>
  program.says('the task ends', ({ state }) => state !== undefined);

const begin = (name: string): Program => {
  const args = ['-m', 'celery', '-A', 'tasks', 'worker', '--pool', 'prefork', '--concurrency', '2'] as const;
  const quiet = [
    '--without-gossip',
    '--without-mingle',
    '--without-heartbeat',
    '--loglevel',
    'INFO',
  ] as const;
  return new Program([PYTHON, ...args, ...quiet, '--hostname', `${name}@local`], env, FOLDER);
};

beforeAll(async () => {
  if (withoutPython !== '') return;
  [nodes, broker] = await Promise.all([Nodes.start(3), startRedis()]);
  await bootstrapped(nodes.list, SETTINGS);
  holdfast = await ReplicaProcess.start(nodes.list, SETTINGS);
  env = {
    ...PYTHON_ENV,
    HOLDFAST_ADDRESS: holdfast.address,
    BROKER_URL: `redis+socket://${broker.socketPath}`,
    RESULT_URL: `redis+socket://${broker.socketPath}`,
    CARDS: folder,
    INCIDENTS: incidents,
  };
  workers.push(begin('one'), begin('two'));
  const ready = (worker: Program): Promise<unknown> =>
    until('the worker is ready', () => worker.over || worker.err.includes(' ready.'), BUSY_MS);
  await Promise.all(workers.map(ready));
  for (const worker of workers) expect(worker.over, worker.err).toBe(false);
});

afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stopped('SIGTERM')));
  await Promise.all([holdfast?.stop(), broker?.stop(), nodes?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(withoutPython !== '')(`gpu-worker${withoutPython}`, () => {
  test('tasks of two workers never meet on a card, and each later one has a larger token', async () => {
    const cards = [new Card('gpu/0'), new Card('gpu/1')];
    const sent = [0, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1];
    const all = submit(...sent, '--steps', 4);
    expect(await all.ended(), all.err).toBe(0);
    expect(all.lines.filter(({ state }) => state === 'SUCCESS')).toHaveLength(sent.length);
    for (const card of cards) {
      const wanted = ['begin', 'step 1', 'step 2', 'step 3', 'step 4', 'end', 'wipe'];
      const { acts } = card;
      expect(acts).toHaveLength(wanted.length * 6);
      const tokens: number[] = [];
      for (let at = 0; at < acts.length; at += wanted.length) {
        const turn = acts.slice(at, at + wanted.length);
        expect(turn.map(({ act }) => act)).toEqual(wanted);
        expect(new Set(turn.map(({ token, pid }) => `${token} ${pid}`)).size).toBe(1);
        tokens.push(turn[0]!.token);
      }
      expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    }
    // More than one process of the pools took part, and none of them was the one that was forked.
    const pids = new Set(cards.flatMap(({ acts }) => acts.map(({ pid }) => pid)));
    expect(pids.size).toBeGreaterThan(1);
    for (const worker of workers) expect(pids).not.toContain(worker.pid);
  });

  test('what a task does can be seen, and a card that its process was killed on goes to another one', async () => {
    const card = new Card('gpu/2');
    card.is('hang');
    const task = submit(2, '--steps', 2);
    const first = await card.did('step 1');
    const shown = await until('its progress is shown', async () => {
      const { holders } = await holdfast.client.inspect(card.name);
      return holders.find(({ progress }) => progress === 'step 1 of 2');
    });
    expect(Number(shown.fencing_token)).toBe(first.token);
    expect(shown.labels).toEqual({ app: 'gpu-worker' });

    const before = card.acts.length;
    process.kill(first.pid, 'SIGKILL');
    const second = await card.did('step 1', before);
    expect(second.token).toBeGreaterThan(first.token);
    expect(second.pid).not.toBe(first.pid);
    card.isNot('hang');
    expect(await ends(task)).toMatchObject({
      state: 'SUCCESS',
      result: { token: second.token, pid: second.pid },
    });
  });

  test('a task that fails releases with the reason, also when the card cannot be wiped: that is recorded and alarmed', async () => {
    const card = new Card('gpu/3');
    card.is('fault', 'stuck');
    expect(await ends(submit(3))).toMatchObject({ state: 'FAILURE', error: 'CardError' });
    const [released] = await card.history();
    expect(released).toMatchObject({ type: 'EVENT_TYPE_RELEASED', reason: 'failed: CardError' });
    const [incident] = linesOf<Record<string, unknown>>(incidents);
    expect(incident).toMatchObject({
      stage: 'cleanup',
      resources: ['gpu/3'],
      error: 'CardError: its memory could not be wiped',
      body_error: 'CardError: the device has fallen off the bus',
    });
    const alarm = 'ALERT {"body_error": "CardError: the device';
    await until('the alarm is out', () => workers.some(({ err }) => err.includes(alarm)));
    card.isNot('fault');
    card.isNot('stuck');
    expect(await ends(submit(3))).toMatchObject({ state: 'SUCCESS' });
  });

  test('the soft time limit ends a task that hangs: wiped, released with the reason, free for the next', async () => {
    const card = new Card('gpu/4');
    card.is('hang');
    expect(await ends(submit(4, '--soft-limit', 3))).toMatchObject({
      state: 'FAILURE',
      error: 'SoftTimeLimitExceeded',
    });
    expect(card.acts.at(-1)!.act).toBe('wipe');
    const [released] = await card.history();
    expect(released).toMatchObject({ type: 'EVENT_TYPE_RELEASED', reason: 'failed: SoftTimeLimitExceeded' });
    card.isNot('hang');
    expect(await ends(submit(4))).toMatchObject({ state: 'SUCCESS' });
  });

  test('a release that fails is tried by force; when that fails too the task stands and the incident is recorded', async () => {
    const card = new Card('gpu/5');
    card.is('hang');
    const task = submit(5, '--steps', 1);
    await card.did('step 1');
    await Promise.all([0, 1].map((node) => nodes.servers[node]!.kill()));
    card.isNot('hang');
    expect(await ends(task)).toMatchObject({ state: 'SUCCESS' });
    expect(linesOf(incidents).at(-1)).toMatchObject({
      stage: 'release',
      resources: ['gpu/5'],
      error: expect.stringMatching(/^NoQuorumError: /),
      forced: false,
      force_error: expect.stringMatching(/^NoQuorumError: /),
    });
  });
});

test('the README shows what tasks.py has', () => {
  expect(strayBlocks(FOLDER, 'python', 'tasks.py')).toEqual([]);
});
