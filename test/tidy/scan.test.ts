/** The scanner behind the rules: it must see code as code and text as text, or the rules see nothing. */
import { describe, expect, test } from 'vitest';
import { functionsOf } from './functions.ts';
import { blank, importsOf } from './scan.ts';

const code = (source: string): string => blank(source).code.replaceAll(/\s+/g, ' ').trim();

describe('blank', () => {
  test.each([
    ['a // b', 'a'],
    ['a /* b\n c */ d', 'a d'],
    ["x('it is // no comment')", "x(' ')"],
    ['x("a\\"b", c)', 'x(" ", c)'],
    ["x('a\\\\'); y", "x(' '); y"],
    ['`text §{code({ a: `deep §{b}` })} text` + c', '` §{code({ a: ` §{b}` })} ` + c'],
    ['a = /[/"\']\\//.test(b)', 'a = / /.test(b)'],
    ['a / b / c', 'a / b / c'],
    ['return /x y/.test(a)', 'return / /.test(a)'],
    ["f(a) / 2; 'x'", "f(a) / 2; ' '"],
  ])('%s', (source, expected) => {
    // A dollar before a brace in a string looks like a forgotten template to the linter.
    expect(code(source.replaceAll('§', '$'))).toBe(expected.replaceAll('§', '$'));
  });

  test('keeps every line and column where it was', () => {
    const source = "const a = `one\ntwo §{b /* c\n */} three\n`; // d\n'e';\n".replace('§', '$');
    const blanked = blank(source);
    for (const text of [blanked.code, blanked.withText]) {
      expect(text.length).toBe(source.length);
      expect(text.split('\n').map((line) => line.length)).toEqual(
        source.split('\n').map((line) => line.length),
      );
    }
  });
});

describe('importsOf', () => {
  const shown = (source: string) =>
    importsOf(source).map(
      ({ from, typeOnly, dynamic }) => `${from}${typeOnly ? ' type' : ''}${dynamic ? ' dynamic' : ''}`,
    );

  test.each([
    ["import a from 'p';", ['p']],
    ["import a, { b } from 'p';", ['p']],
    ["import * as a from 'p';", ['p']],
    ["import {\n  type A,\n  b,\n} from './p.ts';", ['./p.ts']],
    ["import {\n  type A,\n  type B,\n} from './p.ts';", ['./p.ts type']],
    ["import type { A } from './p.ts';", ['./p.ts type']],
    ["import type A from './p.ts';", ['./p.ts type']],
    ["export { a } from './p.ts';", ['./p.ts']],
    ["export * from './p.ts';", ['./p.ts']],
    ["import 'p';", ['p']],
    ["const a = await import('./p.ts');", ['./p.ts dynamic']],
    ["type A = typeof import('./p.ts');", ['./p.ts type dynamic']],
    ["// import a from 'p';\nconst text = \"import b from 'q'\";", []],
  ])('%s', (source, expected) => {
    expect(shown(source)).toEqual(expected);
  });
});

describe('functionsOf', () => {
  const shown = (source: string) =>
    functionsOf(source).map(
      ({ line, lines, callee }) => `${line}+${lines}${callee === '' ? '' : ` ${callee}`}`,
    );

  test.each([
    ['function', 'function f(a: number): void {\n  a;\n}', ['1+3']],
    ['long signature', 'function f(\n  a: number,\n): Promise<{ b: string }> {\n  a;\n}', ['1+5']],
    ['method', 'class A {\n  m(): number {\n    return 1;\n  }\n}', ['2+3']],
    ['constructor', 'class A {\n  constructor(a: B) {\n    a;\n  }\n}', ['2+3']],
    ['arrow', 'const f = (a: B): C => {\n  a;\n};', ['1+3']],
    ['arrow that returns a function type', 'const f = (): (() => void) => {\n  a;\n};', ['1+3']],
    ['arrow without a body', 'const f = (a) => a + 1;', []],
    ['a literal is no body', 'const f = (a) => ({ a });', []],
    ['type literal as return type', 'function f(): { a: number } {\n  return g;\n}', ['1+3']],
    ['union with a type literal', 'function f(): A | { b: C } {\n  return g;\n}', ['1+3']],
    ['predicate', 'function f(a: B): a is C {\n  return g;\n}', ['1+3']],
    [
      'statements',
      'if (a) {\n}\nfor (const b of c) {\n}\nwhile (d) {\n}\nswitch (e) {\n}\ntry {\n} catch (f) {\n}',
      [],
    ],
    ['a function in a statement', 'if (a(() => {\n  b;\n})) {\n}', ['1+3 a']],
    ['a call in a condition', 'const a = f(b) ? { c } : { d };', []],
    ['a case', 'switch (a) {\n  case f(b): {\n    c;\n  }\n}', []],
    ['an interface', 'interface A {\n  m(a: B): { c: D };\n  n(): void;\n}', []],
    ['an overload', 'function f(a: B): C;\nfunction f(a: D) {\n  a;\n}', ['2+3']],
    [
      'the callee',
      "describe('a', () => {\n  test.each([\n    1,\n  ])('b', async () => {\n  });\n});",
      ['1+6 describe', '4+2 test.each'],
    ],
    ['text', 'const a = "function f() {"; // () => {', []],
  ])('%s', (_, source, expected) => {
    expect(shown(source).sort()).toEqual([...expected].sort());
  });
});
