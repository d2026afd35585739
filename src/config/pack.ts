/** Settings on their way from the primary to a worker: what a message between processes can carry, secrets and all. */
import type { Settings } from '../config.ts';
import { Secret } from './secret.ts';

/** Never to be logged. */
export type PackedSettings = { readonly packed: unknown };

/** No setting has a field of this name. */
const REVEALED = '$revealed';

export function packSettings(settings: Settings): PackedSettings {
  return { packed: pack(settings) };
}

export function unpackSettings({ packed }: PackedSettings): Settings {
  return unpack(packed) as Settings;
}

function pack(value: unknown): unknown {
  if (value instanceof Secret) return { [REVEALED]: value.reveal() };
  if (Array.isArray(value)) return value.map(pack);
  return isRecord(value) ? mapped(value, pack) : value;
}

function unpack(value: unknown): unknown {
  if (Array.isArray(value)) return Object.freeze(value.map(unpack));
  if (!isRecord(value)) return value;
  const revealed = value[REVEALED];
  return typeof revealed === 'string' ? new Secret(revealed) : Object.freeze(mapped(value, unpack));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function mapped(record: Readonly<Record<string, unknown>>, act: (value: unknown) => unknown) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, act(value)]));
}
