/** The page tokens of History: where a page has ended, bound to the question that it answered. */
import { crc32 } from 'node:zlib';
import type { Place } from './store.ts';

const VERSION = '1';
/** Keys had 22 characters once. */
const FORM = /^1\.([0-9a-z]{1,7})\.(\d{1,16})\.(\d{20})\.(\d)\.([A-Za-z0-9_-]{22,29})$/;

export interface Asked {
  readonly resource: string;
  readonly owner: string;
}

/** Against mix-ups, not against forgers: a forged token shows nothing that the question would not. */
function checksum({ resource, owner }: Asked): string {
  return crc32(`${resource}\n${owner}`).toString(36);
}

export function cursorAt({ timeUs, token, step, key }: Place, asked: Asked): string {
  const text = [VERSION, checksum(asked), timeUs, token, step, key].join('.');
  return Buffer.from(text, 'latin1').toString('base64url');
}

/** Undefined: it is none of this question's. */
export function placeOf(cursor: string, asked: Asked): Place | undefined {
  const match = FORM.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (match === null) return undefined;
  const [, sum, timeUs, token = '', step, key = ''] = match;
  const place = { timeUs: Number(timeUs), token, step: Number(step), key };
  // Written again and compared: base64 decoders skip what they do not know.
  return sum === checksum(asked) && cursorAt(place, asked) === cursor ? place : undefined;
}
