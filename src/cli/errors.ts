/** Errors of the service as the commands show them: the typed reason out of the status details, then words. */
import { type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { formatDuration } from '../config.ts';

/** The content of holdfast.v1.Error, read from a gRPC status. */
export interface CallError {
  readonly code: number;
  readonly status: string;
  /** Empty where gRPC itself produced the error. */
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly field_violations: readonly { readonly field: string; readonly description: string }[];
  readonly retryAfterMs: number | undefined;
}

const DETAILS_KEY = 'grpc-status-details-bin';

/** The three of google/rpc/error_details.proto that the service sends, and the envelope of google/rpc/status.proto. */
const schema = {
  nested: {
    Any: { fields: { type_url: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } },
    Status: {
      fields: {
        code: { type: 'int32', id: 1 },
        message: { type: 'string', id: 2 },
        details: { rule: 'repeated', type: 'Any', id: 3 },
      },
    },
    ErrorInfo: {
      fields: {
        reason: { type: 'string', id: 1 },
        domain: { type: 'string', id: 2 },
        metadata: { keyType: 'string', type: 'string', id: 3 },
      },
    },
    FieldViolation: {
      fields: { field: { type: 'string', id: 1 }, description: { type: 'string', id: 2 } },
    },
    BadRequest: { fields: { field_violations: { rule: 'repeated', type: 'FieldViolation', id: 1 } } },
    Duration: { fields: { seconds: { type: 'int64', id: 1 }, nanos: { type: 'int32', id: 2 } } },
    RetryInfo: { fields: { retry_delay: { type: 'Duration', id: 1 } } },
  },
};

// Its type knows no map fields.
const types = protobuf.Root.fromJSON(schema as protobuf.INamespace, new protobuf.Root());

interface Details {
  reason: string;
  metadata: Record<string, string>;
  field_violations: { field: string; description: string }[];
  retryAfterMs: number | undefined;
}

function decode(type: string, bytes: Uint8Array): Record<string, unknown> {
  const found = types.lookupType(type);
  return found.toObject(found.decode(bytes), { longs: Number, defaults: true, arrays: true, objects: true });
}

function readDetails(metadata: Metadata | undefined): Details {
  const details: Details = { reason: '', metadata: {}, field_violations: [], retryAfterMs: undefined };
  const [packed] = metadata?.get(DETAILS_KEY) ?? [];
  if (!(packed instanceof Buffer)) return details;
  try {
    const envelope = decode('Status', packed);
    for (const { type_url, value } of envelope.details as { type_url: string; value: Uint8Array }[]) {
      const name = type_url.slice(type_url.lastIndexOf('/') + 1);
      if (name === 'google.rpc.ErrorInfo')
        Object.assign(details, pick(decode('ErrorInfo', value), ['reason', 'metadata']));
      if (name === 'google.rpc.BadRequest')
        Object.assign(details, pick(decode('BadRequest', value), ['field_violations']));
      if (name === 'google.rpc.RetryInfo') {
        const delay = decode('RetryInfo', value).retry_delay as { seconds: number; nanos: number } | null;
        if (delay !== null) details.retryAfterMs = delay.seconds * 1000 + Math.round(delay.nanos / 1e6);
      }
    }
  } catch {
    // Details that do not decode leave the code and the message, which always arrive.
  }
  return details;
}

function pick(from: Record<string, unknown>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, from[name]]));
}

export function callErrorOf(error: ServiceError): CallError {
  const name = status[error.code] ?? 'UNKNOWN';
  const details = readDetails(error.metadata);
  const message = error.details || error.message;
  return {
    code: error.code,
    status: name,
    // The service puts the reason in front for tools that show only the message; here it has a place of its own.
    message: details.reason === '' ? message : message.replace(`${details.reason}: `, ''),
    ...details,
  };
}

/** `REASON: message`, then one line for each field and a hint when to try again. */
export function describeError(error: CallError): string {
  const lines = [`${error.reason || error.status}: ${error.message}`];
  for (const { field, description } of error.field_violations) lines.push(`  ${field}: ${description}`);
  if (error.reason === 'LEASE_LOST' && error.metadata.why) lines.push(`  why: ${error.metadata.why}`);
  const { cycle } = error.metadata;
  if (cycle && !error.message.includes(cycle)) lines.push(`  cycle: ${cycle}`);
  if (error.retryAfterMs !== undefined) lines.push(`  try again in ${formatDuration(error.retryAfterMs)}`);
  return `${lines.join('\n')}\n`;
}

/** As the message holdfast.v1.Error in proto JSON. */
export function errorJson({ status: _name, retryAfterMs, ...rest }: CallError): Record<string, unknown> {
  return { ...rest, ...(retryAfterMs === undefined ? {} : { retry_after: `${retryAfterMs / 1000}s` }) };
}
