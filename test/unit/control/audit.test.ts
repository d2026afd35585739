/** The audit log beside a disk that hangs or fails: acts never wait, what is lost is said, and syncs keep their rhythm. */
import { expect, test } from 'vitest';
import { AuditLog, auditFailures, type Destination } from '../../../src/control/audit.ts';
import type { Act } from '../../../src/domain/probe.ts';
import { ManualClock } from '../../../src/std/clock.ts';

function act(owner: string): Act {
  const texts = { identity: '', tenant: '', peer: '', leaseRef: '', why: '', detail: '', traceId: '' };
  return { timeMs: 1000, action: 'acquire', outcome: 'granted', resources: ['r'], owner, ...texts };
}

/** A file whose disk does what a test says. */
class Disk implements Destination {
  readonly lines: { owner?: string; missing?: number }[] = [];
  state: 'well' | 'hangs' | 'syncs badly' | 'is full' = 'well';
  syncs = 0;
  closed = false;
  #goOn: (() => void) | undefined;

  async write(lines: readonly string[]): Promise<number> {
    if (this.state === 'is full') throw new Error('ENOSPC');
    if (this.state === 'hangs') {
      await new Promise<void>((resolve) => {
        this.#goOn = resolve;
      });
    }
    this.lines.push(...lines.map((line) => JSON.parse(line)));
    return lines.length;
  }

  async sync(): Promise<void> {
    this.syncs += 1;
    if (this.state === 'syncs badly') throw new Error('EIO');
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  recover(): void {
    this.state = 'well';
    this.#goOn?.();
  }
}

class Stage {
  readonly clock = new ManualClock();
  readonly disk = new Disk();
  readonly notices: string[] = [];
  readonly failures = auditFailures();
  readonly log: AuditLog;

  constructor(capacity = 100) {
    const notice = (_level: string, message: string, facts?: Record<string, unknown>): void => {
      this.notices.push(`${message}${facts?.why === undefined ? '' : `: ${facts.why}`}`);
    };
    const { clock, failures } = this;
    this.log = new AuditLog({ path: 'p', version: '0', clock, capacity, notice, failures }, this.disk);
  }

  acts(...owners: readonly string[]): void {
    for (const owner of owners) this.log.probe.acted(act(owner));
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; ; left -= 50) {
      for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
      if (left <= 0) return;
      this.clock.advance(Math.min(left, 50));
    }
  }

  get owners(): (string | undefined)[] {
    return this.disk.lines.map(({ owner, missing }) => owner ?? `missing ${missing}`);
  }
}

test('nothing is formatted or written inside the call', async () => {
  const stage = new Stage();
  stage.acts('a', 'b');
  for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
  expect(stage.owners).toEqual([]);
  await stage.pass(1);
  expect(stage.owners).toEqual(['a', 'b']);
});

test('acts reach the file at once, and the disk once a second however many there are', async () => {
  const stage = new Stage();
  await stage.pass(5000);
  for (let at = 0; at < 40; at += 1) {
    stage.acts(`o${at}`);
    await stage.pass(50);
    expect(stage.disk.lines.length).toBe(at + 1);
  }
  expect(stage.disk.syncs).toBe(2);
  await stage.pass(5000);
  // One more for the last acts, and none for nothing.
  expect(stage.disk.syncs).toBe(3);
});

test('a disk that hangs is told of once; acts beyond the bound are missing, and the file says so afterwards', async () => {
  const stage = new Stage(3);
  stage.disk.state = 'hangs';
  stage.acts('a');
  await stage.pass(4900);
  expect(stage.notices).toEqual([]);
  await stage.pass(200);
  expect(stage.notices).toEqual(['the audit log cannot be written: no answer from the disk in 5000 ms']);
  stage.acts('b', 'c', 'd', 'e', 'f');
  expect(stage.failures.of().value).toBe(3);
  stage.disk.recover();
  await stage.pass(100);
  expect(stage.owners).toEqual(['a', 'missing 2', 'd', 'e', 'f']);
  expect(stage.notices.slice(1)).toEqual(['the audit log is written again']);
});

test('a full disk is asked again each second, not for each act', async () => {
  const stage = new Stage();
  stage.disk.state = 'is full';
  for (let at = 0; at < 60; at += 1) {
    stage.acts(`o${at}`);
    await stage.pass(50);
  }
  expect(stage.failures.of().value).toBe(3);
  expect(stage.notices).toEqual(['the audit log cannot be written: ENOSPC']);
  stage.disk.recover();
  await stage.pass(1000);
  expect(stage.owners.length).toBe(60);
});

test('a disk that takes lines and does not keep them is told of until it does', async () => {
  const stage = new Stage();
  stage.disk.state = 'syncs badly';
  await stage.pass(2000);
  stage.acts('a');
  await stage.pass(2500);
  expect(stage.notices).toEqual(['the audit log cannot be written: EIO']);
  expect(stage.failures.of().value).toBe(3);
  stage.disk.recover();
  await stage.pass(1000);
  expect(stage.notices.slice(1)).toEqual(['the audit log is written again']);
  expect(stage.owners).toEqual(['a']);
});

test('the end waits for the disk, no longer than its limit, and tells what is left', async () => {
  const well = new Stage();
  well.acts('a');
  const closed = well.log.close(1000);
  await well.pass(50);
  await closed;
  expect([well.owners, well.disk.syncs, well.disk.closed]).toEqual([['a'], 1, true]);
  const hanging = new Stage();
  hanging.disk.state = 'hangs';
  hanging.acts('a', 'b');
  await hanging.pass(50);
  hanging.acts('c');
  let over = false;
  void hanging.log.close(1000).then(() => {
    over = true;
  });
  await hanging.pass(900);
  expect(over).toBe(false);
  await hanging.pass(200);
  expect([over, hanging.notices]).toEqual([true, ['the audit log ends without the last acts']]);
  expect(hanging.failures.of().value).toBe(3);
});
