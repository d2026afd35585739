/** What a client command shows of itself: found in flags and environment, checked, and never told. */
import { expect, test } from 'vitest';
import { loadCaller } from '../../src/config/caller.ts';

const files: Record<string, string> = { token: 'hft_abc\n', other: 'hft_def', bad: 'two words', pem: 'PEM' };

function load(flags: Parameters<typeof loadCaller>[0], env: Record<string, string> = {}) {
  return loadCaller(flags, env, (path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return Buffer.from(text);
  });
}

const tokenOf = (loaded: ReturnType<typeof load>) =>
  loaded.ok ? loaded.caller.token?.reveal() : loaded.problems;

test('without a word it is nobody, in plain text', () => {
  expect(load({})).toEqual({ ok: true, caller: { token: undefined, tls: undefined } });
  expect(load({}, { HOLDFAST_AUTH_TOKEN: '', HOLDFAST_CLIENT_CA: '' })).toEqual(load({}));
});

test('a flag beats the environment, and the end of a line belongs to no token', () => {
  expect(tokenOf(load({ 'auth-token-file': 'token' }, { HOLDFAST_AUTH_TOKEN_FILE: 'other' }))).toBe(
    'hft_abc',
  );
  expect(tokenOf(load({ 'auth-token-file': 'token' }, { HOLDFAST_AUTH_TOKEN: 'direct' }))).toBe('hft_abc');
  expect(tokenOf(load({}, { HOLDFAST_AUTH_TOKEN_FILE: 'other' }))).toBe('hft_def');
  expect(tokenOf(load({}, { HOLDFAST_AUTH_TOKEN: 'direct' }))).toBe('direct');
});

test('what is wrong names its place, and never shows a token', () => {
  const both = load({}, { HOLDFAST_AUTH_TOKEN: 'direct', HOLDFAST_AUTH_TOKEN_FILE: 'other' });
  expect(both).toEqual({ ok: false, problems: [expect.stringContaining('only one of them')] });
  for (const loaded of [load({ 'auth-token-file': 'bad' }), load({}, { HOLDFAST_AUTH_TOKEN: 'two words' })]) {
    expect(loaded.ok).toBe(false);
    expect(JSON.stringify(loaded)).not.toContain('two words');
  }
  expect(load({ 'auth-token-file': 'none' })).toEqual({
    ok: false,
    problems: ['--auth-token-file "none" cannot be read (ENOENT)'],
  });
  expect(JSON.stringify(load({}, { HOLDFAST_AUTH_TOKEN: 'direct' }))).not.toContain('direct');
});

test('TLS is spoken where somebody is trusted or a certificate is shown', () => {
  const pem = Buffer.from('PEM');
  const tls = (loaded: ReturnType<typeof load>) => (loaded.ok ? loaded.caller.tls : loaded.problems);
  expect(tls(load({ 'tls-ca': 'pem' }))).toEqual({ ca: pem, cert: undefined, key: undefined });
  expect(tls(load({ 'tls-ca': 'system' }))).toEqual({ ca: undefined, cert: undefined, key: undefined });
  expect(tls(load({}, { HOLDFAST_CLIENT_CERT: 'pem', HOLDFAST_CLIENT_KEY: 'pem' }))).toEqual({
    ca: undefined,
    cert: pem,
    key: pem,
  });
  expect(tls(load({ 'tls-cert': 'pem' }))).toEqual([expect.stringContaining('needs its key')]);
  expect(tls(load({ 'tls-ca': 'gone' }))).toEqual(['--tls-ca "gone" cannot be read (ENOENT)']);
});
