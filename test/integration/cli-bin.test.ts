/** bin/holdfast: one process, whose pid, signals and exit code are the command's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HoldStream } from '../harness/lock-streams.ts';
import { until } from '../harness/until.ts';

const BIN = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-bin-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(bin: string, argv: readonly string[], path = process.env.PATH ?? '') {
  const child = spawn(bin, argv, { cwd: folder, env: { ...process.env, PATH: path } });
  child.stdin.end();
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code, out, err };
}

test('is one process: the pid is that of the command, and it has no child', async () => {
  // Waits for standard input, which nobody gives it.
  const child = spawn(BIN, ['release', '-']);
  const stopped = once(child, 'exit');
  try {
    const cmdline = () => readFile(`/proc/${child.pid}/cmdline`, 'latin1');
    await expect
      .poll(cmdline, { timeout: 10_000 })
      .toMatch(/^[^\0]*node\0[^\0]*src\/cli\/main\.ts\0release\0-\0$/);
    expect(await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'latin1')).toBe('');
  } finally {
    child.kill('SIGTERM');
  }
  expect(await stopped).toEqual([null, 'SIGTERM']);
});

test('serve drains on SIGTERM and exits 0', async () => {
  const socket = join(folder, 'grpc.sock');
  const flags = ['--listen', `unix:${socket}`, '--http-listen', `unix:${join(folder, 'http.sock')}`];
  const child = spawn(BIN, ['serve', '--archive=off', ...flags]);
  const stopped = once(child, 'exit');
  const [out, err] = [text(child.stdout), text(child.stderr)];
  const address = ['--address', `unix:${socket}`];
  try {
    await expect.poll(async () => (await run(BIN, ['health', ...address])).code, { timeout: 20_000 }).toBe(0);
    const taken = await run(BIN, ['acquire', 'gpu/0', '--json', ...address]);
    expect(taken.code).toBe(0);
    const { lease } = JSON.parse(taken.out);
    expect(await run(BIN, ['acquire', 'gpu/0', ...address])).toMatchObject({ code: 75 });
    expect(await run(BIN, ['inspect', 'gpu/0', ...address])).toMatchObject({ code: 0 });
    expect(await run(BIN, ['release', lease.lease_id, ...address])).toMatchObject({
      code: 0,
      out: 'released\n',
    });
    expect(await run(BIN, ['heartbeat', lease.lease_id, ...address])).toMatchObject({ code: 76 });
    expect(await run(BIN, ['release', 'nonsense', ...address])).toMatchObject({ code: 64 });
    expect(await run(BIN, ['status', ...address])).toMatchObject({ code: 0 });
  } finally {
    child.kill('SIGTERM');
  }
  expect(await stopped).toEqual([0, null]);
  expect(await err).toContain('do not survive it');
  const lines = (await out)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.at(-1)).toMatchObject({ msg: 'stopped', service: 'holdfast' });
});

test('a second SIGTERM, as whoever runs it under npm sends one, does not cut the drain short', async () => {
  const socket = `unix:${join(folder, 'twice.sock')}`;
  const child = spawn(BIN, ['serve', '--archive=off', '--listen', socket, '--http-listen', '127.0.0.1:0']);
  const stopped = once(child, 'exit');
  const out = text(child.stdout);
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += String(chunk);
  });
  await expect.poll(() => said, { timeout: 20_000 }).toContain('"serving"');
  const hold = HoldStream.acquire(socket, 'twice');
  await hold.granted();
  child.kill('SIGTERM');
  await expect.poll(() => said, { timeout: 20_000 }).toContain('"draining"');
  child.kill('SIGTERM');
  await until('the stream is told', () => hold.of('draining').length === 1);
  expect(hold.ended).toBeUndefined();
  hold.cancel();
  expect(await stopped).toEqual([0, null]);
  expect(await out).toContain('"msg":"stopped"');
});

test('works through symbolic links and from any folder', async () => {
  await symlink(BIN, join(folder, 'first'));
  await symlink('first', join(folder, 'second'));
  const { code, out } = await run(join(folder, 'second'), ['--version']);
  expect(code).toBe(0);
  expect(out).toMatch(/^holdfast \d/);
});

test('hands the exit code on', async () => {
  expect((await run(BIN, ['nonsense'])).code).toBe(64);
  expect((await run(BIN, ['serve', '--workers=none'])).code).toBe(2);
});

test('a checkout without its dependencies says how to install them', async () => {
  const root = join(folder, 'a checkout');
  await mkdir(join(root, 'bin'), { recursive: true });
  await cp(BIN, join(root, 'bin/holdfast'));
  const { code, err } = await run(join(root, 'bin/holdfast'), ['--version']);
  expect(code).toBe(69);
  expect(err).toContain('npm ci');
});

test('without the pinned Node takes one from PATH that is new enough, and no other', async () => {
  const root = join(folder, 'unpinned');
  await mkdir(join(root, 'bin'), { recursive: true });
  await mkdir(join(root, 'src/cli'), { recursive: true });
  await mkdir(join(root, 'node_modules'));
  await mkdir(join(root, 'tools'));
  await cp(BIN, join(root, 'bin/holdfast'));
  await writeFile(join(root, 'src/cli/main.ts'), 'process.exitCode = 75 as number;\n');
  const tools = join(root, 'tools');
  await symlink(process.execPath, join(tools, 'node'));
  expect((await run(join(root, 'bin/holdfast'), [], `${tools}:/usr/bin:/bin`)).code).toBe(75);
  await rm(join(tools, 'node'));
  await writeFile(join(tools, 'node'), '#!/bin/sh\necho 20\n', { mode: 0o755 });
  expect((await run(join(root, 'bin/holdfast'), [], `${tools}:/usr/bin:/bin`)).code).toBe(69);
});
