/** The audit log of a real service: what callers did, its file moved or full, and the start that it forbids. */
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { linesOf, ownersIn, SmallDisk } from '../harness/audit-log.ts';
import { Program } from '../harness/program.ts';
import { type Environment, ReplicaProcess } from '../harness/replica.ts';
import { until } from '../harness/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-audit-service-'));
const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** No locks are shared here: the embedded store does. */
const serve = (path: string, more: Environment = {}): Promise<ReplicaProcess> =>
  ReplicaProcess.start('', { HOLDFAST_AUDIT_LOG: path, ...more });

describe('a service', () => {
  test.each([
    [join(folder, 'nowhere', 'audit'), 'ENOENT: no such file or directory'],
    ['/dev/full', 'ENOSPC: no space left on device'],
    [folder, 'EISDIR: illegal operation on a directory'],
  ])('does not start when %s is its audit log, and says why', async (path, why) => {
    const listen = { HOLDFAST_LISTEN: '127.0.0.1:0', HOLDFAST_HTTP_LISTEN: '127.0.0.1:0' };
    const env = { ...listen, HOLDFAST_ARCHIVE: 'off', HOLDFAST_AUDIT_LOG: path };
    const service = new Program(['bin/holdfast', 'serve'], env);
    expect(await service.ended()).toBe(2);
    expect(service.err).toContain(`cannot start: HOLDFAST_AUDIT_LOG ${path} cannot be written: ${why}`);
  });

  test('writes what callers did, and goes on in a new file when it is told to reload', async () => {
    const path = join(folder, 'served');
    const service = await serve(path);
    closing.push(() => service.stop());
    await service.client.lock('a/1', { owner: 'before' });
    await until('the first act', () => ownersIn(path).includes('before'));
    renameSync(path, `${path}.1`);
    service.signal('SIGHUP');
    await until('the reload', () => service.output.includes('settings were read again'));
    await service.client.lock('a/2', { owner: 'after' });
    await until('the second act', () => ownersIn(path).includes('after'));
    await service.client.force({ resource: 'a/2', reason: 'it hangs' });
    await until('the force-release', () => linesOf(path).length === 3);
    expect(linesOf(path)[2]).toMatchObject({ action: 'force_release', why: 'it hangs', outcome: 'forced' });
    expect(ownersIn(`${path}.1`)).toEqual(['before']);
  });

  test('costs callers of the service nothing, and shows in /metrics', async () => {
    const disk = await SmallDisk.mount(join(folder, 'disk'));
    closing.push(() => disk.unmount());
    const path = join(disk.path, 'served');
    const service = await serve(path, { HOLDFAST_EVENT_BUFFER: '16' });
    closing.push(() => service.stop());
    const metric = async (): Promise<number> => {
      const text = await (await fetch(`http://${service.http}/metrics`)).text();
      return Number(/^holdfast_audit_failures_total (\d+)$/m.exec(text)?.[1]);
    };
    expect(await metric()).toBe(0);
    await disk.fill();
    for (let at = 0; at < 40; at += 1) {
      const lease = await service.client.lock('a/full', { owner: `o${at}` });
      expect(await service.client.release(lease.lease_id)).toBe(true);
    }
    await until('it is counted', async () => (await metric()) > 0);
    await disk.free();
    await until('the gap is in the file', () => linesOf(path).some(({ missing }) => (missing ?? 0) > 0));
    expect(service.output).toContain('the audit log cannot be written');
  });
});
