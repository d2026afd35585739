/** An act as one line of JSON: formatted by pino, scrubbed as logs are, the same fields in the same order each time. */
import { type Logger, pino } from 'pino';
import type { Act } from '../domain/probe.ts';
import type { Stretch } from './events/stretch.ts';
import { scrub } from './logs.ts';

/** Of the line's fields; grows when one changes its meaning. */
const LINE_VERSION = 1;

const iso = (ms: number): string => new Date(ms).toISOString();

export class AuditLines {
  #line = '';
  readonly #logger: Logger;

  constructor() {
    const stream = {
      write: (line: string) => {
        this.#line = line;
      },
    };
    this.#logger = pino(
      {
        base: null,
        timestamp: false,
        // Of a level there is no question: every act is written.
        formatters: { level: () => ({ v: LINE_VERSION }) },
        hooks: { streamWrite: scrub },
      },
      stream,
    );
  }

  act(act: Act): string {
    return this.#format({
      time: iso(act.timeMs),
      action: act.action,
      outcome: act.outcome,
      identity: act.identity,
      tenant: act.tenant,
      peer: act.peer,
      resources: act.resources,
      owner: act.owner,
      lease_ref: act.leaseRef,
      why: act.why,
      detail: act.detail,
      trace_id: act.traceId,
    });
  }

  /** The file is in use from here on. */
  opened(timeMs: number, version: string): string {
    const { pid } = process;
    return this.#format({ time: iso(timeMs), action: 'audit_opened', outcome: 'opened', version, pid });
  }

  /** Acts of this process that are not in the file and never will be. */
  gap(timeMs: number, { count, fromMs, untilMs }: Stretch): string {
    const { pid } = process;
    return this.#format({
      time: iso(timeMs),
      action: 'audit_gap',
      outcome: 'missing',
      missing: count,
      from: iso(fromMs),
      until: iso(untilMs),
      pid,
    });
  }

  #format(fields: Readonly<Record<string, unknown>>): string {
    this.#logger.info(fields);
    return this.#line;
  }
}
