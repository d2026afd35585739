/** Appends acts to an audit log beside others: `audit-writer.ts PATH WHO ALL COUNT [pieces]`; `pieces`: each line in two writes. */
import { existsSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { AuditLog, auditFailures, openAuditFile } from '../../src/control/audit.ts';
import { AuditLines } from '../../src/control/audit-lines.ts';
import type { Act } from '../../src/domain/probe.ts';
import { systemClock } from '../../src/std/clock.ts';
import { until } from './until.ts';

export function act(owner: string, more: Partial<Act> = {}): Act {
  return {
    timeMs: 1_800_000_000_000,
    action: 'acquire',
    identity: 'trainer',
    tenant: 'vision',
    peer: '127.0.0.1:5000',
    resources: ['gpu/0'],
    owner,
    leaseRef: 'ref',
    why: '',
    outcome: 'granted',
    detail: '',
    traceId: '',
    ...more,
  };
}

/** From a hundred bytes to what fills a page. */
const ofSomeSize = (who: string, at: number): Act =>
  act(`${who}/${at}`, { why: 'x'.repeat((at * 37) % 5000) });

async function main([path = '', who = '', all = '', count = '0', pieces]: readonly string[]): Promise<void> {
  // One that starts late would have the file to itself.
  writeFileSync(`${path}.${who}`, '');
  await until('all are here', () => all.split(',').every((one) => existsSync(`${path}.${one}`)));
  if (pieces !== undefined) {
    const file = openSync(path, 'a');
    const lines = new AuditLines();
    for (let at = 0; at < Number(count); at += 1) {
      const line = lines.act(ofSomeSize(who, at));
      writeSync(file, line.slice(0, 50));
      writeSync(file, line.slice(50));
    }
    return;
  }
  const asked = { path, version: '0', clock: systemClock };
  const log = new AuditLog(
    { ...asked, capacity: Number(count), notice: () => {}, failures: auditFailures() },
    await openAuditFile(asked),
  );
  for (let at = 0; at < Number(count); at += 1) {
    log.probe.acted(ofSomeSize(who, at));
    // So that there are many writes, not one.
    if (at % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await log.close(10_000);
}

if (import.meta.main) await main(process.argv.slice(2));
