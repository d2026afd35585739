/** Rules: each verb on each name, allowed and not, and prefixes that lie within what is allowed. */
import { describe, expect, test } from 'vitest';
import { type Identity, type Rule, VERBS } from '../../../src/domain/access.ts';
import {
  inspectable,
  mayAdmin,
  mayAll,
  mayName,
  mayPrefix,
  mayWatch,
} from '../../../src/edge/access/authorize.ts';

const who = (rules: readonly Rule[] | undefined, tenant = ''): Identity => ({
  name: 'ann',
  tenant,
  rules,
  quota: {},
});

describe.each(VERBS.filter((verb) => verb !== 'admin'))('the verb %s', (verb) => {
  const others = VERBS.filter((other) => other !== verb);

  test('is allowed by a rule that has it, for names that begin so', () => {
    const ann = who([{ prefixes: ['gpu/', 'cpu/'], verbs: [verb] }]);
    for (const name of ['gpu/', 'gpu/0', 'cpu/a/b']) expect(mayName(ann, verb, name), name).toBeUndefined();
    for (const name of ['gpu', 'GPU/0', 'tpu/0', 'x/gpu/0', 'gp', '.gpu/0']) {
      expect(mayName(ann, verb, name), name).toMatchObject({
        reason: 'DENIED',
        metadata: { verb, resource: name },
      });
    }
  });

  test('is allowed everywhere by a rule without prefixes', () => {
    expect(mayName(who([{ prefixes: [], verbs: [verb] }]), verb, 'anything')).toBeUndefined();
  });

  test('is not allowed by rules that have every other verb, nor by none', () => {
    expect(mayName(who([{ prefixes: [], verbs: others }]), verb, 'gpu/0')).toMatchObject({
      reason: 'DENIED',
    });
    expect(mayName(who([]), verb, 'gpu/0')).toMatchObject({ reason: 'DENIED' });
  });

  test('is everybody’s where there are no rules at all', () => {
    expect(mayName(who(undefined), verb, 'gpu/0')).toBeUndefined();
  });
});

test('of several names each must be allowed, by whatever rule', () => {
  const ann = who([
    { prefixes: ['a/'], verbs: ['acquire'] },
    { prefixes: ['b/'], verbs: ['acquire'] },
    { prefixes: ['c/'], verbs: ['inspect'] },
  ]);
  expect(mayAll(ann, 'acquire', ['a/1', 'b/1'])).toBeUndefined();
  expect(mayAll(ann, 'acquire', ['a/1', 'c/1'])).toMatchObject({ metadata: { resource: 'c/1' } });
});

test('a prefix must lie within an allowed one, and none at all needs a rule without', () => {
  const ann = who([{ prefixes: ['gpu/'], verbs: ['inspect'] }]);
  expect(mayPrefix(ann, 'gpu/')).toBeUndefined();
  expect(mayPrefix(ann, 'gpu/a')).toBeUndefined();
  for (const prefix of ['', 'g', 'gpu', 'tpu/'])
    expect(mayPrefix(ann, prefix)).toMatchObject({ reason: 'DENIED' });
  expect(mayPrefix(who([{ prefixes: [], verbs: ['inspect'] }]), '')).toBeUndefined();
});

test('a watch needs each of its names, and its prefix where it has one', () => {
  const ann = who([{ prefixes: ['gpu/'], verbs: ['inspect'] }]);
  expect(mayWatch(ann, { resources: ['gpu/0'], prefix: '' })).toBeUndefined();
  expect(mayWatch(ann, { resources: ['gpu/0'], prefix: 'gpu/1' })).toBeUndefined();
  for (const ask of [
    { resources: [], prefix: '' },
    { resources: ['gpu/0', 'tpu/0'], prefix: '' },
    { resources: ['gpu/0'], prefix: 'tpu/' },
  ]) {
    expect(mayWatch(ann, ask)).toMatchObject({ reason: 'DENIED' });
  }
});

test('a question about an owner is confined to what may be inspected', () => {
  const rules: Rule[] = [
    { prefixes: ['a/', 'b/'], verbs: ['inspect'] },
    { prefixes: ['b/', 'c/'], verbs: ['inspect', 'acquire'] },
    { prefixes: ['d/'], verbs: ['acquire'] },
  ];
  expect(inspectable(who(rules))).toEqual(['a/', 'b/', 'c/']);
  expect(inspectable(who([...rules, { prefixes: [], verbs: ['inspect'] }]))).toEqual([]);
  expect(inspectable(who(undefined))).toEqual([]);
  expect(inspectable(who([{ prefixes: [], verbs: ['acquire'] }]))).toMatchObject({ reason: 'DENIED' });
});

test('the replica is administered by those with the verb who are of no tenant', () => {
  const admin: Rule[] = [{ prefixes: [], verbs: ['admin'] }];
  expect(mayAdmin(who(admin), 'Status')).toBeUndefined();
  expect(mayAdmin(who(undefined), 'Status')).toBeUndefined();
  expect(mayAdmin(who(admin, 'acme'), 'Status')).toMatchObject({
    reason: 'DENIED',
    metadata: { verb: 'admin', call: 'Status' },
  });
  const all: Rule[] = [{ prefixes: [], verbs: ['acquire', 'inspect', 'force_release'] }];
  expect(mayAdmin(who(all), 'Reload')).toMatchObject({ reason: 'DENIED' });
});
