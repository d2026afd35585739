/** Every reason of the service has its class, every class its facts, and every option its rule. */
import { readFileSync } from 'node:fs';
import { Metadata } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { invalidFields, leaseLost, noQuorum, refusals, refuse } from '../../../../src/domain/refusals.ts';
import { toError, toStatus } from '../../../../src/edge/status.ts';
import { byReason, errorOf } from '../../src/errors.ts';
import * as client from '../../src/index.ts';
import { askOf } from '../../src/options.ts';
import { errorOfStatus } from '../../src/wire/details.ts';

/** Reasons that are a plain HoldfastError, as clients/README.md says. */
const PLAIN = ['INTERNAL', 'NOT_SERVED'];

test('every reason of the service is in the registry, or plain, and nothing else is', () => {
  expect([...Object.keys(byReason), ...PLAIN].sort()).toEqual(Object.keys(refusals).sort());
});

test('every error that clients/README.md names is exported, and named so', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const rows = [...readme.matchAll(/^\| `(\w+Error)` \|/gm)].map(([, name]) => name!);
  expect(rows.length).toBeGreaterThan(10);
  const exported = Object.keys(client).filter((name) => name.endsWith('Error'));
  expect(exported.filter((name) => name !== 'HoldfastError').sort()).toEqual([...rows].sort());
  expect(new client.ClosedError().name).toBe('ClosedError');
});

test('a status of the service becomes its error, with all its facts', () => {
  const fields = [{ field: 'ttl', description: 'must be shorter' }];
  const cases = [
    [noQuorum(1, 3, 250), client.NoQuorumError, { answered: 1, nodes: 3, retryAfterMs: 250, code: 14 }],
    [leaseLost('forced'), client.LeaseLostError, { why: 'forced', code: 9 }],
    [invalidFields(fields), client.InvalidFieldError, { fields, code: 3 }],
    [refuse('DENIED', 'no'), client.DeniedError, { code: 7, retryAfterMs: undefined }],
    [refuse('INTERNAL', 'a defect'), client.HoldfastError, { code: 13, reason: 'INTERNAL' }],
  ] as const;
  for (const [refusal, kind, facts] of cases) {
    const error = errorOfStatus(toStatus(refusal));
    expect(error.constructor).toBe(kind);
    expect(error).toMatchObject(facts);
    expect(error.message).toContain(refusal.message);
  }
  const cycle = { cycle: 'a -> b', owners: '["a","b"]', resources: '["x"]' };
  const deadlock = errorOfStatus(toStatus(refuse('DEADLOCK', 'a circle', { metadata: cycle })));
  expect(deadlock).toMatchObject({ cycle: 'a -> b', owners: ['a', 'b'], resources: ['x'] });
  expect(toError(leaseLost('expired')).reason).toBe('LEASE_LOST');
});

test('a status without details, or with some that do not decode, is plain and keeps its code', () => {
  const broken = new Metadata();
  broken.set('grpc-status-details-bin', Buffer.from([1, 2, 3]));
  for (const metadata of [new Metadata(), broken]) {
    const error = errorOfStatus({ code: 14, details: 'gone', metadata });
    expect(error.constructor).toBe(client.HoldfastError);
    expect(error).toMatchObject({ code: 14, message: 'gone', reason: '' });
  }
  expect(errorOf('new', { reason: 'toString', code: 2 }).constructor).toBe(client.HoldfastError);
});

const defaults = { ttl: undefined, owner: () => 'me' };

test.each([
  ['resources', [[], {}]],
  ['resources', [Array.from({ length: 65 }, (_, at) => `n${at}`), {}]],
  ['resources[0]', ['a b', {}]],
  ['resources[0]', ['', {}]],
  ['resources[0]', ['n'.repeat(257), {}]],
  ['resources[0]', [[7], {}]],
  ['resources[1]', [['a', 'a'], {}]],
  ['owner', ['a', { owner: '' }]],
  ['owner', ['a', { owner: 'a\nb' }]],
  ['owner', ['a', { owner: '\ud800' }]],
  ['owner', ['a', { owner: 'x'.repeat(257) }]],
  ['ttl', ['a', { ttl: 'x' }]],
  ['wait', ['a', { wait: -1 }]],
  ['mode', ['a', { mode: 'mine' }]],
  ['any', ['a', { any: 2 }]],
  ['any', ['a', { any: 0.5 }]],
  ['priority', ['a', { priority: 10 }]],
  ['request_id', ['a', { requestId: 'x'.repeat(129) }]],
  ['labels', ['a', { labels: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`k${at}`, ''])) }]],
  ['labels["k"]', ['a', { labels: { k: 7 } }]],
] as [string, [string, client.LockOptions]][])(
  '%s is named when it breaks its rule',
  (field, [names, options]) => {
    const named = (): unknown => askOf(names, options, defaults, 0);
    expect(named).toThrow(client.InvalidFieldError);
    try {
      named();
    } catch (error) {
      expect((error as client.InvalidFieldError).fields.map((fault) => fault.field)).toEqual([field]);
    }
  },
);

test('what is in order is written as it was said, and what was not said is left to the service', () => {
  expect(askOf('a', {}, defaults, 0)).toMatchObject({
    request: { resources: ['a'], owner: 'me' },
    waitMs: 0,
  });
  expect(Object.keys(askOf('a', {}, defaults, 0).request)).toEqual(['resources', 'owner']);
  const options = {
    ttl: '30s',
    wait: '1m',
    mode: 'shared',
    any: 1,
    priority: 9,
    labels: { k: 'v' },
  } as const;
  expect(askOf(['a', 'b'], options, defaults, 0)).toMatchObject({
    request: { ttl: { seconds: 30, nanos: 0 }, mode: 2, any: 1, priority: 9, labels: { k: 'v' } },
    waitMs: 60_000,
  });
});
