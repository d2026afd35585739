/** Every metric of the service is documented, and read over HTTP by some test with a running service. */
import { expect, test } from 'vitest';
import { files, read } from './files.ts';

const FAMILY =
  /(?:new (?:Numbers|Histograms)\(\s*(?:'(?:counter|gauge)',\s*)?|\bbyClass\(\s*)'((?:holdfast|rpc)_[a-z_]+)'/g;
const families = files
  .filter((path) => path.startsWith('src/'))
  .flatMap((path) => [...read(path).matchAll(FAMILY)].map(([, name]) => name!));

/** Of a test with real sockets that asks for /metrics, by itself or by what the harness has for it. */
const OVER_HTTP = /\/metrics\b|'metrics'|\bharness\/(samples|workers)\.ts'|\barchive-traffic\.ts'|\.metric\(/;
/** What is read in the test's own process says nothing about /metrics: such readers are all called so. */
const IN_PROCESS = /\.inside\([^)]*\)/g;

const told = (source: string): string => source.replace(/^\s*(\/\/|\/?\*).*$/gm, '').replace(IN_PROCESS, '');

/** Families that no source names which reads over HTTP; a histogram by its series. */
function unread(names: readonly string[], sources: readonly string[]): string[] {
  const text = sources
    .filter((source) => OVER_HTTP.test(source))
    .map(told)
    .join('\n');
  const words = new Set(
    text.match(/\b[a-z][a-z_]+\b/g)?.map((word) => word.replace(/_(count|sum|bucket)$/, '')),
  );
  return names.filter((name) => !words.has(name));
}

const tests = files.filter((path) => /^test\/(integration|fault)\/.*\.test\.ts$/.test(path));

test('each is named by a test that reads it over HTTP', () => {
  expect(families.length).toBeGreaterThan(50);
  expect(unread(families, tests.map(read))).toEqual([]);
});

test('the rule can fail', () => {
  const over = "import { Samples } from '../harness/samples.ts';\n";
  const names = ['holdfast_a_total', 'holdfast_b_seconds'];
  const good = `${over}value('holdfast_a_total{class="x"}'); value('holdfast_b_seconds_count');`;
  expect(unread(names, [good])).toEqual([]);
  expect(unread(names, [good.replace(over, '')])).toEqual(names);
  expect(unread(names, [good.replaceAll('value(', 'one.inside(')])).toEqual(names);
  expect(unread(names, [`${over}// holdfast_a_total and holdfast_b_seconds_count`])).toEqual(names);
  expect(unread(names, [good.replace('a_total', 'aa_total')])).toEqual(['holdfast_a_total']);
});

test('who reads families in the own process is called so', () => {
  const readers = files.filter(
    (path) => /^test\/(integration|fault|harness)\//.test(path) && /\.families\b/.test(read(path)),
  );
  expect(readers.length).toBeGreaterThan(0);
  expect(readers.filter((path) => !/\binside\(name/.test(read(path)))).toEqual([]);
});

test('docs/telemetry.md has each in its tables, and nothing else', () => {
  const rows = read('docs/telemetry.md').match(/^\| `(holdfast|rpc)_.*$/gm) ?? [];
  const named = rows.flatMap((row) => row.split('|')[1]!.match(/[a-z_]+/g) ?? []);
  expect([...new Set(named)].sort()).toEqual([...new Set(families)].sort());
});
