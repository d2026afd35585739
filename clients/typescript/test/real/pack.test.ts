/** The package as it is published: in an empty project it type-checks, strictly and with all its types, and runs. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ReplicaProcess } from '../../../../test/harness/replica.ts';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const execute = promisify(execFile);
const project = mkdtempSync(join(tmpdir(), 'holdfast-pack-'));
const modules = join(project, 'node_modules');

const SOURCE = `
import { BusyError, Holdfast, type Lease, LeaseLostError, type LockOptions } from '@holdfast/client';
import * as fencing from '@holdfast/client/fencing';
import * as testing from '@holdfast/client/testing';

const options: LockOptions = { ttl: '2s', wait: 1000, labels: { a: 'b' } };
const hf: Holdfast = new Holdfast({ address: process.env.HOLDFAST_ADDRESS });
const lease: Lease = await hf.lock(['a', 'b'], options);
const token: bigint = lease.token;
const left: number = lease.remainingMs;
const signal: AbortSignal = lease.signal;
const released: boolean = await lease.release();
const busy = await hf.withLock('a', () => hf.lock('a').catch((error: unknown) => error instanceof BusyError));
// @ts-expect-error a span is a number or a text
void (() => hf.lock('a', { ttl: {} }));
// @ts-expect-error tokens are bigint
void (() => hf.checkToken('a', 1));
await hf.close();
const parts = [fencing, testing].every((part) => Object.keys(part).length > 0);
console.log(JSON.stringify({
  granted: token > 0n && left > 0 && !signal.aborted, released, busy, parts, error: LeaseLostError.name,
}));
`;

let replica: ReplicaProcess;
beforeAll(async () => {
  await execute(join(root, 'scripts/build-client.sh'));
  replica = await ReplicaProcess.start('');
  const folder = join(root, 'clients/typescript');
  const { stdout } = await execute('npm', ['pack', '--json', '--pack-destination', project], { cwd: folder });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  await execute('tar', ['-xzf', join(project, filename), '-C', project]);
  // What it depends on, as installed here; nothing else of this repository.
  mkdirSync(join(modules, '@holdfast'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.') && name !== '@holdfast')
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  symlinkSync(join(project, 'package'), join(modules, '@holdfast/client'));
  const compilerOptions = {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    types: ['node'],
    outDir: 'out',
    preserveSymlinks: true,
  };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['index.ts'] }));
  writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module', private: true }));
  writeFileSync(join(project, 'index.ts'), SOURCE);
});
afterAll(async () => {
  await replica?.stop();
  rmSync(project, { recursive: true, force: true });
});

test('it holds what it needs and nothing else', () => {
  const all = readdirSync(join(project, 'package'), { recursive: true }).map(String);
  for (const file of ['README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts'])
    expect(all).toContain(file);
  expect(all.filter((name) => /^(src|test|examples)/.test(name) || /(?<!\.d)\.ts$/.test(name))).toEqual([]);
});

test('it type-checks and runs', async () => {
  const tsc = await execute(join(root, 'node_modules/.bin/tsc'), ['-p', project]).catch(
    (error: { stdout: string }) => error,
  );
  expect(tsc.stdout).toBe('');
  const env = { ...process.env, HOLDFAST_ADDRESS: replica.address };
  const { stdout } = await execute(process.execPath, ['--preserve-symlinks', join(project, 'out/index.js')], {
    env,
  });
  const said = { granted: true, released: true, busy: true, parts: true, error: 'LeaseLostError' };
  expect(JSON.parse(stdout)).toEqual(said);
});
