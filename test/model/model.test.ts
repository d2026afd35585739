/** The models of docs/model, searched by Spin: with each rule nothing breaks, without it what README says does. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../harness/grpcurl.ts';

const CHECK = join(ROOT, 'docs/model/check.sh');
/** Two cores need a minute for it; a busy machine takes long. */
const SEARCH_MS = 1_800_000;

const missing = ['spin', 'gcc'].filter((tool) => spawnSync(tool, ['--version']).error !== undefined);
const without = missing.length === 0 ? '' : ` [skipped: no ${missing.join(', ')} here; run make tools]`;

interface Run {
  readonly rules: string;
  readonly result: string;
}

const names = execFileSync(CHECK, ['--ci', '--list'], { encoding: 'utf8' }).trim().split('\n');
/** What the script says of each run. */
const found = new Map<string, Run & { readonly verdict: string; readonly line: string }>();
let exitCode: number | null = null;

/** What README's tables promise of each run. */
function promised(): Map<string, Run> {
  const text = readFileSync(join(ROOT, 'docs/model/README.md'), 'utf8');
  const rows = text.matchAll(/^\| `(\S+)` \| (on|off) \|.*\| ([^|]+) \|$/gm);
  return new Map([...rows].map(([, name, rules, result]) => [name!, { rules: rules!, result: result! }]));
}

function read(line: string): void {
  const parts = /^(ok|FAILED) +(\S+) +(on|off) +(\S.*?) +\S+ states /.exec(line);
  if (parts === null) return;
  const [, verdict, name, rules, result] = parts;
  found.set(name!, { verdict: verdict!, rules: rules!, result: result!, line });
}

/** In a group of its own, so that no search outlives the tests. */
function search(): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(CHECK, ['--ci'], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const stop = (): void => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    };
    process.once('exit', stop);
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      process.off('exit', stop);
      exitCode = code;
      for (const line of out.split('\n')) read(line);
      resolve();
    });
  });
}

describe.skipIf(without !== '')(`the models${without}`, () => {
  const promises = promised();
  beforeAll(search, SEARCH_MS);

  test.each(names)('%s ends as docs/model/README.md says', (name) => {
    const run = found.get(name);
    expect(run?.verdict, run?.line ?? `${name} said nothing`).toBe('ok');
    expect({ rules: run?.rules, result: run?.result }).toEqual(promises.get(name));
  });

  test('the runs are those of CI, all of them, with rules on and off', () => {
    expect(exitCode).toBe(0);
    expect([...found.keys()].sort()).toEqual([...names].sort());
    expect(new Set([...found.values()].map(({ rules }) => rules))).toEqual(new Set(['on', 'off']));
  });
});
