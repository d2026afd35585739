/** What docs/testing.md shows is what the tests run. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../../${path}`, import.meta.url)), 'utf8');

test('every example of docs/testing.md stands in a tested file', () => {
  const text = read('docs/testing.md');
  const shown = [...text.matchAll(/<!-- from (\S+) -->\n```\w+\n([\s\S]*?)```/g)];
  expect(shown).toHaveLength(text.split(/^```\w/m).length - 1);
  for (const [, path, code] of shown) expect(read(path!)).toContain(code);
});
