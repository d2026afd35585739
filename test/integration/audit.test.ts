/** The audit log: one whole line for each act, in a file that may be moved, full or shared, and never at the path's expense. */
import { createReadStream, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AuditFile } from '../../src/control/audit-file.ts';
import type { Act } from '../../src/domain/probe.ts';
import { awake, systemClock } from '../../src/std/clock.ts';
import { linesOf, OpenedLog, ownersIn, SmallDisk } from '../harness/audit-log.ts';
import { act } from '../harness/audit-writer.ts';
import { run } from '../harness/grpcurl.ts';
import { here } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-audit-'));
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function logAt(path: string, capacity?: number): Promise<OpenedLog> {
  const opened = await OpenedLog.at(path, capacity);
  closing.push(() => opened.log.close(1000));
  return opened;
}

const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `o${at}`);

describe('a line', () => {
  test('has everything about its act, and no secret', async () => {
    const audit = await logAt(join(folder, 'content'));
    const secret = 'hf1.AbCdEfGhIjKlMnOpQrStUv.7.30000.Z3B1LzA.abc';
    const more: Partial<Act> = { why: `gave ${secret} away`, detail: 'redis://u:pass@host', traceId: 't1' };
    audit.log.probe.acted(act('me\n"}', more));
    await audit.log.close(5000);
    expect(linesOf(audit.path)).toEqual([
      expect.objectContaining({ v: 1, action: 'audit_opened', version: '9.9.9', pid: process.pid }),
      {
        v: 1,
        time: '2027-01-15T08:00:00.000Z',
        action: 'acquire',
        outcome: 'granted',
        identity: 'trainer',
        tenant: 'vision',
        peer: '127.0.0.1:5000',
        resources: ['gpu/0'],
        owner: 'me\n"}',
        lease_ref: 'ref',
        why: 'gave hf1.*** away',
        detail: 'redis://***@host',
        trace_id: 't1',
      },
    ]);
    expect(statSync(audit.path).mode & 0o777).toBe(0o600);
  });

  test('is there soon, in order, and behind what the file had before', async () => {
    const path = join(folder, 'order');
    writeFileSync(path, '{"action":"acquire","owner":"before"}\n');
    const audit = await logAt(path);
    audit.act(...names(700));
    await audit.has('o699');
    expect(ownersIn(path)).toEqual(['before', ...names(700)]);
    expect([audit.failures, audit.notices]).toEqual([0, []]);
  });
});

test('a file that was moved away is followed until a reopen; one that cannot be opened leaves the old one', async () => {
  const path = join(folder, 'moved');
  const audit = await logAt(path);
  audit.act('a');
  await audit.has('a');
  renameSync(path, `${path}.1`);
  audit.act('b');
  await until('b is in the moved file', () => ownersIn(`${path}.1`).includes('b'));
  await mkdir(path);
  await expect(audit.log.reopened()).rejects.toThrow(/^HOLDFAST_AUDIT_LOG .*moved cannot be written: EISDIR/);
  audit.act('c');
  await until('c is in the moved file', () => ownersIn(`${path}.1`).includes('c'));
  await rm(path, { recursive: true });
  (await audit.log.reopened()).take();
  audit.act('d');
  await audit.has('d');
  expect(ownersIn(`${path}.1`)).toEqual(['a', 'b', 'c']);
  expect(ownersIn(path)).toEqual(['d']);
  expect(audit.failures).toBe(0);
});

describe('a disk that is full', () => {
  let disk: SmallDisk;

  beforeAll(async () => {
    disk = await SmallDisk.mount(join(folder, 'disk'));
  });

  afterAll(() => disk.unmount());

  test('costs nobody time: acts wait, the oldest give way, and the file says later how many are missing', async () => {
    const audit = await logAt(join(disk.path, 'audit'), 40);
    audit.act('first');
    await audit.has('first');
    await disk.fill();
    // Big enough for the page that is begun already.
    const big = { why: 'x'.repeat(900) };
    audit.log.probe.acted(act('cut', big));
    for (const owner of names(5)) audit.log.probe.acted(act(owner, big));
    await until('a write has failed', () => audit.failures > 0);
    for (let at = 5; at < 100; at += 1) audit.log.probe.acted(act(`o${at}`, { why: 'y'.repeat(30) }));
    expect(audit.notices).toEqual(['error the audit log cannot be written']);
    await disk.free();
    await until('it is written again', () => audit.notices.length > 1);
    const lines = linesOf(audit.path);
    const missing = lines.reduce((sum, line) => sum + (line.missing ?? 0), 0);
    // Each act that is missing, and each write that failed.
    expect(audit.failures).toBeGreaterThan(missing);
    expect(lines.filter(({ action }) => action === 'audit_gap').length).toBe(1);
    // What was being written, what is missing, and the last forty.
    const owners = ownersIn(audit.path);
    expect(owners.length + missing).toBe(102);
    expect(owners[0]).toBe('first');
    expect(owners.slice(-40)).toEqual(names(100).slice(60));
    expect(audit.notices).toEqual([
      'error the audit log cannot be written',
      'warn the audit log is written again',
    ]);
  });

  test('leaves no half line for another process to write into; an ordinary append does', async () => {
    for (const ours of [true, false]) {
      const path = join(disk.path, `torn-${ours}`);
      const file = await AuditFile.open(path, systemClock);
      const plain = await open(path, 'a');
      const other = await AuditFile.open(path, systemClock);
      await file.write([`{"before":1}\n`]);
      await disk.fill();
      const long = Array.from({ length: 9 }, (_, at) => `{"at":${at},"x":"${'x'.repeat(900)}"}\n`);
      let whole = 0;
      if (ours) whole = await file.write(long);
      else await plain.write(long.join(''));
      expect(whole).toBeLessThan(9);
      await disk.free();
      await other.write([`{"other":1}\n`]);
      if (ours) expect(linesOf(path).length).toBe(whole + 2);
      else expect(() => linesOf(path)).toThrow(SyntaxError);
      await Promise.all([file.close(), plain.close(), other.close()]);
      await rm(path);
    }
  });

  test('ends the log with what is missing told, and within the limit', async () => {
    const audit = await logAt(join(disk.path, 'ends'), 40);
    await disk.fill();
    for (const owner of names(6)) audit.log.probe.acted(act(owner, { why: 'x'.repeat(900) }));
    const written = await awake(audit.log.close(300).then(() => ownersIn(audit.path).length));
    expect(audit.notices).toEqual([
      'error the audit log cannot be written',
      'error the audit log ends without the last acts',
    ]);
    expect(written).toBeLessThan(6);
    await disk.free();
  });
});

test('a pipe whose reader is behind for a moment gets every line whole, between those of others', async () => {
  const path = join(folder, 'pipe');
  expect((await run('mkfifo', [path])).code).toBe(0);
  const [file, other] = [await AuditFile.open(path, systemClock), await AuditFile.open(path, systemClock)];
  // Together more than a pipe holds.
  const ours = Array.from({ length: 300 }, (_, at) => `{"ours":${at},"x":"${'x'.repeat((at % 7) * 300)}"}\n`);
  const theirs = Array.from({ length: 300 }, (_, at) => `{"theirs":${at}}\n`);
  const written = Promise.all([file.write(ours), other.write(theirs)]);
  const reader = createReadStream(path, { encoding: 'utf8' });
  let text = '';
  reader.on('data', (chunk) => {
    text += String(chunk);
  });
  expect(await written).toEqual([300, 300]);
  await until('all of it is read', () => text.split('\n').length === 601);
  const lines = text.split('\n').slice(0, -1);
  expect(lines.filter((line) => line.startsWith('{"ours"'))).toEqual(ours.map((line) => line.trimEnd()));
  expect(lines.filter((line) => line.startsWith('{"theirs"'))).toEqual(theirs.map((line) => line.trimEnd()));
  await Promise.all([file.close(), other.close()]);
  reader.destroy();
});

describe('several processes', () => {
  const WHO = ['a', 'b', 'c'];
  const COUNT = 1500;

  async function write(path: string, ...more: readonly string[]): Promise<void> {
    const ended = await Promise.all(
      WHO.map((who) =>
        run(process.execPath, [here('audit-writer.ts'), path, who, WHO.join(), String(COUNT), ...more]),
      ),
    );
    expect(ended.map(({ code, err }) => [code, err])).toEqual([
      [0, ''],
      [0, ''],
      [0, ''],
    ]);
  }

  test('append to one file without writing into each other lines; in two writes a line they do', async () => {
    const path = join(folder, 'shared');
    await write(path);
    const owners = ownersIn(path);
    for (const who of WHO) {
      const its = owners.filter((owner) => owner?.startsWith(`${who}/`));
      expect(its).toEqual(Array.from({ length: COUNT }, (_, at) => `${who}/${at}`));
    }
    const pieces = join(folder, 'pieces');
    await write(pieces, 'pieces');
    expect(() => linesOf(pieces)).toThrow(SyntaxError);
  });
});
