/** Scenarios are data, they say what they show, and no public word of the clients is without one. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { knockouts } from './knockouts.ts';
import { featuresOf, LANGUAGES, languagesOf, type Value } from './model.ts';
import { table, uses, wordsOf } from './parity.ts';
import { differences, filled } from './pattern.ts';
import { scenarios } from './scenarios/index.ts';
import { words } from './words.ts';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const contract = readFileSync(path('../../clients/README.md'), 'utf8');

describe('the scenarios', () => {
  test('are at least 40 in each language', () => {
    for (const language of LANGUAGES) {
      const spoken = scenarios.filter((scenario) => languagesOf(scenario).includes(language));
      expect(spoken.length, language).toBeGreaterThanOrEqual(40);
    }
  });

  test('are data and nothing else', () => {
    expect(JSON.parse(JSON.stringify(scenarios))).toEqual(scenarios);
  });

  test('have names of their own, and each shows a feature', () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
    expect(scenarios.filter((scenario) => featuresOf(scenario).length === 0)).toEqual([]);
  });

  test('together show every feature that can be taken away', () => {
    const shown = new Set(scenarios.flatMap(featuresOf));
    expect(Object.keys(knockouts).filter((name) => !shown.has(name as keyof typeof knockouts))).toEqual([]);
  });
});

describe('the words of the contract', () => {
  test('are those of words.ts', () => {
    expect(Object.keys(words).sort()).toEqual(wordsOf(contract));
  });

  test('are each used in a scenario', () => {
    const unused = Object.entries(words).filter(([, use]) => !scenarios.some((one) => uses(one, use)));
    expect(unused.map(([word]) => word)).toEqual([]);
  });

  test('stand in the table of parity as they are used', () => {
    if (process.env.HOLDFAST_WRITE === '1') writeFileSync(path('PARITY.md'), table(scenarios));
    expect(readFileSync(path('PARITY.md'), 'utf8')).toBe(table(scenarios));
  });

  test('cannot come or go unnoticed', () => {
    const more = contract.replace('| `hf.status()` |', '| `hf.whistle(tune, { loud })` |');
    expect(wordsOf(more)).toEqual(
      [...wordsOf(contract).filter((one) => one !== 'status'), 'loud', 'whistle'].sort(),
    );
  });
});

describe('a pattern', () => {
  const misses = (found: unknown, wanted: Value) => differences(found, wanted).length;

  test('asks for what it names and for nothing else', () => {
    expect(misses({ a: 1, b: [{ c: 2, d: 3 }] }, { b: [{ c: 2 }] })).toBe(0);
    expect(misses({ a: 1 }, { a: 2 })).toBe(1);
    expect(misses({ a: 1 }, { b: 1 })).toBe(1);
    expect(misses([1, 2], [1])).toBe(1);
    expect(misses(undefined, { a: 1 })).toBe(1);
  });

  test('takes null for nothing at all', () => {
    expect(misses({}, { a: null })).toBe(0);
    expect(misses({ a: 0 }, { a: null })).toBe(1);
  });

  test('compares tokens as numbers, of any size', () => {
    expect(misses('18446744073709551615', { $above: '9007199254740993' })).toBe(0);
    expect(misses('9', { $above: '10' })).toBe(1);
    expect(misses('nine', { $above: 1 })).toBe(1);
    expect(misses(undefined, { $below: 1 })).toBe(1);
    expect(misses(3, { $least: 3, $most: 3 })).toBe(0);
  });

  test('knows lists, texts and what is not', () => {
    expect(misses([{ a: 1 }, { a: 2 }], { $has: [{ a: 2 }] })).toBe(0);
    expect(misses([{ a: 1 }], { $has: [{ a: 2 }] })).toBe(1);
    expect(misses([1, 2], { $count: 2 })).toBe(0);
    expect(misses('abc', { $like: '^b' })).toBe(1);
    expect(misses('b', { $not: 'a' })).toBe(0);
    expect(misses('a', { $not: 'a' })).toBe(1);
    expect(() => differences(1, { $wrong: 1 })).toThrow('knows no $wrong');
  });

  test('is filled with what earlier steps gave, and refuses what none gave', () => {
    const given = new Map([['one', { token: '7' }]]);
    expect(filled({ a: ['$one.token', '~/x'] }, given, 'r1')).toEqual({ a: ['7', 'r1/x'] });
    expect(() => filled('$two.token', given, 'r1')).toThrow('no earlier step gave $two.token');
  });
});
