/** A reload takes all of the new settings that can change while the service runs, or none of them. */
import { expect, test } from 'vitest';
import { loadSettings } from '../../../src/config.ts';
import { following, type Part, type Reading, Reloader } from '../../../src/control/reload.ts';

type Environment = Record<string, string>;

function reading(env: Environment = {}): Reading {
  return loadSettings({ argv: [], env });
}

function settingsOf(env: Environment = {}) {
  const read = reading(env);
  if (!read.ok) throw new Error(read.problems.join('\n'));
  return read.settings;
}

const PASSWORD = 'w0rd!';

function scene(env: Environment = {}) {
  const notices: { level: string; message: string; facts: unknown }[] = [];
  const reloader = new Reloader(settingsOf(env), {
    notice: (level, message, facts) => void notices.push({ level, message, facts }),
  });
  const taken: number[] = [];
  reloader.add(following(({ minTtlMs }) => void taken.push(minTtlMs)));
  return { reloader, taken, notices, reload: (next: Environment) => reloader.reload(() => reading(next)) };
}

test('what changed is applied and named, and what needs a restart is named and left', async () => {
  const { reload, taken } = scene();
  expect(
    await reload({ HOLDFAST_MIN_TTL: '1s', HOLDFAST_MAX_TTL: '90s', HOLDFAST_LISTEN: '[::1]:1' }),
  ).toEqual({
    kind: 'reloaded',
    changed: ['HOLDFAST_MIN_TTL'],
    restartRequired: ['HOLDFAST_LISTEN', 'HOLDFAST_MAX_TTL'],
  });
  expect(taken).toEqual([1000]);
});

test('a setting that needs a restart is named at every reload until there was one', async () => {
  const { reload } = scene();
  await reload({ HOLDFAST_MAX_TTL: '90s' });
  expect(await reload({ HOLDFAST_MAX_TTL: '90s', HOLDFAST_MIN_TTL: '1s' })).toMatchObject({
    changed: ['HOLDFAST_MIN_TTL'],
    restartRequired: ['HOLDFAST_MAX_TTL'],
  });
  expect(await reload({ HOLDFAST_MIN_TTL: '1s' })).toMatchObject({ changed: [], restartRequired: [] });
});

test.each<[string, Environment, Environment, string]>([
  [
    'a default above the longest ttl',
    { HOLDFAST_MAX_TTL: '2s' },
    { HOLDFAST_MAX_TTL: '10m', HOLDFAST_DEFAULT_TTL: '1m' },
    'HOLDFAST_DEFAULT_TTL',
  ],
  [
    'a shortest ttl above the longest',
    {},
    { HOLDFAST_MAX_TTL: '10m', HOLDFAST_DEFAULT_TTL: '5m', HOLDFAST_MIN_TTL: '2m' },
    'HOLDFAST_MIN_TTL',
  ],
  [
    'no access file where others can reach the service',
    { HOLDFAST_ACCESS: 'a', HOLDFAST_TLS_CERT: 'c', HOLDFAST_TLS_KEY: 'k', HOLDFAST_LISTEN: '0.0.0.0:1' },
    { HOLDFAST_LISTEN: '127.0.0.1:1' },
    'HOLDFAST_LISTEN',
  ],
])(
  '%s, which only a restart would make right, is refused, though what was read is right',
  async (_, env, next, field) => {
    const { reload, taken } = scene(env);
    const restart = 'HOLDFAST_MAX_TTL' in next ? 'HOLDFAST_MAX_TTL' : 'HOLDFAST_LISTEN';
    const answer = await reload(next);
    expect(answer).toMatchObject({
      kind: 'refusal',
      reason: 'INVALID_FIELD',
      fields: [{ field, description: expect.stringContaining(`until a restart ${restart} stays`) }],
    });
    expect(taken).toEqual([]);
  },
);

test('a setting that is there no more ceases to be in force', async () => {
  const { reload, reloader } = scene({ HOLDFAST_ALERTS: '/alerts.yaml' });
  const files: (string | undefined)[] = [];
  reloader.add(following(({ alerts }) => void files.push(alerts)));
  expect(await reload({})).toMatchObject({ changed: ['HOLDFAST_ALERTS'] });
  expect(files).toEqual([undefined]);
  expect(await reload({})).toMatchObject({ changed: [] });
});

test('a password that changed is a change, and nobody is told it', async () => {
  const { reload, notices } = scene({ HOLDFAST_REDIS_NODES: 'redis://:old@a' });
  const answer = await reload({ HOLDFAST_REDIS_NODES: `redis://:${PASSWORD}@a` });
  expect(answer).toMatchObject({ changed: [], restartRequired: ['HOLDFAST_REDIS_NODES'] });
  expect(JSON.stringify([answer, notices])).not.toContain(PASSWORD);
});

test('settings that are wrong change nothing, and each is named', async () => {
  const { reload, taken, reloader } = scene();
  const answer = await reload({ HOLDFAST_MIN_TTL: '1s', HOLDFAST_LOG_LEVEL: 'loud', HOLDFAST_WORKERS: '0' });
  expect(answer).toMatchObject({ kind: 'refusal', reason: 'INVALID_FIELD' });
  expect('fields' in answer && answer.fields.map(({ field }) => field).sort()).toEqual([
    'HOLDFAST_LOG_LEVEL',
    'HOLDFAST_WORKERS',
  ]);
  expect(taken).toEqual([]);
  expect(reloader.family.of('refused').value).toBe(1);
  expect(await reload({ HOLDFAST_MIN_TTL: '1s' })).toMatchObject({ changed: ['HOLDFAST_MIN_TTL'] });
});

test('one part that cannot take it keeps all others from it', async () => {
  const { reload, reloader, taken } = scene();
  let broken = true;
  const part: Part = {
    prepare: async () =>
      broken
        ? { problems: [{ field: 'HOLDFAST_ACCESS', description: 'is no YAML' }] }
        : { commit: () => ['HOLDFAST_ACCESS'] },
  };
  reloader.add(part);
  expect(await reload({ HOLDFAST_MIN_TTL: '1s' })).toMatchObject({
    fields: [{ field: 'HOLDFAST_ACCESS', description: 'is no YAML' }],
  });
  expect(taken).toEqual([]);
  broken = false;
  expect(await reload({ HOLDFAST_MIN_TTL: '1s' })).toMatchObject({
    changed: ['HOLDFAST_ACCESS', 'HOLDFAST_MIN_TTL'],
  });
  expect(taken).toEqual([1000]);
});

test('who has made ready for settings that another part cannot take is told so, and else is not', async () => {
  const { reload, reloader } = scene();
  const told: string[] = [];
  let broken = true;
  reloader.add({
    prepare: () => ({
      commit: () => {
        told.push('commit');
        return [];
      },
      abandon: () => void told.push('abandon'),
    }),
  });
  reloader.add({
    prepare: () =>
      broken ? { problems: [{ field: 'HOLDFAST_ACCESS', description: 'no' }] } : { commit: () => [] },
  });
  await reload({ HOLDFAST_MIN_TTL: '1s' });
  broken = false;
  await reload({ HOLDFAST_MIN_TTL: '1s' });
  expect(told).toEqual(['abandon', 'commit']);
});

test('a reading that throws, or a part that does, is a refusal and keeps nobody from the next', async () => {
  const { reload, reloader } = scene();
  const thrown = await reloader.reload(() => {
    throw new Error('the disk is gone');
  });
  expect(thrown).toMatchObject({ kind: 'refusal', message: expect.stringContaining('the disk is gone') });
  let breaks = true;
  reloader.add({
    prepare() {
      if (breaks) throw new Error('a defect');
      return { commit: () => [] };
    },
  });
  expect(await reload({})).toMatchObject({ kind: 'refusal' });
  breaks = false;
  expect(await reload({ HOLDFAST_MIN_TTL: '1s' })).toMatchObject({ changed: ['HOLDFAST_MIN_TTL'] });
});

test('reloads follow one another: the later one finds what the earlier one left', async () => {
  const { reloader, taken } = scene();
  const order: string[] = [];
  reloader.add({
    async prepare({ minTtlMs }) {
      order.push(`prepare ${minTtlMs}`);
      await new Promise<void>((resolve) => setImmediate(resolve));
      return {
        commit: () => {
          order.push(`commit ${minTtlMs}`);
          return [];
        },
      };
    },
  });
  await Promise.all([
    reloader.reload(() => reading({ HOLDFAST_MIN_TTL: '1s' })),
    reloader.reload(() => reading({ HOLDFAST_MIN_TTL: '2s' })),
  ]);
  expect(order).toEqual(['prepare 1000', 'commit 1000', 'prepare 2000', 'commit 2000']);
  expect(taken).toEqual([1000, 2000]);
});
