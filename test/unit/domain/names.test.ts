/** What callers may call things, at the edges of each rule. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { prefixFault, resourceFault, textFault } from '../../../src/domain/names.ts';

test('a resource is 1 to 256 letters, digits and . _ : / @ + -, and nothing else', () => {
  for (const good of ['a', 'A9', 'gpu/0', 'x@y:z+1-2_3.4', 'r'.repeat(limits.resourceLength)]) {
    expect(resourceFault(good), good).toBeUndefined();
  }
  expect(resourceFault('')).toBe('must not be empty');
  expect(resourceFault('r'.repeat(limits.resourceLength + 1))).toMatch(/at most 256/);
  for (let code = 0; code < 0x2_00; code += 1) {
    const text = String.fromCharCode(code);
    const allowed = /[A-Za-z0-9._:/@+-]/.test(text);
    expect(resourceFault(text) === undefined, `U+${code.toString(16)}`).toBe(allowed);
    expect(resourceFault(`a${text}`) === undefined, `a U+${code.toString(16)}`).toBe(allowed);
  }
});

test('a prefix may be empty, and is otherwise the beginning of a resource', () => {
  expect(prefixFault('')).toBeUndefined();
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }), (text) => {
      expect(prefixFault(text)).toBe(resourceFault(text));
    }),
  );
});

test('free text may hold anything printable that comes back as it went in', () => {
  for (const good of ['w1', 'host/1/2', 'Jos\u00e9 \u2713 \u{1f512}', 'a b'])
    expect(textFault(good, 1, 20), good).toBeUndefined();
  for (const bad of ['a\u0000', 'a\u001f', '\n', '\u007f', 'a\ufffd', 'a\ud800', '\udc00b']) {
    expect(textFault(bad, 0, 20), JSON.stringify(bad)).toMatch(/UTF-8 text/);
  }
  expect(textFault('', 1, 5)).toBe('must not be empty');
  expect(textFault('', 0, 5)).toBeUndefined();
  expect(textFault('abcdef', 0, 5)).toBe('must be at most 5 characters');
  expect(textFault('abcde', 0, 5)).toBeUndefined();
});

test('text without a fault survives UTF-8 unchanged', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
      fc.pre(textFault(text, 0, 100) === undefined);
      expect(Buffer.from(text, 'utf8').toString('utf8')).toBe(text);
      // The separator between fields on the nodes.
      expect(text).not.toContain('\u001f');
    }),
  );
});
