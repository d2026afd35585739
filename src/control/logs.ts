/** One JSON line an event, with the span it belongs to, without secrets, and never at the path's expense. */
import type { Writable } from 'node:stream';
import { trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Probe } from '../domain/probe.ts';

export interface LogsOptions {
  readonly level: string;
  readonly version: string;
  /** Of a service of several processes, which one this is. */
  readonly worker?: number | undefined;
  /** Told for each line that was dropped because nobody reads fast enough. */
  readonly onDrop?: () => void;
  /** Where lines go; standard output unless a test says otherwise. */
  readonly stream?: DestinationStream;
}

export interface Logs {
  readonly logger: Logger;
  readonly probe: Partial<Probe>;
  /** Resolves when all lines are written; gives up on a reader that does not read. */
  close(): Promise<void>;
}

/** A reader that hangs (a full pipe) may cost lines, not memory. */
const PENDING_BYTES_MAX = 1 << 20;
const CLOSE_MS = 1000;
const SECRET_KEYS = [
  'lease_id',
  'leaseId',
  'resume_lease_id',
  'request_id',
  'requestId',
  'password',
  'secret',
  'authorization',
];
/** The last net, over the finished line: a lease id, the value that nodes store, credentials of a URL and of callers. */
const LEASE_ID = /\bhf1\.[A-Za-z0-9_-]{22}[A-Za-z0-9._-]*/g;
// Behind the 22 characters of the id comes the seal of its identity, where callers are authenticated.
const LEASE_VALUE = /(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{22}(?:[A-Za-z0-9_-]{16})?\|\d{1,20}/g;
const CREDENTIALS = /(:\/\/)[^\s"\\/@]*@/g;
/** What callers show: a token of ours, a JWT, and whatever stands in such a header; gRPC's own debug output has headers. */
const ACCESS_TOKEN = /\bhft_[A-Za-z0-9_-]{16,}/g;
const JWT = /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g;
const AUTHORIZATION = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}/gi;

export function scrub(line: string): string {
  return line
    .replace(LEASE_ID, 'hf1.***')
    .replace(LEASE_VALUE, '***')
    .replace(CREDENTIALS, '$1***@')
    .replace(ACCESS_TOKEN, 'hft_***')
    .replace(JWT, 'eyJ***')
    .replace(AUTHORIZATION, '$1 ***');
}

export function createLogs({ level, version, worker, onDrop = () => {}, stream }: LogsOptions): Logs {
  const { sink, close } =
    stream === undefined ? boundedSink(process.stdout, onDrop) : { sink: stream, close: async () => {} };
  const logger = pino(
    {
      level,
      base: { service: 'holdfast', version, pid: process.pid, ...(worker === undefined ? {} : { worker }) },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: spanIds,
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '***' },
      hooks: { streamWrite: scrub },
    },
    sink,
  );
  return { logger, probe: narrator(logger), close };
}

const guarded = new WeakSet<Writable>();

/**
 * Hands lines to `out` without ever waiting for it: beyond a bound they are dropped. Not pino's own destination: its
 * last flush spins for ever on a pipe whose reader has gone.
 */
export function boundedSink(
  out: Writable,
  onDrop: () => void,
): { sink: DestinationStream; close: () => Promise<void> } {
  // A closed pipe must not end the service; one listener is enough for all replicas of a process.
  if (!guarded.has(out)) out.on('error', () => {});
  guarded.add(out);
  const write = (line: string): void => {
    if (!out.writable || out.writableLength > PENDING_BYTES_MAX) onDrop();
    else out.write(line);
  };
  const close = async (): Promise<void> => {
    if (!out.writable || out.writableLength === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
      // Called when all before it is written, or when it never can be.
      out.write('', () => resolve());
    });
    clearTimeout(timer);
  };
  return { sink: { write }, close };
}

function spanIds(): Record<string, string> {
  const context = trace.getActiveSpan()?.spanContext();
  return context === undefined ? {} : { trace_id: context.traceId, span_id: context.spanId };
}

/** Operations and votes are counted, not told: a line for each would cost more than the lock. */
function narrator(logger: Logger): Partial<Probe> {
  return {
    operation(name, outcome, tookMs, reason) {
      // Ending somebody else's lease is the one routine operation an operator wants to find in the log.
      if (outcome === 'forced') logger.warn({ op: name, took_ms: tookMs }, 'a lease was ended by force');
      else if (reason === 'INTERNAL')
        logger.error({ op: name, took_ms: tookMs }, 'an operation met a defect');
    },
    nodeState(node, state, detail) {
      logger[state === 'ready' ? 'info' : 'warn']({ node, state, detail }, `node ${node} is ${state}`);
    },
    ownershipViolation(op) {
      logger.debug({ op }, 'a caller named a lease that it does not hold');
    },
    notice(level, message, facts) {
      logger[level](facts ?? {}, message);
    },
  };
}
