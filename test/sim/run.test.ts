/** The runner from outside: it says what went wrong, how to repeat it, and never takes a process that died for a pass. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { planOf } from './generate.ts';
import type { Plan } from './plan.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]) {
  const path = fileURLToPath(new URL('run.ts', import.meta.url));
  return spawnSync(process.execPath, [path, ...args], { encoding: 'utf8', timeout: 100_000 });
}

function fileOf(plan: Plan): string {
  const file = join(folder, 'plan');
  writeFileSync(file, JSON.stringify(plan));
  return file;
}

test('a process that dies over a plan is a failure of that plan', () => {
  const { delayMs: _, ...broken } = planOf(3);
  const { status, stdout, stderr } = run('--plan', fileOf(broken as Plan), '--seconds', '60');
  expect(status).toBe(1);
  expect(stderr).toMatch(/FAILED: 1 violations/);
  expect(stdout).toMatch(/seed 3: rule crash broken .*\n {2}repeat: node test\/sim\/run\.ts --plan /);
});

test('a run without traffic is no pass, and says so', () => {
  const plan = planOf(3);
  const idle = plan.clients.map((client) => ({
    ...client,
    habits: { ...client.habits, idleMs: [60_000, 60_000] as const },
  }));
  const json = join(folder, 'sums');
  const calm: Plan = { ...plan, faults: [], clients: idle };
  const { status, stderr } = run('--plan', fileOf(calm), '--jobs', '1', '--json', json);
  expect(stderr).toMatch(/1 of 1 seeds had too little traffic: 3/);
  expect(status).toBe(1);
  expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({ invalid: [3], failures: [] });
});

test('a command line that makes no sense is refused with the usage', () => {
  const { status, stderr } = run('--seeds', 'many');
  expect(status).toBe(64);
  expect(stderr).toMatch(/--seeds many[\s\S]*--plan FILE/);
});
