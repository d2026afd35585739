/** The typed reason in a gRPC status, out of its trailer `grpc-status-details-bin`. */
import type { Metadata } from '@grpc/grpc-js';
import protobuf from 'protobufjs/light.js';
import { durationMs } from '../durations.ts';
import { type ErrorFacts, errorOf, type FieldFault, HoldfastError } from '../errors.ts';
import type { DurationRead } from '../gen/messages.ts';

const KEY = 'grpc-status-details-bin';
const DOMAIN = 'holdfast';

/** What the service sends of google/rpc/error_details.proto, and the envelope of google/rpc/status.proto. */
const root = protobuf.Root.fromJSON({
  nested: {
    Any: { fields: { type_url: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } },
    Status: { fields: { details: { rule: 'repeated', type: 'Any', id: 3 } } },
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
} as protobuf.INamespace);

interface Read {
  readonly details: readonly { readonly type_url: string; readonly value: Uint8Array }[];
  readonly reason: string;
  readonly domain: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly field_violations: readonly FieldFault[];
  readonly retry_delay: DurationRead | null;
}

const decode = (type: string, bytes: Uint8Array): Read =>
  root.lookupType(type).decode(bytes) as unknown as Read;

interface Found {
  reason: string;
  metadata: Readonly<Record<string, string>>;
  fields: readonly FieldFault[];
  retryAfterMs: number | undefined;
}

/** Empty where gRPC itself made the status, or what it carries does not decode. */
function detailsOf(metadata: Metadata): Found {
  const found: Found = { reason: '', metadata: {}, fields: [], retryAfterMs: undefined };
  const [packed] = metadata.get(KEY);
  if (!(packed instanceof Uint8Array)) return found;
  try {
    for (const { type_url, value } of decode('Status', packed).details) {
      const name = type_url.slice(type_url.lastIndexOf('.') + 1);
      if (name === 'ErrorInfo') {
        const info = decode(name, value);
        if (info.domain === DOMAIN)
          Object.assign(found, { reason: info.reason, metadata: { ...info.metadata } });
      } else if (name === 'BadRequest') {
        found.fields = decode(name, value).field_violations.map(({ field, description }) => ({
          field,
          description,
        }));
      } else if (name === 'RetryInfo') found.retryAfterMs = durationMs(decode(name, value).retry_delay);
    }
  } catch {
    // The code and the message have arrived all the same.
  }
  return found;
}

export interface WireStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** What a status says as an error of this client; plain where it carries no reason of the service. */
export function errorOfStatus({ code, details, metadata }: WireStatus): HoldfastError {
  const found = detailsOf(metadata);
  const facts: ErrorFacts = { code, ...found };
  return found.reason === '' ? new HoldfastError(details, facts) : errorOf(details, facts);
}
