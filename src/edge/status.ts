/** Refusals out: a gRPC status whose details (google.rpc.Status in a trailer) a client can act on. */
import { Metadata, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs/minimal.js';
import { type FieldViolation, type Refusal, refusals, refuse } from '../domain/refusals.ts';
import { duration } from './encode.ts';

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

type Writer = protobuf.Writer;

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

function writeErrorInfo(out: Writer, refusal: Refusal): void {
  out.uint32(sized(1)).string(refusal.reason);
  out.uint32(sized(2)).string(DOMAIN);
  for (const [key, value] of Object.entries(refusal.metadata)) {
    out.uint32(sized(3)).fork();
    out.uint32(sized(1)).string(cut(key, METADATA_BYTES));
    out.uint32(sized(2)).string(cut(value, METADATA_BYTES));
    out.ldelim();
  }
}

function writeBadRequest(out: Writer, fields: readonly FieldViolation[]): void {
  for (const { field, description } of fields) {
    if (out.len > NAMED_BYTES) return;
    const described = out.len <= DESCRIBED_BYTES;
    out.uint32(sized(1)).fork();
    out.uint32(sized(1)).string(cut(field, FIELD_BYTES));
    if (described) out.uint32(sized(2)).string(cut(description, FIELD_BYTES));
    out.ldelim();
  }
}

function writeRetryInfo(out: Writer, retryAfterMs: number): void {
  const { seconds, nanos } = duration(Math.max(0, retryAfterMs));
  out.uint32(sized(1)).fork();
  out.uint32(varint(1)).int64(Number(seconds));
  out.uint32(varint(2)).int32(nanos ?? 0);
  out.ldelim();
}

/** The refusal as grpc-js sends it; its message begins with the reason, for those who see nothing else. */
export function toStatus(refusal: Refusal): WireStatus {
  const code = status[refusals[refusal.reason].code];
  const details = cut(`${refusal.reason}: ${refusal.message}`, MESSAGE_BYTES);
  const out = protobuf.Writer.create();
  out.uint32(varint(1)).int32(code).uint32(sized(2)).string(details);
  detail(out, 'ErrorInfo', (message) => writeErrorInfo(message, refusal));
  if (refusal.fields.length > 0) {
    detail(out, 'BadRequest', (message) => writeBadRequest(message, refusal.fields));
  }
  if (refusal.retryAfterMs !== undefined) {
    const { retryAfterMs } = refusal;
    detail(out, 'RetryInfo', (message) => writeRetryInfo(message, retryAfterMs));
  }
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(out.finish()));
  return { code, details, metadata };
}

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
