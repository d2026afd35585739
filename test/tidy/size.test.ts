/** Files and functions stay small, and each file says first what it is for. */
import { describe, expect, test } from 'vitest';
import { benches, complain, files, read, sources, tests } from './files.ts';
import { functionsOf } from './functions.ts';

const FILE_LINES = 300;
const FUNCTION_LINES = 70;

/** Files that may be longer, up to where they are today, with the reason. */
const LONGER: Readonly<Record<string, { readonly most: number; readonly because: string }>> = {};

/** A list of tests is no function that anybody has to keep in mind at once. */
const LISTS = /^(describe|suite)(\.|$)/;

const ours = [...sources, ...tests, ...benches];
const sized = files.filter((path) => /^(src|test|bench|clients)\/.*\.(ts|mjs|js|py|lua|c)$/.test(path));

function tooLong(path: string, source: string): string[] {
  const lines = source.trimEnd().split('\n').length;
  const most = LONGER[path]?.most ?? FILE_LINES;
  if (lines <= most) return [];
  return [
    complain(path, most, `has ${lines} lines, at most ${most}: split it where its purpose needs an "and"`),
  ];
}

function longFunctions(path: string, source: string): string[] {
  return functionsOf(source)
    .filter(({ lines, callee }) => lines > FUNCTION_LINES && !LISTS.test(callee))
    .map(({ line, lines }) =>
      complain(path, line, `a function of ${lines} lines, at most ${FUNCTION_LINES}: give its parts names`),
    );
}

/** One sentence, in a comment that opens on the first line. */
function withoutPurpose(path: string, source: string): string[] {
  const body = source.startsWith('#!') ? source.slice(source.indexOf('\n') + 1) : source;
  const comment = /^\/\*\*([\s\S]*?)\*\//.exec(body)?.[1];
  const sentence = comment?.replaceAll(/\n \*/g, '\n').trim().split('\n\n')[0];
  if (
    sentence !== undefined &&
    sentence.length >= 20 &&
    /^([A-Z`'"\d]|gRPC|bin\/)/.test(sentence) &&
    /[.?!:]$/.test(sentence)
  )
    return [];
  return [complain(path, 1, 'must open with /** a sentence that says what the file is for. */')];
}

describe('files', () => {
  test(`have at most ${FILE_LINES} lines`, () => {
    expect(sized.flatMap((path) => tooLong(path, read(path)))).toEqual([]);
  });

  test('open with a sentence of purpose', () => {
    expect(ours.flatMap((path) => withoutPurpose(path, read(path)))).toEqual([]);
  });

  test('the exceptions still need to be', () => {
    expect(
      Object.keys(LONGER).filter(
        (path) => !files.includes(path) || read(path).split('\n').length <= FILE_LINES,
      ),
    ).toEqual([]);
  });
});

test(`functions have at most ${FUNCTION_LINES} lines`, () => {
  expect(ours.flatMap((path) => longFunctions(path, read(path)))).toEqual([]);
});

describe('the rules can fail', () => {
  const body = (lines: number): string => 'a;\n'.repeat(lines);

  test('a file of one line too many', () => {
    expect(tooLong('src/a.ts', body(FILE_LINES))).toEqual([]);
    expect(tooLong('src/a.ts', body(FILE_LINES + 1))).toEqual([expect.stringMatching(/301 lines.*split it/)]);
  });

  test('a function of one line too many, of any kind, and only itself', () => {
    for (const head of [
      'function f() {',
      'const f = (a: B): C => {',
      'class A {\n  m(): { a: B } {',
      "test('a', async () => {",
    ]) {
      const tail = head.startsWith('class') ? '}\n}' : head.startsWith('test') ? '});' : '}';
      expect(longFunctions('src/a.ts', `${head}\n${body(FUNCTION_LINES - 2)}${tail}`), head).toEqual([]);
      const broken = longFunctions('src/a.ts', `${head}\n${body(FUNCTION_LINES - 1)}${tail}`);
      expect(broken, head).toEqual([expect.stringMatching(/71 lines/)]);
    }
    expect(longFunctions('test/a.ts', `describe('a', () => {\n${body(FUNCTION_LINES)}});`)).toEqual([]);
  });

  test('a file without a purpose, or with half a sentence', () => {
    for (const source of [
      "import a from 'a';",
      '// What it is for.',
      '/** short. */',
      '/** no capital letter to begin with. */',
      '/** No end to this sentence */',
    ]) {
      expect(withoutPurpose('src/a.ts', source).length, source).toBe(1);
    }
    for (const source of [
      '/** What this file is for. */',
      '/**\n * What this file is for,\n * on two lines.\n *\n * More\n */',
      '#!/usr/bin/env node\n/** What this file is for. */',
    ]) {
      expect(withoutPurpose('src/a.ts', source), source).toEqual([]);
    }
  });
});
