/** The simulation as CI runs it: one fixed range of seeds, judged, with enough traffic, and over nearly all that decides. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { coveredOf, LEAST_PERCENT, ROOMS, shareOf, spansOf } from './covered.ts';
import { planOf } from './generate.ts';
import { judge, type Verdict } from './judge.ts';
import { FAULT_KINDS } from './plan.ts';
import type { Sums } from './sums.ts';

const FROM = 1;
const SEEDS = 200;
const CLIENT_SECONDS_LEAST = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'holdfast-sim-'));
const json = join(folder, 'sums');
let said = '';
let code: number | null = null;
let sums: Sums & { readonly verdicts: readonly Verdict[] };

beforeAll(async () => {
  const run = fileURLToPath(new URL('run.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    [run, '--from', String(FROM), '--seeds', String(SEEDS), '--jobs', '2', '--json', json],
    {
      env: { ...process.env, NODE_V8_COVERAGE: folder },
    },
  );
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  code = await new Promise((resolve) => child.on('close', resolve));
  sums = JSON.parse(readFileSync(json, 'utf8')) as typeof sums;
}, 300_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test(`${SEEDS} seeds break no rule, and none of them throws`, () => {
  expect(code, said).toBe(0);
  expect(sums.failures, said).toEqual([]);
  expect(sums.seeds).toBe(SEEDS);
});

test('they are a lot of traffic, under every kind of fault', () => {
  expect(sums.clientSeconds).toBeGreaterThanOrEqual(CLIENT_SECONDS_LEAST);
  expect(sums.granted).toBeGreaterThan(CLIENT_SECONDS_LEAST / 5);
  expect(sums.invalid.length).toBeLessThanOrEqual(SEEDS / 10);
  expect(sums.recovery.count).toBeGreaterThan(SEEDS / 2);
  for (const kind of FAULT_KINDS) expect(sums.faults[kind] ?? 0, kind).toBeGreaterThan(0);
});

test('the faults have teeth: without a fence, updates are lost', () => {
  expect(sums.twinLost).toBeGreaterThan(0);
});

test('in a share of them menders are at work, and end everything that they are there for', () => {
  for (const kind of ['undone_vote', 'orphaned_waiter', 'stale_history'])
    expect(sums.mended[kind] ?? 0, kind).toBeGreaterThan(0);
});

test('a seed gives the same history in another process', async () => {
  const [one] = sums.verdicts;
  const { verdict } = await judge(planOf(one!.seed));
  expect(verdict.digest).toBe(one!.digest);
});

describe('what decides about locks is nearly all run', () => {
  test.each(ROOMS)(`of %s at least ${LEAST_PERCENT} in a hundred lines`, (room) => {
    const files = coveredOf(room, folder);
    const missed = files.map((file) => `${file.path}: ${spansOf(file.missed)}`).join('\n');
    expect(shareOf(files), missed).toBeGreaterThanOrEqual(LEAST_PERCENT);
  });
});
