/** Page tokens: opaque to callers, good at every replica, and bound to the prefix and owner of their list. */
import { crc32 } from 'node:zlib';
import { limits } from '../domain/limits.ts';
import { resourceFault } from '../domain/names.ts';

const VERSION = '1';
/** The longest name in base64url, with room for its envelope. */
const LENGTH_MAX = 2 * limits.resourceLength;

/** Against mix-ups, not against forgers: a forged token shows nothing that a plain List would not. */
function checksum(name: string, prefix: string, owner: string): string {
  // Line feeds are in none of the three, so that no two triples read alike.
  return crc32(`${prefix}\n${owner}\n${name}`).toString(36);
}

/** The token that goes on after `name`; empty where there is nothing more. */
export function pageTokenAfter(name: string, prefix: string, owner: string): string {
  if (name === '') return '';
  return Buffer.from(`${VERSION}.${checksum(name, prefix, owner)}.${name}`, 'latin1').toString('base64url');
}

/** The name to go on after, empty for the first page, or undefined when the token is not one of this list. */
export function readPageToken(token: string, prefix: string, owner: string): string | undefined {
  if (token === '') return '';
  if (token.length > LENGTH_MAX) return undefined;
  const text = Buffer.from(token, 'base64url').toString('latin1');
  const [version, sum] = text.split('.', 2);
  if (version !== VERSION || sum === undefined) return undefined;
  const name = text.slice(version.length + sum.length + 2);
  if (resourceFault(name) !== undefined || !name.startsWith(prefix)) return undefined;
  // Written again and compared: base64 decoders skip what they do not know.
  return pageTokenAfter(name, prefix, owner) === token ? name : undefined;
}
