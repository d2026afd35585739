/** Reads grpc-status-details-bin by protobuf reflection over Google's own definitions, not by our writer. */
import type { Metadata } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

// From google/rpc/status.proto and google/rpc/error_details.proto of googleapis.
const { root } = protobuf.parse(
  `
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message RetryInfo { Duration retry_delay = 1; }
  message BadRequest {
    message FieldViolation { string field = 1; string description = 2; }
    repeated FieldViolation field_violations = 1;
  }
`,
  { keepCase: true },
);

export interface DecodedStatus {
  readonly code: number;
  readonly message: string;
  readonly details: {
    readonly ErrorInfo?: { reason: string; domain: string; metadata: Record<string, string> };
    readonly BadRequest?: { field_violations: { field: string; description: string }[] };
    readonly RetryInfo?: { retry_delay: { seconds: number; nanos: number } };
  };
}

/** The status that travelled in `metadata`; throws when there is none. */
export function decodeStatus(metadata: Metadata): DecodedStatus {
  const [bytes] = metadata.get('grpc-status-details-bin') as Buffer[];
  if (bytes === undefined) throw new Error('no grpc-status-details-bin');
  const plain = { longs: Number, defaults: true };
  const type = root.lookupType('google.rpc.Status');
  const said = type.toObject(type.decode(bytes), plain) as {
    code: number;
    message: string;
    details: { type_url: string; value: Uint8Array }[];
  };
  const details = said.details.map(({ type_url, value }) => {
    const name = type_url.replace(/^type\.googleapis\.com\/google\.rpc\./, '');
    const inner = root.lookupType(`google.rpc.${name}`);
    return [name, inner.toObject(inner.decode(value), plain)];
  });
  return { code: said.code, message: said.message, details: Object.fromEntries(details) };
}
