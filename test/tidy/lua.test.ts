/** Lua files say what they are given: each KEYS and ARGV that is used stands in a header. */
import { expect, test } from 'vitest';
import { complain, files, read } from './files.ts';

const FOLDER = 'src/nodes/lua/';
const scripts = files.filter((path) => path.startsWith(FOLDER) && path.endsWith('.lua'));

interface Composed {
  readonly name: string;
  readonly parts: readonly string[];
}

/** How src/nodes/scripts.ts puts the scripts together. */
function composedIn(source: string): Composed[] {
  return [...source.matchAll(/compose\('(\w+)', \[([^\]]*)\],?\s*\)/g)].map(([, name, parts]) => ({
    name: name!,
    parts: [...parts!.matchAll(/'(\w+)'/g)].map(([, part]) => part!),
  }));
}

function headerOf(source: string): string {
  return /^--\[\[\n([\s\S]*?)\n\]\]/.exec(source)?.[1] ?? '';
}

function slots(text: string): Set<string> {
  return new Set([...text.matchAll(/\b(?:KEYS|ARGV)\[\d+\]/g)].map(([slot]) => slot));
}

/** Lua without comments and headers. */
function codeOf(source: string): string {
  return source.replaceAll(/--\[\[[\s\S]*?\]\]/g, '').replaceAll(/--[^\n]*/g, '');
}

function faults(path: string, source: string, together: readonly string[]): string[] {
  const name = path.split('/').at(-1)!;
  const header = headerOf(source);
  if (!header.startsWith(`${name}: `))
    return [complain(path, 1, `must open with --[[ and a line "${name}: what it does"`)];
  const documented = slots([header, ...together.map(headerOf)].join('\n'));
  const missing = [...slots(codeOf(source))].filter((slot) => !documented.has(slot));
  return missing.map((slot) => complain(path, 1, `uses ${slot}, which no header of its script explains`));
}

const composed = composedIn(read('src/nodes/scripts.ts'));

function companions(path: string): string[] {
  const name = path.split('/').at(-1)!.replace('.lua', '');
  const parts = new Set(
    composed.filter((script) => script.parts.includes(name)).flatMap((script) => script.parts),
  );
  return [...parts].filter((part) => part !== name).map((part) => read(`${FOLDER}${part}.lua`));
}

test('every script opens with its name and explains each key and argument that it uses', () => {
  expect(scripts.length).toBeGreaterThan(0);
  expect(scripts.flatMap((path) => faults(path, read(path), companions(path)))).toEqual([]);
});

test('every Lua file belongs to a script, and every script is made of files that exist', () => {
  const used = new Set(composed.flatMap(({ parts }) => parts.map((part) => `${FOLDER}${part}.lua`)));
  expect([...used].sort()).toEqual(scripts);
});

test('explains nothing that is not there: every documented argument is used in its script', () => {
  const idle = composed.flatMap(({ name, parts }) => {
    const texts = parts.map((part) => read(`${FOLDER}${part}.lua`));
    const used = slots(texts.map(codeOf).join('\n'));
    return [...slots(texts.map(headerOf).join('\n'))]
      .filter((slot) => slot.startsWith('ARGV') && !used.has(slot))
      .map((slot) => `${name}: ${slot} is explained and not used`);
  });
  expect(idle).toEqual([]);
});

test.each([
  ['no header', 'local a = 1', /must open with/],
  ['another name', '--[[\nother.lua: does a\n]]\n', /must open with/],
  [
    'an unexplained key',
    '--[[\na.lua: does a\n\nKEYS[1] names\n]]\nredis.call(KEYS[1], KEYS[2])',
    /uses KEYS\[2\]/,
  ],
  ['an unexplained argument', '--[[\na.lua: does a\n]]\nlocal a = ARGV[1]', /uses ARGV\[1\]/],
])('the rule can fail: %s', (_, source, why) => {
  expect(faults('src/nodes/lua/a.lua', source, [])).toEqual([expect.stringMatching(why)]);
});

test('a key that the other half of the script explains is explained', () => {
  const other = '--[[\nb.lua: does b\n\nKEYS[2] more\n]]\n';
  expect(faults('src/nodes/lua/a.lua', '--[[\na.lua: does a\n]]\nf(KEYS[2]) -- KEYS[9]', [other])).toEqual(
    [],
  );
});
