/** Documents that mirror the code say exactly what the code says. */
import { describe, expect, test } from 'vitest';
import { keys, table } from '../../src/config/table.ts';
import { refusals } from '../../src/domain/refusals.ts';
import { complain, files, read } from './files.ts';
import { lineOf } from './scan.ts';

/** The text of a document; a document that is not there is a failure with its name, not an exception. */
function documentOf(path: string): string {
  expect(files.includes(path), `${path} is missing: write it`).toBe(true);
  return read(path);
}

/** Rows of all tables whose first cell is one word in backticks: that word and the second one's. */
function rowsOf(markdown: string): (readonly [string, string])[] {
  return [...markdown.matchAll(/^\|\s*`([^`|]+)`\s*\|\s*`?([^`|]*?)`?\s*\|/gm)].map(
    ([, first, second]) => [first!, second!] as const,
  );
}

/** How the rows of a document and the registry differ. */
function errorFaults(
  markdown: string,
  registry: Readonly<Record<string, { readonly code: string }>>,
): string[] {
  const rows = rowsOf(markdown).filter(([reason]) => /^[A-Z][A-Z_]+$/.test(reason));
  const listed = rows.map(([reason]) => reason);
  return [
    ...Object.keys(registry)
      .filter((reason) => !listed.includes(reason))
      .map((reason) => `${reason} is not listed: add its row`),
    ...listed
      .filter((reason, at) => listed.indexOf(reason) !== at)
      .map((reason) => `${reason} is listed twice`),
    ...rows.flatMap(([reason, code]) => {
      const known = registry[reason];
      if (known === undefined) return [`${reason} is no reason of src/domain/refusals.ts: remove its row`];
      return known.code === code ? [] : [`${reason} is ${known.code}, not ${code}`];
    }),
  ];
}

describe('docs/errors.md', () => {
  test('lists exactly the reasons of src/domain/refusals.ts, each with its code', () => {
    expect(errorFaults(documentOf('docs/errors.md'), refusals)).toEqual([]);
  });

  test('the rule can fail', () => {
    const registry = { QUOTA: { code: 'RESOURCE_EXHAUSTED' }, DENIED: { code: 'PERMISSION_DENIED' } };
    const good =
      '| reason | code |\n|---|---|\n| `QUOTA` | `RESOURCE_EXHAUSTED` | x |\n| `DENIED` | PERMISSION_DENIED | y |\n';
    expect(errorFaults(good, registry)).toEqual([]);
    expect(errorFaults(good.replace('`DENIED`', '`QUOTA`'), registry).length).toBe(3);
    expect(errorFaults(good.replace('PERMISSION_DENIED', 'ABORTED'), registry)).toEqual([
      'DENIED is PERMISSION_DENIED, not ABORTED',
    ]);
    expect(errorFaults(`${good}| \`EXTRA_ONE\` | \`ABORTED\` | z |\n`, registry)).toEqual([
      expect.stringMatching(/EXTRA_ONE is no reason/),
    ]);
  });
});

/** Settings of the table that `markdown` does not name as a whole word. */
function unnamed(markdown: string, names: readonly string[]): string[] {
  const words = new Set(markdown.match(/\b[A-Z][A-Z0-9_]*\b/g));
  return names.filter((name) => !words.has(name));
}

/** Names that belong to others, with whose they are. */
const FOREIGN: Readonly<Record<string, string>> = {
  HOLDFAST_SERVICE_HOST: 'Kubernetes sets it in every pod beside a service called holdfast',
};

describe('docs/configuration.md', () => {
  const names = keys.map((key) => table[key].name);

  test('names every setting of src/config/table.ts', () => {
    expect(unnamed(documentOf('docs/configuration.md'), names)).toEqual([]);
  });

  test('names nothing that the code does not read', () => {
    const named = new Set(documentOf('docs/configuration.md').match(/\bHOLDFAST_[A-Z0-9_]+\b/g));
    const sources = files
      .filter((path) => path.startsWith('src/'))
      .map(read)
      .join('\n');
    const known = new Set(sources.match(/\bHOLDFAST_[A-Z0-9_]+\b/g));
    const unread = [...named].filter(
      (name) => !known.has(name.replace(/_FILE$/, '')) && FOREIGN[name] === undefined,
    );
    expect(unread).toEqual([]);
  });

  test('the rule can fail, and a longer name is another name', () => {
    expect(unnamed('HOLDFAST_LISTENER `HOLDFAST_TTL`', ['HOLDFAST_LISTEN', 'HOLDFAST_TTL'])).toEqual([
      'HOLDFAST_LISTEN',
    ]);
  });
});

/** What is wrong with the numbers of the decisions. */
function numberFaults(names: readonly string[]): string[] {
  const numbers = names.map((name) => /^(\d{4})-[a-z0-9-]+\.md$/.exec(name)?.[1]);
  const badly = names
    .filter((_, at) => numbers[at] === undefined)
    .map((name) => `${name}: call it NNNN-what-was-decided.md`);
  const sorted = numbers
    .filter((number) => number !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
  const gaps = sorted.flatMap((number, at) =>
    number === at + 1 ? [] : [`number ${number} where ${at + 1} should be`],
  );
  return [...badly, ...gaps.slice(0, 1)];
}

describe('docs/decisions', () => {
  const decisions = files
    .filter((path) => path.startsWith('docs/decisions/'))
    .map((path) => path.slice('docs/decisions/'.length));

  test('are numbered from 0001 without a gap', () => {
    expect(numberFaults(decisions.filter((name) => name !== 'README.md'))).toEqual([]);
  });

  test('the rule can fail', () => {
    expect(numberFaults(['0001-a.md', '0002-b.md'])).toEqual([]);
    expect(numberFaults(['0001-a.md', '0003-b.md'])).toEqual(['number 3 where 2 should be']);
    expect(numberFaults(['0001-a.md', '0001-b.md'])).toEqual(['number 1 where 2 should be']);
    expect(numberFaults(['0002-b.md'])).toEqual(['number 2 where 1 should be']);
    expect(numberFaults(['one.md'])).toEqual([expect.stringMatching(/NNNN/)]);
  });
});

/** Documents that a text points to and that are not there. */
function deadPointers(path: string, source: string, known: readonly string[]): string[] {
  return [...source.matchAll(/\bdocs\/[\w./-]+\.md\b/g)]
    .filter(([found]) => !known.includes(found))
    .map(({ 0: found, index }) =>
      complain(path, lineOf(source, index), `points to ${found}, which is not there`),
    );
}

test('every document that the code points to is there', () => {
  const pointing = files.filter(
    (path) => /^(src|bench|proto|scripts|bin)\//.test(path) || /^test\/(?!tidy\/)/.test(path),
  );
  expect(pointing.flatMap((path) => deadPointers(path, read(path), files))).toEqual([]);
});

test('the pointer rule can fail', () => {
  const source = '// docs/a.md\n// docs/decisions/0001-b.md says why';
  expect(deadPointers('src/a.ts', source, ['docs/a.md'])).toEqual([
    expect.stringMatching(/^src\/a\.ts:2: points to docs\/decisions\/0001-b\.md/),
  ]);
});
