/** The repository as a whole: fresh generated code, no dead files, pinned packages, nothing of anybody's machine. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { complain, files, read, root, sources } from './files.ts';
import { entries, reached } from './reach.ts';
import { lineOf } from './scan.ts';

test('src/edge/gen is what proto/ generates', () => {
  const { status, stderr } = spawnSync(join(root, 'scripts/check-gen.sh'), {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
}, 40_000);

test('every source file can be reached from an entry point', () => {
  const live = reached(Object.keys(entries), new Set(sources), read);
  const dead = sources.filter((path) => !live.has(path));
  expect(dead, 'delete it, or import it, or name it in test/tidy/reach.ts').toEqual([]);
});

test('the dead-file rule can fail', () => {
  const texts: Record<string, string> = {
    'src/a.ts': "import { b } from './b.ts';\nawait import('./c.ts');",
    'src/b.ts': '',
    'src/c.ts': "import type { D } from './d.ts';",
    'src/d.ts': "import './a.ts';",
    'src/dead.ts': "import './a.ts';",
  };
  const live = reached(['src/a.ts'], new Set(Object.keys(texts)), (path) => texts[path]!);
  expect([...live].sort()).toEqual(['src/a.ts', 'src/b.ts', 'src/c.ts', 'src/d.ts']);
});

// Put together, so that this file does not complain of itself.
const MACHINE = new RegExp(`(?<![\\w.$}~-])/(${['work', 'root', 'home'].join('|')})/`, 'g');
const LEFT = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`, 'g');

interface Trace {
  readonly what: RegExp;
  readonly instead: string;
}

const traces: readonly Trace[] = [
  { what: MACHINE, instead: 'is a path of one machine: make it relative, or find it at run time' },
  { what: LEFT, instead: 'do it, or open an issue and say why it may wait' },
];

/** Where such text is right, with the reason. */
const RIGHT: Readonly<Record<string, string>> = {};

function tracesIn(path: string, source: string): string[] {
  if (RIGHT[path] !== undefined) return [];
  return traces.flatMap(({ what, instead }) =>
    [...source.matchAll(what)].map(({ 0: found, index }) =>
      complain(path, lineOf(source, index), `${found} ${instead}`),
    ),
  );
}

test('nothing names a place on one machine, and nothing was put off with a mark in the text', () => {
  expect(files.flatMap((path) => tracesIn(path, read(path)))).toEqual([]);
});

test('the trace rule can fail, and lets relative and other paths be', () => {
  const machine = ['', 'home', 'me', 'x'].join('/');
  const mark = `${'TO' + 'DO'}: later`;
  expect(tracesIn('a.md', `see ${machine}`)).toEqual([expect.stringMatching(/one machine/)]);
  expect(tracesIn('a.ts', `a;\n// ${mark}`)).toEqual([expect.stringMatching(/^a\.ts:2: .*do it/)]);
  expect(
    tracesIn('a.sh', `mktemp /tmp/a.${'X'.repeat(6)}; cd ../work/; cat "$dir/work/a" /tmp/work /var/lib`),
  ).toEqual([]);
});

interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly overrides?: Record<string, unknown>;
}

/** Our own workspace packages are meant by path. */
const PINNED = /^(\d+\.\d+\.\d+(-[\w.]+)?|file:[\w./-]+|npm:[@\w/.-]+@\d+\.\d+\.\d+(-[\w.]+)?)$/;

/** Packages that others install: what they depend on must admit other versions beside ours. The lock pins it here. */
const PUBLISHED = /^clients\/typescript\/package\.json$/;
const RANGE = /^\^\d+\.\d+\.\d+$/;

function loose(path: string, source: string): string[] {
  const manifest = JSON.parse(source) as Manifest;
  const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
  return Object.entries(all)
    .filter(([, version]) => !(PUBLISHED.test(path) ? RANGE : PINNED).test(version))
    .map(([name, version]) => complain(path, 1, `${name} is "${version}": pin one exact version`));
}

test('every package is pinned to one exact version', () => {
  const manifests = files.filter((path) => /(^|\/)package\.json$/.test(path));
  expect(manifests).toContain('package.json');
  expect(manifests.flatMap((path) => loose(path, read(path)))).toEqual([]);
});

test('the lock file holds no download addresses, so it installs from any registry', () => {
  const lock = read('package-lock.json');
  const at = lock.indexOf('"resolved": "http');
  expect(
    at < 0
      ? ''
      : complain(
          'package-lock.json',
          lineOf(lock, at),
          'npm config set omit-lockfile-registry-resolved true',
        ),
  ).toBe('');
});

test.each(['^1.2.3', '~1.2.3', '1.x', '*', 'latest', '>=1.0.0', '', '1.2', 'https://example.org/a.tgz'])(
  'the pin rule can fail: %s',
  (version) => {
    expect(loose('package.json', JSON.stringify({ dependencies: { a: version } })).length).toBe(1);
    expect(loose('package.json', JSON.stringify({ devDependencies: { a: version } })).length).toBe(1);
  },
);

test('a package that others install may name a range, and nothing looser', () => {
  const of = (version: string): number =>
    loose('clients/typescript/package.json', JSON.stringify({ dependencies: { a: version } })).length;
  expect(['^1.2.3', '*', '>=1.0.0', '^1.2', 'latest'].map(of)).toEqual([0, 1, 1, 1, 1]);
});

test('pinned versions are pinned', () => {
  const good = { a: '1.2.3', b: '5.0.0-beta.2', c: 'file:clients/typescript' };
  expect(loose('package.json', JSON.stringify({ dependencies: good }))).toEqual([]);
});
