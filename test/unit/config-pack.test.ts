/** Settings survive the way to a worker, passwords and all, and are as closed there as they were. */
import { expect, test } from 'vitest';
import { packSettings, unpackSettings } from '../../src/config/pack.ts';
import { connectionUrl, loadSettings } from '../../src/config.ts';

test('what a worker runs by is what its primary was given', () => {
  const loaded = loadSettings({
    argv: ['--workers', '2', '--max-ttl', '5s'],
    env: { HOLDFAST_REDIS_NODES: 'redis://:own@a,redis://b,redis://c#n', HOLDFAST_REDIS_PASSWORD: 's3cret' },
  });
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
  const { settings } = loaded;
  const arrived = unpackSettings(structuredClone(packSettings(settings)));
  expect(arrived).toEqual(settings);
  expect(arrived.redisNodes.map(connectionUrl)).toEqual([
    'redis://:own@a:6379',
    'redis://:s3cret@b:6379',
    'redis://:s3cret@c:6379',
  ]);
  expect(JSON.stringify(arrived)).not.toContain('s3cret');
  expect(Object.isFrozen(arrived) && Object.isFrozen(arrived.redisNodes[0])).toBe(true);
});

test('a node without a password has none there either', () => {
  const loaded = loadSettings({ env: { HOLDFAST_REDIS_NODES: 'redis://a' } });
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
  expect(unpackSettings(packSettings(loaded.settings)).redisNodes[0]).not.toHaveProperty('password');
});
