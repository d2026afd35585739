/** Refusals out, as a client can act on them: a gRPC status with details, or the same facts in a message of ours. */
import { Metadata, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs/minimal.js';
import { type FieldViolation, type Refusal, refusals, refuse } from '../domain/refusals.ts';
import { duration } from './encode.ts';
import type { Duration } from './gen/google/protobuf/Duration.ts';
import type { Error as ErrorMessage } from './gen/holdfast/v1/Error.ts';

export interface WireStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

export const DETAILS_KEY = 'grpc-status-details-bin';
const DOMAIN = 'holdfast';
const TYPE_PREFIX = 'type.googleapis.com/google.rpc.';
/**
 * Some clients drop a status whose headers exceed 8 KiB, base64 adds a third, and the message travels twice:
 * so a very long list keeps all its field names and loses descriptions.
 */
const MESSAGE_BYTES = 300;
const DESCRIBED_BYTES = 2_000;
const NAMED_BYTES = 3_800;
const METADATA_BYTES = 512;
const FIELD_BYTES = 256;
/** Tags and lengths of one violation. */
const FIELD_TAGS = 6;

type Writer = protobuf.Writer;

/** What is told of a refusal, cut to bounds. */
interface Facts {
  readonly code: status;
  readonly reason: string;
  readonly metadata: Record<string, string>;
  readonly fields: FieldViolation[];
  readonly retryAfter: Duration | undefined;
}

/** Tags of protobuf fields: the number, and 0 for a varint or 2 for something with a length. */
const varint = (field: number): number => field << 3;
const sized = (field: number): number => (field << 3) | 2;

/** Cut to about `most` bytes; never half a character, which would make grpc-js throw as it sends the status. */
function cut(text: string, most: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return text.toWellFormed();
  return `${bytes.toString('utf8', 0, most).replace(/\ufffd+$/, '')}…`;
}

/** One google.protobuf.Any with what `write` writes. */
function detail(out: Writer, type: string, write: (message: Writer) => void): void {
  const message = protobuf.Writer.create();
  write(message);
  out.uint32(sized(3)).fork();
  out.uint32(sized(1)).string(TYPE_PREFIX + type);
  out.uint32(sized(2)).bytes(message.finish());
  out.ldelim();
}

function writeErrorInfo(out: Writer, { reason, metadata }: Facts): void {
  out.uint32(sized(1)).string(reason);
  out.uint32(sized(2)).string(DOMAIN);
  for (const [key, value] of Object.entries(metadata)) {
    out.uint32(sized(3)).fork();
    out.uint32(sized(1)).string(key);
    out.uint32(sized(2)).string(value);
    out.ldelim();
  }
}

function writeBadRequest(out: Writer, fields: readonly FieldViolation[]): void {
  for (const { field, description } of fields) {
    out.uint32(sized(1)).fork();
    out.uint32(sized(1)).string(field);
    if (description !== '') out.uint32(sized(2)).string(description);
    out.ldelim();
  }
}

function writeRetryInfo(out: Writer, { seconds, nanos }: Duration): void {
  out.uint32(sized(1)).fork();
  out.uint32(varint(1)).int64(Number(seconds ?? 0));
  out.uint32(varint(2)).int32(nanos ?? 0);
  out.ldelim();
}

/** Every field while there is room, described while there is much. */
function shown(fields: readonly FieldViolation[]): FieldViolation[] {
  const fit: FieldViolation[] = [];
  let bytes = 0;
  for (const { field, description } of fields) {
    if (bytes > NAMED_BYTES) break;
    const one = {
      field: cut(field, FIELD_BYTES),
      description: bytes > DESCRIBED_BYTES ? '' : cut(description, FIELD_BYTES),
    };
    fit.push(one);
    bytes += FIELD_TAGS + Buffer.byteLength(one.field) + Buffer.byteLength(one.description);
  }
  return fit;
}

function factsOf(refusal: Refusal): Facts {
  const { reason, retryAfterMs } = refusal;
  const entries = Object.entries(refusal.metadata);
  return {
    code: status[refusals[reason].code],
    reason,
    metadata: Object.fromEntries(
      entries.map(([key, value]) => [cut(key, METADATA_BYTES), cut(value, METADATA_BYTES)]),
    ),
    fields: shown(refusal.fields),
    retryAfter: retryAfterMs === undefined ? undefined : duration(Math.max(0, retryAfterMs)),
  };
}

/** The refusal of one operation of a stream that goes on. */
export function toError(refusal: Refusal): ErrorMessage {
  const { code, reason, metadata, fields, retryAfter } = factsOf(refusal);
  return {
    code,
    reason,
    message: cut(refusal.message, MESSAGE_BYTES),
    metadata,
    field_violations: fields,
    ...(retryAfter === undefined ? {} : { retry_after: retryAfter }),
  };
}

/** The refusal as grpc-js sends it; its message begins with the reason, for those who see nothing else. */
export function toStatus(refusal: Refusal): WireStatus {
  const facts = factsOf(refusal);
  const { code, fields, retryAfter } = facts;
  const details = cut(`${refusal.reason}: ${refusal.message}`, MESSAGE_BYTES);
  const out = protobuf.Writer.create();
  out.uint32(varint(1)).int32(code).uint32(sized(2)).string(details);
  detail(out, 'ErrorInfo', (message) => writeErrorInfo(message, facts));
  if (fields.length > 0) detail(out, 'BadRequest', (message) => writeBadRequest(message, fields));
  if (retryAfter !== undefined) detail(out, 'RetryInfo', (message) => writeRetryInfo(message, retryAfter));
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(out.finish()));
  return { code, details, metadata };
}

export const tooLarge: Refusal = refuse('QUOTA', 'the message is larger than this service takes or sends');

/** What a caller learns of a defect: nothing. The cause goes to the log. */
export const internal: Refusal = refuse('INTERNAL', 'a defect of the service; its log has the details');

export const draining: Refusal = refuse('DRAINING', 'this replica is shutting down; try another', {
  retryAfterMs: 100,
});

export const notServed = (what: string): Refusal =>
  refuse('NOT_SERVED', `this release does not serve ${what}`);

export function isRefusal<Answer extends object>(answer: Answer | Refusal): answer is Refusal {
  return (answer as { kind?: unknown }).kind === 'refusal';
}
