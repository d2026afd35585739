/** Settings together: every mistake is told at once and no secret ever; relations, secrets, nodes, tracing. */
import { describe, expect, test } from 'vitest';
import {
  connectionUrl,
  describeSettings,
  loadAddress,
  loadSettings,
  type Settings,
} from '../../src/config.ts';

type Input = { argv?: string[]; env?: Record<string, string>; files?: Record<string, string> };

function load({ argv = [], env = {}, files = {} }: Input = {}) {
  return loadSettings({
    argv,
    env,
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
      return text;
    },
  });
}

function settingsOf(input: Input): Settings {
  const loaded = load(input);
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
  return loaded.settings;
}

function problemsOf(input: Input): readonly string[] {
  const loaded = load(input);
  return loaded.ok ? [] : loaded.problems;
}

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });
const settings = describeSettings();

describe('mistakes', () => {
  test('are all told at once, each with its name, its value and what is allowed', () => {
    const problems = problemsOf({
      argv: ['--workers', 'many', '--nonsense'],
      env: {
        HOLDFAST_DEFAULT_TTL: 'soon',
        HOLDFAST_LOG_LEVEL: 'loud',
        HOLDFAST_REDIS_NODES: 'redis://a,redis://b',
      },
    });
    expect(problems).toEqual([
      '--nonsense is no setting',
      expect.stringMatching(/^HOLDFAST_REDIS_NODES \(environment\): must list an odd number/),
      'HOLDFAST_DEFAULT_TTL "soon" (environment): must be a duration from 10ms to 24h, such as 250ms, 30s or 15m',
      expect.stringMatching(/^HOLDFAST_LOG_LEVEL "loud" \(environment\): must be one of trace, debug/),
      '--workers "many" (flag): must be a whole number from 1 to 64',
    ]);
  });

  test('in names come with the name that was meant', () => {
    expect(problemsOf({ env: { HOLDFAST_DEFALT_TTL: '1s' } })).toEqual([
      'HOLDFAST_DEFALT_TTL is no setting; did you mean HOLDFAST_DEFAULT_TTL?',
    ]);
    expect(problemsOf({ argv: ['--redis-node', 'redis://a'] })).toEqual([
      '--redis-node is no setting; did you mean --redis-nodes?',
    ]);
  });

  test('in the file are told by line', () => {
    const files = {
      f: 'HOLDFAST_WORKERS=1\nnonsense\nHOLDFAST_WORKER=2\nHOLDFAST_WORKERS=1\nOTEL_SDK_DISABLED=1',
    };
    expect(problemsOf({ argv: ['--config=f'], files })).toEqual([
      'line 2 of the settings file is not KEY=VALUE',
      'line 3 of the settings file: HOLDFAST_WORKER is no setting; did you mean HOLDFAST_WORKERS?',
      'line 4 of the settings file: HOLDFAST_WORKERS was set before',
      'line 5 of the settings file: OTEL_SDK_DISABLED is read from the environment only',
    ]);
  });

  test('a settings file that cannot be read is one', () => {
    expect(problemsOf({ argv: ['--config', 'gone'] })).toEqual([
      'HOLDFAST_CONFIG "gone" cannot be read (ENOENT)',
    ]);
  });

  test('a flag without its value, and an argument that is no flag', () => {
    expect(problemsOf({ argv: ['--listen', '--bootstrap', 'extra', '--workers'] })).toEqual([
      '--listen needs a value',
      expect.stringContaining('argument 3 is no flag'),
      '--workers needs a value',
    ]);
  });

  test('variables that Kubernetes sets beside a Service, and those of clients, are none', () => {
    const env = {
      HOLDFAST_PORT: 'tcp://10.0.0.1:7420',
      HOLDFAST_SERVICE_HOST: '10.0.0.1',
      HOLDFAST_SERVICE_PORT_GRPC: '7420',
      HOLDFAST_PORT_7420_TCP_ADDR: '10.0.0.1',
      HOLDFAST_ADDRESS: 'a:1',
      HOLDFAST_TOKEN: '5',
      HOLDFAST_RESOURCES: 'a',
    };
    expect(problemsOf({ env })).toEqual([]);
  });
});

describe('relations', () => {
  test.each([
    [{ HOLDFAST_MIN_TTL: '2m' }, /MIN_TTL \(2m\) must not be above HOLDFAST_MAX_TTL \(60s\)/],
    [{ HOLDFAST_DEFAULT_TTL: '61s' }, /DEFAULT_TTL \(61s\) must not be above HOLDFAST_MAX_TTL/],
    [{ HOLDFAST_DEFAULT_TTL: '50ms' }, /MIN_TTL \(100ms\) must not be above HOLDFAST_DEFAULT_TTL/],
    [
      { HOLDFAST_NODE_TIMEOUT: '5s', HOLDFAST_MAX_TTL: '5s' },
      /NODE_TIMEOUT \(5s\) must be below HOLDFAST_MAX_TTL/,
    ],
    [{ HOLDFAST_LISTEN: '127.0.0.1:9', HOLDFAST_HTTP_LISTEN: '127.0.0.1:9' }, /must not both be 127.0.0.1:9/],
    [
      { HOLDFAST_LISTEN: '0.0.0.0:7420' },
      /LISTEN "0.0.0.0:7420" can be reached .* HOLDFAST_ALLOW_INSECURE=1/,
    ],
    [{ HOLDFAST_HTTP_LISTEN: '[::]:80' }, /HTTP_LISTEN "\[::\]:80" can be reached/],
    [{ HOLDFAST_LISTEN: '127.0.0.1:1,lock.example:2' }, /lock.example:2/],
    [{ HOLDFAST_WORKERS: '2' }, /WORKERS \(2\) must be 1 without HOLDFAST_REDIS_NODES/],
    [{ HOLDFAST_WORKERS: '2', HOLDFAST_REDIS_NODES: 'redis://a,redis://b' }, /NODES .*an odd number/],
  ])('%j is refused', (env, what) => {
    expect(problemsOf({ env })).toEqual([expect.stringMatching(what)]);
  });

  test('HOLDFAST_ALLOW_INSECURE=1 allows other machines in', () => {
    const env = {
      HOLDFAST_LISTEN: '0.0.0.0:7420',
      HOLDFAST_HTTP_LISTEN: '0.0.0.0:7421',
      HOLDFAST_ALLOW_INSECURE: '1',
    };
    expect(problemsOf({ env })).toEqual([]);
  });

  test('a default ttl that nobody chose gives way to the bounds that somebody did', () => {
    expect(settingsOf({ env: { HOLDFAST_MAX_TTL: '5s' } }).defaultTtlMs).toBe(5000);
    expect(settingsOf({ env: { HOLDFAST_MIN_TTL: '40s' } }).defaultTtlMs).toBe(40_000);
  });

  test('an empty list of nodes is refused, for it would mean one process that forgets', () => {
    expect(problemsOf({ env: { HOLDFAST_REDIS_NODES: '' } })).toEqual([expect.stringContaining('is empty')]);
    expect(problemsOf({ env: { HOLDFAST_LOG_LEVEL: '' } })).toEqual([]);
  });
});

describe('secrets', () => {
  const SECRET = 's3cr%65t!';

  test.each([
    ['redis://user:s3cr%65t!@a:1,redis://b:1'],
    ['redis://:s3cr%65t!@a:99999'],
    ['redis://:s3cr%65t!,more@a:1'],
    ['redis://:s3cr%65t!'],
    ['redis://u:s3cr%65t!@a:1/nodb,redis://u:s3cr%65t!@a:1,x'],
    ['user:s3cr%65t!@a:1'],
    ['http://user:s3cr%65t!@a:1'],
    ['unix://user:s3cr%65t!@/run/a.sock'],
    ['redis://u:s3cr%65t!@a:1#b c'],
  ])('no problem shows the password of %j, whichever setting it was put into', (text) => {
    for (const { name, flag } of settings) {
      for (const input of [{ env: { [name]: text } }, { argv: [flag, text] }, { argv: [text] }]) {
        const loaded = load(input);
        if (!loaded.ok && name === 'HOLDFAST_REDIS_NODES') expect(loaded.problems.length).toBeGreaterThan(0);
        const told = JSON.stringify(loaded.ok ? [loaded.effective, loaded.warnings] : loaded.problems);
        expect(told).not.toMatch(/s3cr/);
      }
    }
  });

  test('settings that are printed or made JSON show stars', () => {
    const loaded = load({ env: { HOLDFAST_REDIS_NODES: `redis://u:${SECRET}@a:1` } });
    expect(JSON.stringify(loaded)).not.toMatch(/s3cr/);
    expect(loaded.ok && loaded.effective.find(({ name }) => name === 'HOLDFAST_REDIS_NODES')?.value).toBe(
      'redis://u:***@a:1',
    );
  });

  test('are read from files of their own, without the line end', () => {
    const env = { HOLDFAST_REDIS_NODES_FILE: 'nodes', HOLDFAST_REDIS_PASSWORD_FILE: 'word' };
    const files = { nodes: 'redis://a,redis://:own@b,redis://me@c\n', word: 'common\n' };
    const { redisNodes } = settingsOf({ env, files });
    expect(redisNodes.map((node) => node.password?.reveal())).toEqual(['common', 'own', 'common']);
    expect(redisNodes.map(connectionUrl)).toEqual([
      'redis://:common@a:6379',
      'redis://:own@b:6379',
      'redis://me:common@c:6379',
    ]);
  });

  test('cannot be given both ways, nor by a file that is not there', () => {
    const both = { HOLDFAST_REDIS_PASSWORD: 'x', HOLDFAST_REDIS_PASSWORD_FILE: 'f' };
    expect(problemsOf({ env: both })).toEqual([expect.stringContaining('only one of them may be set')]);
    expect(problemsOf({ env: { HOLDFAST_REDIS_PASSWORD_FILE: 'f' } })).toEqual([
      'HOLDFAST_REDIS_PASSWORD_FILE "f" cannot be read (ENOENT)',
    ]);
  });

  test.each([
    ['--redis-nodes', 'redis://:sesame@a'],
    ['--redis-nodes=redis://a,redis://u:sesame@b'],
    ['--redis-password', 'sesame'],
    ['--archive', 'postgres://u:sesame@h/d'],
    ['--event-stream', 'redis://:sesame@a'],
  ])('on the command line, where all users can read them, are refused: %s', (...argv) => {
    const [problem = '', ...more] = problemsOf({ argv });
    expect(problem).toMatch(/^--[a-z-]+ bears a password.*: use --[a-z-]+-file FILE/);
    expect(JSON.stringify([problem, more])).not.toContain('sesame');
  });

  test('that are none may stand there', () => {
    expect(load({ argv: ['--redis-nodes', 'redis://a', '--archive', 'off'] }).ok).toBe(true);
  });
});

describe('the nodes', () => {
  test('keep their id as configured, without credentials, and an explicit name wins', () => {
    const [node] = settingsOf({
      env: { HOLDFAST_REDIS_NODES: 'rediss://me:p%40ss@Redis-1.example:7000/2#one' },
    }).redisNodes;
    expect(node).toMatchObject({
      id: 'one',
      url: 'rediss://Redis-1.example:7000/2#one',
      tls: true,
      db: 2,
      username: 'me',
    });
    expect(node?.address).toEqual(tcp('Redis-1.example', 7000));
    expect(node?.password?.reveal()).toBe('p@ss');
    expect(node && connectionUrl(node)).toBe('rediss://me:p%40ss@Redis-1.example:7000/2');
  });

  test('are warned of when there is only one, or none', () => {
    const one = load({ env: { HOLDFAST_REDIS_NODES: 'redis://a' } });
    expect(one.ok && one.warnings).toEqual([expect.stringContaining('one node')]);
    const none = load({ env: { HOLDFAST_BOOTSTRAP: '1' } });
    expect(none.ok && none.warnings).toEqual([
      expect.stringContaining('do not survive it'),
      expect.stringContaining('the embedded store needs none'),
    ]);
  });
});

test('settings are frozen to the last leaf', () => {
  const all = settingsOf({ env: { HOLDFAST_REDIS_NODES: 'redis://a' } });
  expect(Object.isFrozen(all)).toBe(true);
  expect(Object.isFrozen(all.listen[0])).toBe(true);
  expect(Object.isFrozen(all.redisNodes[0]?.address)).toBe(true);
});

test('a switch may stand alone, have a value, or be negated', () => {
  expect(settingsOf({ argv: ['--bootstrap', '--max-waiters', '2'] })).toMatchObject({
    bootstrap: true,
    maxWaiters: 2,
  });
  expect(settingsOf({ argv: ['--bootstrap=0'] }).bootstrap).toBe(false);
  expect(settingsOf({ argv: ['--no-bootstrap'], env: { HOLDFAST_BOOTSTRAP: '1' } }).bootstrap).toBe(false);
});

test('client commands take the flag, then HOLDFAST_ADDRESS, then the default', () => {
  expect(loadAddress(undefined, {})).toEqual({ ok: true, address: '127.0.0.1:7420' });
  expect(loadAddress(undefined, { HOLDFAST_ADDRESS: 'unix:/run/h' })).toEqual({
    ok: true,
    address: 'unix:/run/h',
  });
  expect(loadAddress('[::1]:5', { HOLDFAST_ADDRESS: 'unix:/run/h' })).toEqual({
    ok: true,
    address: '[::1]:5',
  });
  expect(loadAddress('nowhere', {})).toEqual({
    ok: false,
    problems: [expect.stringContaining('--address "nowhere"')],
  });
});
