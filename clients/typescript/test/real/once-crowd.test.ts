/** Twelve processes of three kinds want one file: some are killed at each step, one is stopped past its ttl. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Line, Program, PYTHON, PYTHON_ENV, withoutPython } from '../../../../test/harness/program.ts';
import { ReplicaProcess } from '../../../../test/harness/replica.ts';
import { until } from '../../../../test/harness/until.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const STEPS = ['before the fetch', 'in mid-write', 'before the publication', 'before the release'] as const;
type Stop = (typeof STEPS)[number];

/** A busy machine starts a dozen processes slowly. */
const PATIENCE_MS = 120_000;
/** A stopped process is found silent by its keepalive, then its lease ends by its ttl; a busy machine is not so slow. */
const env = { HOLDFAST_KEEPALIVE_TIME: '2s', HOLDFAST_KEEPALIVE_TIMEOUT: '4s', HOLDFAST_MAX_TTL: '5s' };
const HASH = createHash('sha256')
  .update(Buffer.alloc(1 << 20, 'holdfast '))
  .digest('hex');

let folder: string;
let gates: string;
let target: string;
let service: ReplicaProcess;
let crowd: Program[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-once-'));
  gates = mkdtempSync(join(tmpdir(), 'holdfast-gates-'));
  target = join(folder, 'model.bin');
  // Each program listens for the end of this process.
  process.setMaxListeners(30);
  service = await ReplicaProcess.start('', env);
  crowd = [];
});

afterEach(async () => {
  await Promise.all(crowd.map((one) => one.stopped()));
  await service.stop();
  for (const each of [folder, gates]) rmSync(each, { recursive: true, force: true });
});

function joined(kind: number): Program {
  const args = [service.address, target, gates];
  const python = (way: string): Program =>
    new Program([PYTHON, here('../../../python/tests/once_child.py'), ...args, way], PYTHON_ENV);
  const child =
    kind % 3 === 0
      ? new Program([process.execPath, here('once-child.ts'), ...args], {})
      : python(kind % 3 === 1 ? 'sync' : 'asyncio');
  crowd.push(child);
  return child;
}

const passed = (child: Program, step: Stop): void => writeFileSync(join(gates, `${child.pid}.${step}`), '');

/** The one who makes the file now: none of those that came before. */
async function maker(before: readonly Program[]): Promise<Program> {
  const isMaking = (child: Program): boolean =>
    !before.includes(child) && child.lines.some(({ at }) => at === STEPS[0]);
  return until('the next one makes the file', () => crowd.find(isMaking), PATIENCE_MS);
}

async function comesTo(child: Program, stop: Stop): Promise<bigint> {
  for (const step of STEPS) {
    const said = await child.says(step, ({ at }) => at === step, PATIENCE_MS);
    if (step === stop) return BigInt(String(said.token));
    passed(child, step);
  }
  throw new Error(`${stop} is no step`);
}

const outcome = (child: Program): Promise<Line> =>
  child.says('what came of it', (line) => 'made' in line || 'error' in line, PATIENCE_MS);

test(`a crowd gets one file, whatever becomes of those who make it${withoutPython}`, {
  timeout: 400_000,
}, async ({ skip }) => {
  skip(withoutPython !== '');
  for (let kind = 0; kind < 12; kind += 1) joined(kind);
  const makers: Program[] = [];
  for (const stop of STEPS.slice(0, 3)) {
    const dying = await maker(makers);
    makers.push(dying);
    await comesTo(dying, stop);
    await dying.stopped();
    expect(readdirSync(folder)).toEqual(['.model.bin.fence']);
  }

  const sleeper = await maker(makers);
  makers.push(sleeper);
  const early = await comesTo(sleeper, 'in mid-write');
  sleeper.signal('SIGSTOP');
  const last = await maker(makers);
  makers.push(last);
  const token = await comesTo(last, 'before the release');
  expect(token).toBeGreaterThan(early);
  const published = statSync(target, { bigint: true });
  await last.stopped();

  for (const step of STEPS) passed(sleeper, step);
  sleeper.signal('SIGCONT');
  const others = crowd.filter((child) => !makers.includes(child));
  for (const child of others) passed(child, 'before the release');
  const outcomes = await Promise.all([sleeper, ...others].map(outcome));
  expect(outcomes).toEqual(outcomes.map(() => ({ made: false, token: String(token) })));
  expect(makers.length + others.length).toBe(12);

  expect(createHash('sha256').update(readFileSync(target)).digest('hex')).toBe(HASH);
  const after = statSync(target, { bigint: true });
  expect([after.ino, after.mtimeNs, after.nlink]).toEqual([published.ino, published.mtimeNs, 1n]);
  expect(readdirSync(folder).sort()).toEqual(['.model.bin.fence', 'model.bin']);
  expect(readdirSync(join(folder, '.model.bin.fence'))).toEqual([String(token)]);
});
