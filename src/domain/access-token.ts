/** Bearer tokens: random, told once, and kept only as what SHA-256 makes of them. */
import { hash } from 'node:crypto';
import type { Random } from '../std/random.ts';

/** So that scanners for leaked secrets, and people, know what they look at. */
const PREFIX = 'hft_';
const RANDOM_BYTES = 32;
const TOKEN = /^hft_[A-Za-z0-9_-]{43}$/;

export function makeToken(random: Pick<Random, 'bytes'>): string {
  return PREFIX + random.bytes(RANDOM_BYTES).toString('base64url');
}

/**
 * Only what was made here: the hash is fast, which is right for 256 random bits and an invitation to guess for anything
 * that a person thought of.
 */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** Lower-case hex, as the access file has it. */
export function digestOf(token: string): string {
  return hash('sha256', token, 'hex');
}
