/** The rules for what callers may call things: resources, owners, labels, request ids, free text. */
import { limits } from './limits.ts';

const RESOURCE = /^[A-Za-z0-9._:/@+-]+$/;
// Control characters separate fields on the nodes; U+FFFD is what invalid UTF-8 decodes to.
const UNPRINTABLE = /[\u0000-\u001f\u007f\ufffd]/;
// A lone surrogate has no UTF-8 form, so it could not be stored as it was sent.
const wellFormed = (text: string): boolean => text.isWellFormed();

/** Why `name` is no resource name, or undefined when it is one. */
export function resourceFault(name: string): string | undefined {
  if (name.length === 0) return 'must not be empty';
  if (name.length > limits.resourceLength) return `must be at most ${limits.resourceLength} characters`;
  if (!RESOURCE.test(name)) return 'may hold only letters, digits and . _ : / @ + -';
  return undefined;
}

/** Why `prefix` cannot begin a resource name; empty is allowed and means all. */
export function prefixFault(prefix: string): string | undefined {
  return prefix.length === 0 ? undefined : resourceFault(prefix);
}

/** Why `text` is not acceptable free text of `min` to `max` characters. */
export function textFault(text: string, min: number, max: number): string | undefined {
  if (text.length < min) return 'must not be empty';
  if (text.length > max) return `must be at most ${max} characters`;
  if (!wellFormed(text) || UNPRINTABLE.test(text)) {
    return 'must be UTF-8 text without control characters or U+FFFD';
  }
  return undefined;
}
