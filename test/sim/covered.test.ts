/** Coverage counts the lines that bear code, over all processes, and what nobody loaded as not run. */
import { expect, test } from 'vitest';
import { coveredIn, shareOf, spansOf } from './covered.ts';

const SOURCE = `/** What it is for. */
import { a } from './a.ts';

interface Shape {
  readonly side: number;
}

export function ran(side: number): number {
  if (side > 3) {
    return a(side);
  }
  return side;
}

function never(): void {
  ran(1);
}
`;
const at = (text: string): number => SOURCE.indexOf(text);
const whole = { startOffset: 0, endOffset: SOURCE.length, count: 1 };
const ranBody = { startOffset: at('export function ran'), endOffset: at('function never'), count: 1 };
const branch = (count: number) => ({ startOffset: at('return a'), endOffset: at('  return side'), count });
const neverBody = { startOffset: at('function never'), endOffset: SOURCE.length, count: 0 };
const run = (count: number) => ({
  url: '',
  functions: [{ ranges: [whole] }, { ranges: [ranBody, branch(count)] }, { ranges: [neverBody] }],
});

test('code that no process ran is missed; types, imports, comments and brackets are no code', () => {
  const { lines, missed } = coveredIn('src/a.ts', SOURCE, [run(0)]);
  const numbered = SOURCE.split('\n');
  expect(missed.map((line) => numbered[line - 1]!.trim())).toEqual([
    'return a(side);',
    'function never(): void {',
    'ran(1);',
  ]);
  expect(lines).toBe(6);
});

test('what one process ran is run', () => {
  const both = coveredIn('src/a.ts', SOURCE, [run(0), run(5)]);
  expect(both.missed.length).toBe(2);
  expect(shareOf([both])).toBeCloseTo(66.7, 1);
});

test('a file that nobody loaded is missed as a whole', () => {
  const { lines, missed } = coveredIn('src/a.ts', SOURCE, []);
  expect(missed.length).toBe(lines);
});

test('numbers are told as spans', () => {
  expect(spansOf([3, 4, 5, 9])).toBe('3-5, 9');
});
