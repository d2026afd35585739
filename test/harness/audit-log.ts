/** Audit logs as tests see them: their lines, a log over a real file, and a disk of 64 KiB that can be filled. */
import { readFileSync } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AuditLog, auditFailures, openAuditFile } from '../../src/control/audit.ts';
import type { Numbers } from '../../src/control/families.ts';
import { systemClock } from '../../src/std/clock.ts';
import { act } from './audit-writer.ts';
import { run } from './grpcurl.ts';
import { until } from './until.ts';

export interface Line {
  readonly action: string;
  readonly time: string;
  readonly owner?: string;
  readonly missing?: number;
  readonly [field: string]: unknown;
}

/** What a line must say; a pattern for what is not said alike by each run. */
export type AuditWish = Readonly<Record<string, string | RegExp>>;

/** An act is written down by a clock that is read to the microsecond, and cut to the millisecond. */
const CLOCKS_MS = 5;

/** Every line of the file; throws for one that is no JSON. */
export const linesOf = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);

export const ownersIn = (path: string): (string | undefined)[] =>
  linesOf(path)
    .filter(({ action }) => action === 'acquire')
    .map(({ owner }) => owner);

/** Once what was done since `sinceMs` (Date.now) is in the file as expected; tries `again` until then. */
export async function written(
  path: string,
  sinceMs: number,
  expected: AuditWish,
  again: () => Promise<unknown> = () => Promise.resolve(),
): Promise<Line> {
  const said = (line: Line, [field, wish]: [string, string | RegExp]): boolean =>
    wish instanceof RegExp ? wish.test(String(line[field])) : line[field] === wish;
  const fits = (line: Line): boolean =>
    Date.parse(line.time) >= sinceMs - CLOCKS_MS && Object.entries(expected).every((one) => said(line, one));
  const wishes = Object.entries(expected).map(([field, wish]) => `${field} ${wish}`);
  return await until(`the audit log has ${wishes.join(', ')}`, async () => {
    const line = linesOf(path).find(fits);
    if (line === undefined) await again();
    return line;
  });
}

export class OpenedLog {
  readonly path: string;
  readonly log: AuditLog;
  readonly notices: string[];
  readonly #failures: Numbers;

  private constructor(path: string, log: AuditLog, notices: string[], failures: Numbers) {
    this.path = path;
    this.log = log;
    this.notices = notices;
    this.#failures = failures;
  }

  get failures(): number {
    return this.#failures.of().value;
  }

  static async at(path: string, capacity = 1000): Promise<OpenedLog> {
    const asked = { path, version: '9.9.9', clock: systemClock };
    const notices: string[] = [];
    const failures = auditFailures();
    const notice = (level: string, message: string): void => void notices.push(`${level} ${message}`);
    const log = new AuditLog({ ...asked, capacity, notice, failures }, await openAuditFile(asked));
    return new OpenedLog(path, log, notices, failures);
  }

  act(...owners: readonly string[]): void {
    for (const owner of owners) this.log.probe.acted(act(owner));
  }

  async has(...owners: readonly string[]): Promise<void> {
    await until(`${owners.join()} in ${this.path}`, () => {
      const seen = ownersIn(this.path);
      return owners.every((owner) => seen.includes(owner));
    });
  }
}

/** A tmpfs of its own: what happens on a full disk, no other one is. */
export class SmallDisk {
  readonly path: string;
  readonly #filler: string;

  private constructor(path: string) {
    this.path = path;
    this.#filler = join(path, 'filler');
  }

  static async mount(path: string): Promise<SmallDisk> {
    await mkdir(path);
    const { code, err } = await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', path]);
    if (code !== 0) throw new Error(`a small tmpfs must be mounted, which takes root: ${err}`);
    return new SmallDisk(path);
  }

  /** Leaves room for nothing but the pages that files have begun. */
  async fill(): Promise<void> {
    const file = await open(this.#filler, 'w');
    let size = 65_536;
    while (size > 0) {
      const wrote = await file.write(Buffer.alloc(size, 0x78)).catch(() => ({ bytesWritten: 0 }));
      if (wrote.bytesWritten === 0) size = Math.floor(size / 2);
    }
    await file.close();
  }

  async free(): Promise<void> {
    await rm(this.#filler);
  }

  async unmount(): Promise<void> {
    await run('umount', ['-l', this.path]);
  }
}
