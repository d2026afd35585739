/** The rules of single fields as lock.proto states them: what the service would refuse is not sent. */

const RESOURCE = /^[A-Za-z0-9._:/@+-]{1,256}$/;
/** Control characters, and what stands for a character that could not be read. */
const FORBIDDEN = /[\u0000-\u001f\u007f\ufffd]/;

/** Undefined if `text` is in order. */
export function textFault(text: unknown, min: number, max: number): string | undefined {
  if (typeof text !== 'string') return `must be a text, not ${text === null ? 'null' : typeof text}`;
  if (text.length < min) return 'must not be empty';
  if (text.length > max) return `must have at most ${max} characters, not ${text.length}`;
  if (FORBIDDEN.test(text)) return 'must not contain control characters or U+FFFD';
  return text.isWellFormed() ? undefined : 'must not contain half a surrogate pair';
}

export function resourceFault(name: unknown): string | undefined {
  if (typeof name === 'string' && RESOURCE.test(name)) return undefined;
  return 'must be 1 to 256 characters of A-Z a-z 0-9 . _ : / @ + -';
}

export function countFault(count: unknown, min: number, max: number): string | undefined {
  if (Number.isInteger(count) && (count as number) >= min && (count as number) <= max) return undefined;
  return `must be a whole number within ${min} and ${max}`;
}
