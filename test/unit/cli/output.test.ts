/** What commands print: proto JSON by the contract, aligned text, and errors out of their status details. */
import { fileURLToPath } from 'node:url';
import { Metadata, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { callErrorOf, describeError, errorJson } from '../../../src/cli/errors.ts';
import { exitCodeOf } from '../../../src/cli/exit.ts';
import { columns, plain, relative, section, spanText } from '../../../src/cli/format.ts';
import { durationOf, protoJson } from '../../../src/cli/proto-json.ts';
import { refusals } from '../../../src/domain/refusals.ts';

const contract = loadSync(['holdfast/v1/lock.proto', 'holdfast/v1/admin.proto'], {
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
  includeDirs: [fileURLToPath(new URL('../../../proto/', import.meta.url))],
});

test('proto JSON keeps the names of the contract and writes times and spans as proto JSON does', () => {
  const lease = {
    lease_id: 'hf1.x',
    fencing_token: '18446744073709551615',
    resources: ['a', 'b'],
    mode: 'MODE_EXCLUSIVE',
    ttl: { seconds: '1', nanos: 500_000_000 },
    acquire_time: { seconds: '1800000000', nanos: 250_000_000 },
    expire_time: null,
    labels: { seconds: '5', nanos: 'x' },
    replayed: false,
  };
  expect(protoJson(contract, 'holdfast.v1.AcquireResponse', { lease, busy: null, outcome: 'lease' })).toEqual(
    {
      lease: {
        lease_id: 'hf1.x',
        fencing_token: '18446744073709551615',
        resources: ['a', 'b'],
        mode: 'MODE_EXCLUSIVE',
        ttl: '1.500s',
        acquire_time: '2027-01-15T08:00:00.250Z',
        labels: { seconds: '5', nanos: 'x' },
        replayed: false,
      },
    },
  );
});

test('proto JSON reaches messages of every file, in lists too', () => {
  const nodes = [
    {
      node: 'a',
      vote_latency: { seconds: '0', nanos: 1_230_000 },
      clock_offset: { seconds: '0', nanos: -5000 },
    },
  ];
  expect(protoJson(contract, 'holdfast.v1.StatusResponse', { version: '1', nodes })).toEqual({
    version: '1',
    nodes: [{ node: 'a', vote_latency: '0.001230s', clock_offset: '-0.000005s' }],
  });
});

test.each([
  [0, '0', 0],
  [1500, '1', 500_000_000],
  [250, '0', 250_000_000],
])('%d ms become a Duration', (ms, seconds, nanos) => {
  expect(durationOf(ms)).toEqual({ seconds, nanos });
});

test('columns are aligned and lines have no blanks at their end', () => {
  expect(
    columns([
      ['A', 'LONG', 'C'],
      ['wide', 'x', ''],
    ]),
  ).toBe('A     LONG  C\nwide  x\n');
  expect(section('t', ['H'], [])).toBe('');
  expect(section('t', ['H'], [['1'], ['2']])).toBe('\nt\n  H\n  1\n  2\n');
});

test('text of others cannot steer the terminal', () => {
  expect(plain('a\u001b[2Jb\u202ec\n')).toBe('a?[2Jb?c?');
});

test('times are relative', () => {
  expect([30_500, 0, -400, -61_000, -7_300_000, 200_000_000].map((ms) => relative(ms, 0))).toEqual([
    'in 30s',
    'now',
    'now',
    '61s ago',
    '2h ago',
    'in 2d',
  ]);
  expect(spanText(12)).toBe('12ms');
});

describe('errors', () => {
  const root = protobuf.parse(
    `syntax = "proto3";
    message Any { string type_url = 1; bytes value = 2; }
    message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
    message Info { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
    message Violation { string field = 1; string description = 2; }
    message Bad { repeated Violation field_violations = 1; }
    message Delay { int64 seconds = 1; int32 nanos = 2; }
    message Retry { Delay retry_delay = 1; }`,
    { keepCase: true },
  ).root;
  const encode = (type: string, value: object) => Buffer.from(root.lookupType(type).encode(value).finish());
  const any = (name: string, type: string, value: object) => ({
    type_url: `type.googleapis.com/google.rpc.${name}`,
    value: encode(type, value),
  });

  function errorWith(code: number, details: object[] | Buffer) {
    const metadata = new Metadata();
    const packed = Buffer.isBuffer(details) ? details : encode('Status', { code, message: 'm', details });
    metadata.set('grpc-status-details-bin', packed);
    return callErrorOf({ name: 'Error', message: 'x', code, details: 'what went wrong', metadata });
  }

  test('give their reason, fields, facts and the time to try again', () => {
    const error = errorWith(status.INVALID_ARGUMENT, [
      any('ErrorInfo', 'Info', { reason: 'INVALID_FIELD', domain: 'holdfast', metadata: { field: 'ttl' } }),
      any('BadRequest', 'Bad', { field_violations: [{ field: 'ttl', description: 'is too long' }] }),
      any('RetryInfo', 'Retry', { retry_delay: { seconds: 1, nanos: 500_000_000 } }),
      any('Unheard', 'Info', {}),
    ]);
    expect(describeError(error)).toBe(
      'INVALID_FIELD: what went wrong\n  ttl: is too long\n  try again in 1500ms\n',
    );
    expect(errorJson(error)).toEqual({
      code: 3,
      reason: 'INVALID_FIELD',
      message: 'what went wrong',
      metadata: { field: 'ttl' },
      field_violations: [{ field: 'ttl', description: 'is too long' }],
      retry_after: '1.5s',
    });
  });

  test('without details, or with spoiled ones, give the status', () => {
    const bare = callErrorOf({
      name: 'Error',
      message: 'x',
      code: 14,
      details: 'gone',
      metadata: new Metadata(),
    });
    expect(describeError(bare)).toBe('UNAVAILABLE: gone\n');
    expect(describeError(errorWith(14, Buffer.from([255, 255, 255])))).toBe('UNAVAILABLE: what went wrong\n');
  });

  test('have an exit code each, and every refusal of the service has one of its own', () => {
    const code = (reason: string) => exitCodeOf(reason, '');
    expect(['INVALID_FIELD', 'NO_QUORUM', 'DRAINING', 'LEASE_LOST', 'QUOTA'].map(code)).toEqual([
      64, 69, 69, 76, 75,
    ]);
    expect(exitCodeOf('', 'UNAVAILABLE')).toBe(69);
    expect(exitCodeOf('', 'DEADLINE_EXCEEDED')).toBe(69);
    // A refusal agrees with what its status alone would give, so that a proxy that drops details changes nothing.
    for (const [reason, refusal] of Object.entries(refusals))
      expect(code(reason)).toBe(exitCodeOf('', refusal.code));
  });
});
