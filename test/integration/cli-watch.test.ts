/** `holdfast watch` as a process over real lock nodes: a line for each thing that happens, until it is told to end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Nodes } from '../harness/nodes.ts';
import { bootstrapped, span, TestReplica } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const BIN = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));

let nodes: Nodes;
let here: TestReplica;
let there: TestReplica;
const running: ChildProcess[] = [];

beforeAll(async () => {
  nodes = await Nodes.start(3);
  await bootstrapped(nodes.list);
  [here, there] = await Promise.all([TestReplica.start(nodes.list), TestReplica.start(nodes.list)]);
});
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});
afterAll(async () => {
  await Promise.all([here?.stop(), there?.stop()]);
  await nodes?.close();
});

class Watching {
  readonly #child: ChildProcess;
  readonly ended: Promise<unknown[]>;
  out = '';
  err = '';

  private constructor(args: readonly string[], address: string) {
    this.#child = spawn(BIN, ['watch', ...args, '--address', address]);
    running.push(this.#child);
    this.ended = once(this.#child, 'exit');
    this.#child.stdout!.on('data', (chunk) => {
      this.out += chunk;
    });
    this.#child.stderr!.on('data', (chunk) => {
      this.err += chunk;
    });
  }

  /** Standing: it has told of a lock that was taken for nothing else. */
  static async standing(args: readonly string[], { replica }: TestReplica): Promise<Watching> {
    const watching = new Watching(args, replica.addresses[0]!);
    await until('it tells what happens', async () => {
      const lease = await there.client.lock('job/first', { owner: 'first' });
      await there.client.release(lease.lease_id);
      return watching.out.includes('first');
    });
    return watching;
  }

  lines(resource: string): string[] {
    return this.out.split('\n').filter((line) => line.includes(resource));
  }

  interrupt(): void {
    this.#child.kill('SIGINT');
  }
}

async function story(): Promise<string[]> {
  const lease = await there.client.lock(['job/7', 'other/7'], { owner: 'w1' });
  const waiting = there.client.lock('job/7', { owner: 'w2', wait: span(5000) });
  await until('w2 waits', async () => (await there.client.inspect('job/7')).waiters.length === 1);
  await there.client.release(lease.lease_id, 'done');
  const next = await waiting;
  await there.client.force({ resource: 'job/7', reason: 'hangs' });
  return [lease.fencing_token, next.fencing_token];
}

test('prints a line for each step of the locks that begin with its prefix, and ends well on SIGINT', async () => {
  const watching = await Watching.standing(['--prefix', 'job/'], here);
  const [first, second] = await story();
  await until('the end is told', () => watching.lines('job/7').length >= 5);
  watching.interrupt();
  expect(await watching.ended).toEqual([0, null]);
  const cells = watching.lines('job/7').map((line) => line.split(/ {2,}/));
  for (const [time] of cells) expect(time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  expect(cells.map((parts) => parts.slice(1))).toEqual([
    ['granted', 'job/7', 'w1', first],
    ['queued', 'job/7', 'w2', '-'],
    ['released', 'job/7', 'w1', first, 'done'],
    ['granted', 'job/7', 'w2', second],
    ['forced', 'job/7', 'w2', second, 'hangs'],
  ]);
  expect(watching.out).not.toContain('other/7');
});

test('--json prints an object a line, of the names that were given', async () => {
  const watching = await Watching.standing(['--json', 'job/7', 'job/first'], here);
  const [first] = await story();
  await until('the end is told', () => watching.lines('job/7').length >= 5);
  watching.interrupt();
  expect(await watching.ended).toEqual([0, null]);
  const [granted] = watching.lines('job/7').map((line) => JSON.parse(line));
  expect(granted).toMatchObject({ type: 'EVENT_TYPE_GRANTED', resource: 'job/7', fencing_token: first });
  expect(watching.out).not.toContain('other/7');
});

test('ends with exit code 69 when its replica shuts down', async () => {
  const leaving = await TestReplica.start(nodes.list);
  const watching = await Watching.standing(['--prefix', 'job/'], leaving);
  await leaving.stop();
  expect(await watching.ended).toEqual([69, null]);
  expect(watching.err).toContain('DRAINING: ');
});
