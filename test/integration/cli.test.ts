/** The holdfast command as a process: exit codes and output against a service that answers by script. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LEASE, last, startService } from './cli-service.ts';

const BIN = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));

let service: Awaited<ReturnType<typeof startService>>;

beforeAll(async () => {
  service = await startService();
});

afterAll(() => service.stop());

async function run(argv: readonly string[], { input = '', env = {} } = {}) {
  const child = spawn(BIN, argv, { env: { ...process.env, HOLDFAST_ADDRESS: service.address, ...env } });
  child.stdin.on('error', () => {}).end(input);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number, out, err };
}

describe('exit codes', () => {
  test.each([
    [['acquire', 'free'], 0, ''],
    [['acquire', 'taken'], 75, 'BUSY: taken is held by other (ref), expires in '],
    [['acquire', 'no-quorum'], 69, 'NO_QUORUM: 1 of 3 lock nodes answered\n'],
    [['acquire', 'bad'], 64, 'INVALID_FIELD: ttl is too long\n  ttl: breaks its rule\n'],
    [['acquire', 'deadlock'], 75, 'DEADLOCK: a waits for b\n'],
    [['acquire', 'denied'], 64, 'DENIED: you may not\n'],
    [['acquire', 'slow', '--timeout', '200ms'], 69, 'DEADLINE_EXCEEDED: '],
    [['heartbeat', LEASE.lease_id], 0, ''],
    [['heartbeat', 'hf1.gone'], 76, 'LEASE_LOST: the lease is gone\n  why: expired\n'],
    [['release', LEASE.lease_id], 0, ''],
    [['release', 'hf1.gone'], 0, ''],
    [['inspect', 'held'], 0, ''],
    [['inspect', 'unknown'], 64, 'UNKNOWN_RESOURCE: '],
    [['list'], 0, ''],
    [['force-release', 'taken', '--reason', 'hangs'], 0, ''],
    [['status'], 0, ''],
    [['health'], 0, ''],
    [['health', '--service', 'down'], 69, ''],
    [['health', '--service', 'down', '--live'], 0, ''],
    [['acquire'], 64, 'holdfast acquire: RESOURCE is missing\n'],
    [['serve', '--workers', 'many'], 2, '--workers "many" (flag): must be a whole number from 1 to 64\n'],
    [['acquire', 'x', '--address', 'nowhere'], 2, '--address "nowhere": must be HOST:PORT'],
    [['acquire', 'full'], 75, 'TOO_MANY_WAITERS: the line is full\n'],
    [['watch', 'bad'], 64, 'INVALID_FIELD: is no name\n  resources[0]: breaks its rule\n'],
    [['watch', 'away'], 69, 'DRAINING: this replica is shutting down\n'],
  ])('%j exits %i', async (argv, code, err) => {
    const ended = await run(argv);
    expect(ended.err.startsWith(err)).toBe(true);
    expect({ code: ended.code, quiet: ended.err === '' }).toEqual({ code, quiet: err === '' });
  });

  test('a service that is not there exits 69', async () => {
    const away = { env: { HOLDFAST_ADDRESS: `unix:${join(tmpdir(), 'holdfast-nobody.sock')}` } };
    expect((await run(['acquire', 'x'], away)).code).toBe(69);
    expect((await run(['health', '--live'], away)).code).toBe(69);
    expect((await run(['watch'], away)).code).toBe(69);
  });
});

describe('acquire', () => {
  test('asks for what its flags say, to the letter', async () => {
    const flags = [
      '--ttl',
      '1.5s',
      '--wait=2s',
      '--owner',
      'o',
      '--label',
      'a=1',
      '--label',
      'b=x=y  "z" $HOME *',
    ];
    await run([
      'acquire',
      'r1',
      'r2',
      ...flags,
      '--request-id',
      'id',
      '--priority',
      '3',
      '--any',
      '1',
      '--mode',
      'shared',
    ]);
    expect(last.asked).toMatchObject({
      resources: ['r1', 'r2'],
      ttl: { seconds: '1', nanos: 500_000_000 },
      wait: { seconds: '2', nanos: 0 },
      owner: 'o',
      labels: { a: '1', b: 'x=y  "z" $HOME *' },
      request_id: 'id',
      priority: 3,
      any: 1,
      mode: 'MODE_SHARED',
    });
  });

  test('leaves out what was not said, and names host, process and thread as the owner', async () => {
    await run(['acquire', 'free']);
    expect(last.asked).toMatchObject({
      ttl: null,
      wait: null,
      mode: 'MODE_UNSPECIFIED',
      any: 0,
      request_id: '',
      owner: expect.stringMatching(/^.+\/\d+\/1$/),
    });
  });

  test('prints id, ref, token and expiry', async () => {
    const { out } = await run(['acquire', 'free']);
    expect(out).toMatch(/^lease_id +hf1\.AbCd/m);
    expect(out).toMatch(/^lease_ref +AbCdEfGhIjKlMnOp$/m);
    expect(out).toMatch(/^token +1800000000000007$/m);
    expect(out).toMatch(/^expires +in \d+\w+ \(2027-01-15T08:00:30\.000Z\)$/m);
  });

  test('prints which names were chosen, and that the lease is shared', async () => {
    const { out } = await run(['acquire', 'any', 'gpu/1', 'gpu/2', '--any', '2', '--mode', 'shared']);
    expect(out).toMatch(/^resources +gpu\/1 gpu\/2$/m);
    expect(out).toMatch(/^mode +shared$/m);
  });

  test('that waited in vain says so, with its place and the length of the line', async () => {
    const { code, err } = await run(['acquire', 'waited', '--wait', '1s']);
    expect(code).toBe(75);
    expect(err).toMatch(/^BUSY: taken is held by other/);
    expect(err).toContain('\n  the wait is over, at place 2 in line\n  4 waiting\n');
  });

  test('--json prints one object with the names of the contract, whatever the answer', async () => {
    const granted = JSON.parse((await run(['acquire', 'free', '--json'])).out);
    expect(granted.lease).toMatchObject({
      fencing_token: '1800000000000007',
      ttl: '30s',
      resources: ['free'],
      replayed: false,
    });
    const busy = await run(['acquire', 'taken', '--json']);
    expect(JSON.parse(busy.out).busy).toMatchObject({ wait_elapsed: false, retry_after: '2s' });
    expect(busy.code).toBe(75);
    const failed = await run(['acquire', 'bad', '--json']);
    expect(JSON.parse(failed.out).error).toMatchObject({ code: 3, reason: 'INVALID_FIELD' });
    expect(failed.err).toContain('INVALID_FIELD: ');
  });
});

test.each(['heartbeat', 'release'])('%s takes the lease id from standard input', async (command) => {
  expect((await run([command, '-'], { input: `${LEASE.lease_id}\n` })).code).toBe(0);
  expect(last.asked.lease_id).toBe(LEASE.lease_id);
});

test('release says whether it was this call that ended the lease', async () => {
  expect((await run(['release', LEASE.lease_id, '--reason', 'done'])).out).toBe('released\n');
  expect(last.asked.reason).toBe('done');
  expect((await run(['release', 'hf1.gone'])).out).toMatch(/^not released/);
});

test('inspect shows state, holders, the line, nodes and history', async () => {
  const { out } = await run(['inspect', 'held', '--history', '7']);
  expect(last.asked.history_limit).toBe(7);
  for (const line of [
    /^state +held$/m,
    /^ {2}taken +other +ref +5 +shared /m,
    /^ {2}1 +me +3 +shared +\S+/m,
    /^ {2}2 +you +0 +exclusive +\S+/m,
    /^ {2}a:1 +held +ref +5 /m,
    / granted +other/,
  ]) {
    expect(out).toMatch(line);
  }
});

test('list walks through all pages', async () => {
  const { out } = await run(['list', '--prefix', 'p']);
  expect(last.asked).toMatchObject({ prefix: 'p', page_token: 'more' });
  expect(out).toMatch(/^RESOURCE .*\na +held +other +5 +in \d+d +0\nb +unknown +- +- +- +2\n$/);
  expect(JSON.parse((await run(['list', '--json'])).out).locks).toHaveLength(2);
});

describe('watch', () => {
  /** Runs until two events were printed, then is told to end. */
  async function watched(signal: NodeJS.Signals, ...flags: string[]) {
    const child = spawn(BIN, ['watch', ...flags], {
      env: { ...process.env, HOLDFAST_ADDRESS: service.address },
    });
    const ended = once(child, 'exit');
    const err = text(child.stderr);
    let out = '';
    for await (const part of child.stdout.setEncoding('utf8')) {
      out += part;
      if (/"?released/i.test(out)) child.kill(signal);
    }
    const [code] = await ended;
    return { code: code as number, out, err: await err };
  }

  test('prints a line an event and ends well when it is interrupted', async () => {
    const { code, out, err } = await watched('SIGINT', 'gpu/0', 'gpu/1', '--prefix', 'job/');
    expect(last.asked).toMatchObject({ resources: ['gpu/0', 'gpu/1'], prefix: 'job/' });
    expect(out).toBe(
      '2027-01-15T08:00:01.000Z  queued    taken  me  -\n2027-01-15T08:00:00.000Z  released  taken  other  5  done\n',
    );
    expect(err).toMatch(/^MISSED 3: /);
    expect(code).toBe(0);
  });

  test('--json prints an object an event, with the names of the contract', async () => {
    const { code, out, err } = await watched('SIGTERM', '--json');
    expect(last.asked).toMatchObject({ resources: [], prefix: '' });
    const lines = out.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { type: 'EVENT_TYPE_QUEUED', resource: 'taken', owner: 'me' },
      { missed: 3 },
      { type: 'EVENT_TYPE_RELEASED', fencing_token: '5', time: '2027-01-15T08:00:00.000Z' },
    ]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  test('ends when nobody reads what it prints', async () => {
    const child = spawn(BIN, ['watch'], { env: { ...process.env, HOLDFAST_ADDRESS: service.address } });
    child.stdout.destroy();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

test('status says what an operator should mend', async () => {
  const { out } = await run(['status']);
  expect(out).toMatch(/NO MAJORITY, 1 more ready node needed/);
  expect(out).toContain('WARNING: HOLDFAST_BOOTSTRAP was left set');
});
