/** The example model-sync as it would run: a dozen workers, one folder, a server that fails them; killed and stopped ones, too. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ROOT } from '../harness/grpcurl.ts';
import { type Fetch, ModelServer, sha256 } from '../harness/model-server.ts';
import { Nodes } from '../harness/nodes.ts';
import { Program, PYTHON, PYTHON_ENV, withoutPython } from '../harness/program.ts';
import { strayBlocks } from '../harness/readme.ts';
import { bootstrapped, ReplicaProcess } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

if (withoutPython !== '') process.stderr.write(`examples-model-sync.test.ts:${withoutPython}\n`);

const FOLDER = join(ROOT, 'examples/model-sync');
const SETTINGS = {
  HOLDFAST_DEFAULT_TTL: '10s',
  HOLDFAST_MAX_TTL: '20s',
  // What a stall of this whole machine must stay below.
  HOLDFAST_NODE_TIMEOUT: '2s',
  HOLDFAST_LOG_LEVEL: 'info',
  // A worker that is stopped is found out after so long; one that runs answers in time on the busiest machine.
  HOLDFAST_KEEPALIVE_TIME: '1s',
  HOLDFAST_KEEPALIVE_TIMEOUT: '3s',
};
const BYTES = 300_000;
/** What must never be said: somebody else's file under way is nobody's business. */
const VANISHED = /ENOENT|No such file|FileNotFound|vanished/;

let nodes: Nodes;
let holdfast: ReplicaProcess;
let server: ModelServer;
let shared = '';
let workers: Program[] = [];
const started: Program[] = [];

/** So many in each language. They begin together: nobody is sent the manifest before all have asked for it. */
function begin(python: number, typescript: number, ttl = 10): void {
  server.gather(python + typescript);
  const env = { ...PYTHON_ENV, HOLDFAST_ADDRESS: holdfast.address, SYNC_TTL: String(ttl) };
  const args = [server.manifestUrl, shared] as const;
  workers = [
    ...Array.from({ length: python }, () => new Program([PYTHON, 'sync.py', ...args], env, FOLDER)),
    ...Array.from(
      { length: typescript },
      () => new Program([process.execPath, 'sync.ts', ...args], env, FOLDER),
    ),
  ];
  started.push(...workers);
}

async function allEnd(those: readonly Program[] = workers): Promise<void> {
  for (const worker of those) expect(await worker.ended(), worker.err).toBe(0);
}

const by = ({ worker }: Fetch): Program => workers.find(({ pid }) => pid === worker)!;

/** What workers said of models that they got or made. */
function said(made: boolean): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const line of workers.flatMap(({ lines }) => lines)) {
    if (line.made === made) counts[String(line.model)] = (counts[String(line.model)] ?? 0) + 1;
  }
  return counts;
}

const failures = (): string[] =>
  workers
    .flatMap(({ lines }) => lines)
    .flatMap(({ failed }) => (failed === undefined ? [] : [String(failed)]));

/** The shared folder has the models, right to the last byte, and nothing under way. */
function complete(): void {
  const visible = readdirSync(shared).filter((name) => !name.startsWith('.'));
  const hashes = visible.map((name) => [name, sha256(readFileSync(join(shared, name)))]);
  expect(Object.fromEntries(hashes)).toEqual(server.hashes);
  const inside = readdirSync(shared, { recursive: true, encoding: 'utf8' });
  expect(inside.filter((path) => /\.(part|ready)/.test(path))).toEqual([]);
}

function nobodyMissedAFile(): void {
  for (const { err } of workers) expect(err).not.toMatch(VANISHED);
  for (const failure of failures()) expect(failure).not.toMatch(VANISHED);
}

beforeAll(async () => {
  if (withoutPython !== '') return;
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list, SETTINGS);
  holdfast = await ReplicaProcess.start(nodes.list, SETTINGS);
});

beforeEach(async () => {
  if (withoutPython !== '') return;
  server = await ModelServer.start();
  shared = mkdtempSync(join(tmpdir(), 'holdfast-models-'));
  return async () => {
    await Promise.all(started.splice(0).map((program) => program.stopped()));
    server.close();
    rmSync(shared, { recursive: true, force: true });
  };
});

afterAll(async () => {
  await Promise.all([holdfast?.stop(), nodes?.close()]);
});

describe.skipIf(withoutPython !== '')(`model-sync${withoutPython}`, () => {
  test('a dozen workers in two languages fetch each model whole exactly once, however bad the server is', async () => {
    server.add('plain', BYTES);
    server.add('refused', BYTES, 'error');
    server.add('cut', BYTES, 'cut');
    server.add('wrong', BYTES, 'wrong');
    server.add('late', BYTES, 'late');
    server.add('all-of-it', BYTES, 'error', 'cut', 'wrong', 'late');
    begin(9, 3);
    await allEnd();
    const once = Object.fromEntries(Object.keys(server.hashes).map((name) => [name, 1]));
    expect(server.wholes).toEqual(once);
    expect(said(true)).toEqual(once);
    expect(said(false)).toEqual(
      Object.fromEntries(Object.keys(once).map((name) => [name, workers.length - 1])),
    );
    // As many as there were bad downloads: nobody suffers from somebody else's.
    expect(failures()).toHaveLength(6);
    complete();
    nobodyMissedAFile();
  });

  test('a downloader that is killed in the middle is succeeded, and nothing of it is left', async () => {
    server.add('model', BYTES, 'kept');
    begin(3, 1);
    const first = await server.keptOf('model');
    by(first).signal('SIGKILL');
    const others = workers.filter((worker) => worker !== by(first));
    await allEnd(others);
    server.letGo(first);
    expect(server.wholes).toEqual({ model: 1 });
    expect(said(true)).toEqual({ model: 1 });
    expect(by(first).lines.filter(({ model }) => model !== undefined)).toEqual([]);
    complete();
    nobodyMissedAFile();
  });

  test.for(['Python', 'TypeScript'])(
    'a downloader in %s that was stopped past its ttl is fenced out: it changes nothing and gets the file of the other',
    async (language) => {
      server.add('model', BYTES, 'kept');
      if (language === 'Python') begin(1, 0, 2);
      else begin(0, 1, 2);
      const first = await server.keptOf('model');
      const stale = by(first);
      stale.signal('SIGSTOP');
      begin(1, 1, 2);
      await allEnd();
      const made = workers.flatMap(({ lines }) => lines).find((line) => line.made === true)!;
      const before = statSync(join(shared, 'model'), { bigint: true });
      server.letGo(first);
      stale.signal('SIGCONT');
      expect(await stale.ended(), stale.err).toBe(0);
      const last = await until('it says which file it got', () =>
        stale.lines.find(({ model }) => model === 'model'),
      );
      expect(last).toMatchObject({ made: false, attempt: 1, token: made.token });
      const after = statSync(join(shared, 'model'), { bigint: true });
      expect([after.ino, after.mtimeNs, after.ctimeNs]).toEqual([before.ino, before.mtimeNs, before.ctimeNs]);
      complete();
      nobodyMissedAFile();
    },
  );
});

test('the README shows what sync.py has', () => {
  expect(strayBlocks(FOLDER, 'python', 'sync.py')).toEqual([]);
});
