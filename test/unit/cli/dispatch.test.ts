/** The command line: help, wrong usage, settings that are wrong; without a service and without a socket. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { dispatch } from '../../../src/cli/dispatch.ts';

async function run(...argv: string[]) {
  let out = '';
  let err = '';
  const code = await dispatch(argv, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    input: async () => '\n',
  });
  return { code, out, err };
}

afterEach(() => vi.unstubAllEnvs());

const COMMANDS = [
  'serve',
  'config',
  'run',
  'acquire',
  'heartbeat',
  'release',
  'inspect',
  'list',
  'watch',
  'force-release',
  'status',
  'health',
];

test.each([[[]], [['--help']], [['-h']], [['help']]])('%j prints every command and exits 0', async (argv) => {
  const { code, out } = await run(...argv);
  expect(code).toBe(0);
  for (const name of COMMANDS) expect(out).toMatch(new RegExp(`^  ${name} `, 'm'));
});

test.each(COMMANDS)('%s --help prints its usage and exits 0', async (name) => {
  const { code, out, err } = await run(name, '--help');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(new RegExp(`^Usage: holdfast ${name} `));
});

test('the help of serve has every setting', async () => {
  const { out } = await run('serve', '--help');
  for (const flag of [
    '--listen ADDRESS,...',
    '--redis-nodes URL,...',
    '--bootstrap 0|1',
    '--max-ttl DURATION',
  ]) {
    expect(out).toContain(flag);
  }
});

test('--version prints the release', async () => {
  expect(await run('--version')).toEqual({
    code: 0,
    out: expect.stringMatching(/^holdfast \d+\.\d+\.\d+/),
    err: '',
  });
});

test.each(['nonsense', 'constructor', '__proto__', '--nonsense'])(
  '%s is no command: exit 64',
  async (word) => {
    const { code, err } = await run(word);
    expect(code).toBe(64);
    expect(err).toContain('is no command');
  },
);

describe('wrong usage exits 64, says why and how', () => {
  test.each([
    [['acquire'], 'RESOURCE is missing'],
    [['history'], 'RESOURCE or --owner is missing'],
    [['history', 'x', '--owner', 'o'], 'no argument is expected'],
    [['history', 'x', '--limit', '0'], '--limit must be at least 1'],
    [['acquire', 'x', '--nonsense'], '--nonsense'],
    [['acquire', 'x', '--ttl', 'soon'], '--ttl "soon" must be a duration'],
    [['acquire', 'x', '--wait', '-1s'], '--wait'],
    [['acquire', 'x', '--label', 'team'], '--label "team" must be KEY=VALUE'],
    [['acquire', 'x', '--label', 'a=1', '--label', 'a=2'], '--label a is given twice'],
    [['acquire', 'x', '--priority', '10'], '--priority "10" must be a whole number from 0 to 9'],
    [['acquire', 'x', '--mode', 'joint'], '--mode "joint" must be exclusive or shared'],
    [['watch', '--nonsense'], '--nonsense'],
    [['acquire', 'x', '--any', 'two'], '--any "two" must be a whole number'],
    [['acquire', 'x', '--timeout', 'never'], '--timeout "never" must be a duration'],
    [['heartbeat'], 'LEASE_ID is missing'],
    [['heartbeat', '-'], 'standard input was empty'],
    [['release', 'a', 'b'], 'one LEASE_ID is expected, not 2'],
    [['inspect'], 'RESOURCE is missing'],
    [['inspect', 'x', '--history', '1001'], 'from 0 to 1000'],
    [['list', 'x'], 'no argument is expected'],
    [['force-release', 'x'], '--reason is missing'],
    [['force-release', '--reason', 'r'], 'RESOURCE is missing'],
    [['status', 'x'], 'no argument is expected'],
    [['health', '--nonsense'], '--nonsense'],
    [['config', 'nonsense'], 'config knows bootstrap, adopt and token'],
    [['config', 'adopt'], 'adopt needs --from'],
    [['config', 'adopt', '--from'], '--from needs a value'],
  ])('%j', async (argv, why) => {
    const { code, out, err } = await run(...argv);
    expect({ code, out }).toEqual({ code: 64, out: '' });
    expect(err).toContain(why);
    expect(err).toContain(`Usage: holdfast ${argv[0]}`);
  });
});

describe('wrong settings exit 2 with every problem', () => {
  test('serve', async () => {
    vi.stubEnv('HOLDFAST_LOG_LEVEL', 'loud');
    const { code, err } = await run('serve', '--workers', 'many', '--nonsense');
    expect(code).toBe(2);
    expect(err.trim().split('\n')).toHaveLength(3);
  });

  test('config, also when it should act', async () => {
    expect((await run('config', '--max-ttl', 'long')).code).toBe(2);
    expect((await run('config', 'bootstrap', '--max-ttl', 'long')).code).toBe(2);
    expect((await run('config', 'adopt', '--from', 'redis://a,redis://b')).code).toBe(2);
    const shown = await run('config', 'adopt', '--from', 'redis://u:sesame@a');
    expect(shown).toMatchObject({ code: 2, err: expect.stringContaining('use --from-file FILE') });
    expect(shown.err).not.toContain('sesame');
    const embedded = await run('config', 'bootstrap');
    expect(embedded).toMatchObject({
      code: 2,
      err: expect.stringContaining('HOLDFAST_REDIS_NODES is not set'),
    });
  });

  test('the address of a client command', async () => {
    vi.stubEnv('HOLDFAST_ADDRESS', 'nowhere');
    expect(await run('status')).toMatchObject({
      code: 2,
      err: expect.stringContaining('HOLDFAST_ADDRESS "nowhere"'),
    });
  });
});

describe('config', () => {
  test('prints each setting with its value and where it comes from, secrets starred', async () => {
    vi.stubEnv('HOLDFAST_REDIS_NODES', 'redis://u:pw1@a,redis://b,redis://c');
    vi.stubEnv('HOLDFAST_REDIS_PASSWORD', 'pw2');
    const { code, out, err } = await run('config', '--max-ttl', '2m');
    expect(code).toBe(0);
    expect(out).toMatch(/^HOLDFAST_MAX_TTL +2m +flag$/m);
    expect(out).toMatch(/^HOLDFAST_MIN_TTL +100ms +default$/m);
    expect(out).toMatch(
      /^HOLDFAST_REDIS_NODES +redis:\/\/u:\*\*\*@a:6379,redis:\/\/b:6379,redis:\/\/c:6379 +environment$/m,
    );
    expect(out + err).not.toMatch(/pw1|pw2/);
  });

  test('--json prints one object', async () => {
    const { out } = await run('config', '--json', '--max-waiters=2');
    expect(JSON.parse(out).settings.HOLDFAST_MAX_WAITERS).toEqual({ value: '2', source: 'flag' });
  });
});
