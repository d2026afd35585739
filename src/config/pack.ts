/** Settings on their way from the primary to a worker: what a message between processes can carry, secrets and all. */
import type { Settings } from '../config.ts';
import type { RedisNode } from './redis-nodes.ts';
import { Secret } from './secret.ts';

type PackedNode = Omit<RedisNode, 'password'> & { readonly password?: string };

/** Never to be logged. */
export type PackedSettings = Omit<Settings, 'redisNodes'> & { readonly redisNodes: readonly PackedNode[] };

export function packSettings(settings: Settings): PackedSettings {
  const redisNodes = settings.redisNodes.map(({ password, ...node }) => ({
    ...node,
    ...(password === undefined ? {} : { password: password.reveal() }),
  }));
  return { ...settings, redisNodes };
}

export function unpackSettings(packed: PackedSettings): Settings {
  const redisNodes = packed.redisNodes.map(({ password, ...node }) =>
    Object.freeze({ ...node, ...(password === undefined ? {} : { password: new Secret(password) }) }),
  );
  return Object.freeze({ ...packed, redisNodes });
}
