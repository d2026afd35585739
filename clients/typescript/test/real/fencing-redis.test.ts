/** The Redis guard against a real redis-server, through ioredis. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RedisServer } from '../../../../test/harness/redis-server.ts';
import { fencedSet, StaleTokenError, tokenKeyOf } from '../../src/fencing/index.ts';

let server: RedisServer;
let client: Redis;

beforeAll(async () => {
  server = await new RedisServer().start();
  client = new Redis(server.socketPath);
});

afterAll(async () => {
  client.disconnect();
  await server.stop();
});

beforeEach(() => client.flushall());

describe('a fenced key', () => {
  it('refuses a stale write, which gets through without the guard', async () => {
    await fencedSet(client, { key: 'job', value: 'new', token: 34n });
    await expect(fencedSet(client, { key: 'job', value: 'late', token: 33n })).rejects.toMatchObject({
      name: 'StaleTokenError',
      token: 33n,
      current: 34n,
    });
    expect(await client.get('job')).toBe('new');
    await client.set('job', 'late');
    expect(await client.get('job')).toBe('late');
  });

  it('takes equal and newer tokens', async () => {
    for (const [token, value] of [
      [34n, 'one'],
      [34n, 'two'],
      [35n, 'three'],
    ] as const) {
      await fencedSet(client, { key: 'job', value, token });
      expect(await client.get('job')).toBe(value);
    }
    expect(await client.get(tokenKeyOf('job'))).toBe('35');
  });

  it('compares tokens exactly where doubles cannot', async () => {
    const token = 2n ** 63n + 1n;
    await fencedSet(client, { key: 'job', value: 'new', token });
    await expect(fencedSet(client, { key: 'job', value: 'late', token: token - 1n })).rejects.toThrow(
      StaleTokenError,
    );
    await expect(fencedSet(client, { key: 'job', value: 'late', token: 9n })).rejects.toThrow(
      StaleTokenError,
    );
    await fencedSet(client, { key: 'job', value: 'newer', token: 2n ** 64n - 1n });
    expect(await client.get('job')).toBe('newer');
  });

  it('forgets the value after its ttl, never the token', async () => {
    await fencedSet(client, { key: 'job', value: 'new', token: 34n, ttlMs: 5000 });
    expect(await client.pttl('job')).toBeGreaterThan(0);
    expect(await client.pttl(tokenKeyOf('job'))).toBe(-1);
    await expect(fencedSet(client, { key: 'job', value: 'x', token: 34n, ttlMs: 0 })).rejects.toThrow(
      /ttlMs/,
    );
  });

  it('keeps key and token in one slot of a cluster', () => {
    expect(slotOf('123456789')).toBe(0x31c3);
    for (const key of ['job', 'a:b', '{team}job', 'x{y}z', '{x']) {
      expect([key, slotOf(tokenKeyOf(key))]).toEqual([key, slotOf(key)]);
    }
  });
});

/** By the cluster specification: CRC-16/XMODEM of the first non-empty `{tag}`, else of the whole key, modulo 16384. */
function slotOf(key: string): number {
  const [, tag] = /^[^{]*\{([^}]+)\}/.exec(key) ?? [];
  let crc = 0;
  for (const byte of Buffer.from(tag ?? key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1)
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc % 16384;
}
