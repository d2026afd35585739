/** Who may be let in from where: what must be set before an address beyond this machine is served. */
import { describe, expect, test } from 'vitest';
import { loadSettings } from '../../src/config.ts';

const WIDE = { HOLDFAST_LISTEN: '0.0.0.0:7420' };
const ACCESS = { HOLDFAST_ACCESS: '/etc/holdfast/access.yaml' };
const TLS = { HOLDFAST_TLS_CERT: '/etc/holdfast/cert.pem', HOLDFAST_TLS_KEY: '/etc/holdfast/key.pem' };
const INSECURE = { HOLDFAST_ALLOW_INSECURE: '1' };
const WIDE_HTTP = { HOLDFAST_HTTP_LISTEN: '0.0.0.0:7421' };
const CLIENT_CA = { HOLDFAST_TLS_CLIENT_CA: '/etc/holdfast/ca.pem' };

function load(env: Record<string, string>): { problems: string; warnings: string } {
  const loaded = loadSettings({ argv: [], env });
  return loaded.ok
    ? { problems: '', warnings: loaded.warnings.join('\n') }
    : { problems: loaded.problems.join('\n'), warnings: '' };
}

describe('beyond this machine', () => {
  test.each([
    [
      'without anything',
      WIDE,
      /HOLDFAST_LISTEN "0.0.0.0:7420".*callers are not authenticated.*HOLDFAST_ACCESS/,
    ],
    ['with TLS alone', { ...WIDE, ...TLS }, /callers are not authenticated/],
    ['with tokens in clear', { ...WIDE, ...ACCESS }, /credentials would travel in clear.*HOLDFAST_TLS_CERT/],
    ['/metrics of a service that asks nobody', WIDE_HTTP, /HOLDFAST_HTTP_LISTEN.*not authenticated/],
  ])('%s is refused', (_, env, why) => {
    expect(load(env).problems).toMatch(why);
    expect(load({ ...env, ...INSECURE }).problems).toBe('');
  });

  test.each([
    ['with both', { ...WIDE, ...ACCESS, ...TLS }],
    ['/metrics beside a guarded service', { ...WIDE_HTTP, ...ACCESS }],
    ['nothing: a unix socket and loopback need neither', { HOLDFAST_LISTEN: 'unix:/run/h.sock,127.0.0.1:1' }],
  ])('%s is served', (_, env) => {
    expect(load(env).problems).toBe('');
  });
});

describe('of TLS', () => {
  test.each([
    [{ HOLDFAST_TLS_CERT: '/c' }, /^HOLDFAST_TLS_CERT needs HOLDFAST_TLS_KEY/m],
    [{ HOLDFAST_TLS_KEY: '/k' }, /^HOLDFAST_TLS_KEY needs HOLDFAST_TLS_CERT/m],
    [{ ...CLIENT_CA, ...ACCESS }, /^HOLDFAST_TLS_CLIENT_CA needs HOLDFAST_TLS_CERT/m],
    [{ ...CLIENT_CA, ...TLS }, /^HOLDFAST_TLS_CLIENT_CA needs HOLDFAST_ACCESS/m],
    [{ ...WIDE, ...CLIENT_CA, ...TLS, ...INSECURE }, /^HOLDFAST_TLS_CLIENT_CA needs HOLDFAST_ACCESS/m],
    [
      { HOLDFAST_TLS_CLIENT_AUTH: 'require' },
      /^HOLDFAST_TLS_CLIENT_AUTH=require needs HOLDFAST_TLS_CLIENT_CA/m,
    ],
    [
      { ...TLS, ...ACCESS, HOLDFAST_TLS_CLIENT_AUTH: 'request' },
      /^HOLDFAST_TLS_CLIENT_AUTH=request needs HOLDFAST_TLS_CLIENT_CA/m,
    ],
  ])('half of what it needs is refused: %j', (env, why) => {
    expect(load(env).problems).toMatch(why);
  });

  test('a certificate that nobody was told to ask for needs nothing', () => {
    for (const env of [{}, { ...TLS, ...ACCESS }, { HOLDFAST_TLS_CLIENT_AUTH: 'none' }]) {
      expect(load(env).problems, JSON.stringify(env)).toBe('');
    }
  });

  test('a CA that nobody asks for is doubted', () => {
    const env = { ...TLS, ...ACCESS, ...CLIENT_CA };
    expect(load({ ...env, HOLDFAST_TLS_CLIENT_AUTH: 'none' }).warnings).toMatch(/CLIENT_CA has no effect/);
    expect(load(env).warnings).not.toMatch(/CLIENT_CA/);
  });
});
