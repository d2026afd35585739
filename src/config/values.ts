/** How the text of a setting becomes a value: durations, numbers, switches, choices and addresses, each with its range. */
import { isIPv4, isIPv6 } from 'node:net';
import { formatDuration, parseDurationMs } from '../std/durations.ts';

/** Faults are written to follow the name and the value of the setting: `must be ...`. */
export type Parsed<T> = { readonly value: T } | { readonly faults: readonly string[] };

export function fault(...faults: string[]): { readonly faults: readonly string[] } {
  return { faults };
}

export { formatDuration, parseDurationMs };

export function durationIn(text: string, minMs: number, maxMs: number, allowed: string): Parsed<number> {
  const ms = parseDurationMs(text);
  return ms === undefined || ms < minMs || ms > maxMs ? fault(`must be ${allowed}`) : { value: ms };
}

export function wholeIn(text: string, min: number, max: number, allowed: string): Parsed<number> {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? { value } : fault(`must be ${allowed}`);
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;
const SIZE = new RegExp(`^([1-9]\\d{0,5})(${UNITS.join('|')})$`);
const bytesOf = (count: number, unit: (typeof UNITS)[number]): number =>
  count * 1024 ** (1 + UNITS.indexOf(unit));

export function sizeIn(text: string, minBytes: number, maxBytes: number, allowed: string): Parsed<number> {
  const [, count, unit] = SIZE.exec(text) ?? [];
  const bytes = unit === undefined ? Number.NaN : bytesOf(Number(count), unit as (typeof UNITS)[number]);
  return bytes >= minBytes && bytes <= maxBytes ? { value: bytes } : fault(`must be ${allowed}`);
}

/** In the largest unit of which it is a whole number. */
export function formatSize(bytes: number): string {
  const unit = UNITS.findLast((one) => bytes % bytesOf(1, one) === 0) ?? 'KiB';
  return `${bytes / bytesOf(1, unit)}${unit}`;
}

export function bit(text: string, allowed: string): Parsed<boolean> {
  if (text === '1' || text === 'true') return { value: true };
  if (text === '0' || text === 'false') return { value: false };
  return fault(`must be ${allowed}`);
}

/** False where a URL with a password may have been put into the wrong setting. */
export function isShowable(text: string): boolean {
  if (text.includes('@')) return false;
  return !text.includes('://') || /^unix:\/\/\/|:\/\/[\w.-]+(:\d{1,5})?\/?$/.test(text);
}

/** Where to listen, or whom to call. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** The kernel's `sun_path` has 108 bytes, the last one a zero; longer paths are cut or refused later. */
const SOCKET_PATH_BYTES_MAX = 107;
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$/;

export function socketPathFault(path: string): string | undefined {
  if (!/^\/(?!\/)/.test(path)) return 'must name an absolute socket path (unix:/path)';
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    return `must have a socket path of at most ${SOCKET_PATH_BYTES_MAX} bytes`;
  }
  return undefined;
}

export function hostFault(host: string): string | undefined {
  if (isIPv6(host)) return undefined;
  // Digits and dots alone are meant as an address: a mistyped one must not become a name to look up.
  if (/^[\d.]+$/.test(host)) return isIPv4(host) ? undefined : 'must name a valid address';
  return HOST_NAME.test(host) ? undefined : 'must name a valid host';
}

export const ADDRESS_FORM = 'HOST:PORT (an IPv6 host in brackets) or unix:/path';

/** `host:port`, `[::1]:port` or `unix:/path`; port 0 asks the system for a free one. */
export function parseAddress(text: string): Parsed<Address> {
  if (text.startsWith('unix:')) {
    // `unix:///path` is how URLs and gRPC spell it.
    const path = text.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    const why = socketPathFault(path);
    return why === undefined ? { value: { kind: 'unix', path } } : fault(why);
  }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const [, bracketed, plain, portText] = match ?? [];
  if (portText === undefined) return fault(`must be ${ADDRESS_FORM}`);
  const host = bracketed ?? plain ?? '';
  const port = Number(portText);
  if (port > 65_535) return fault('must have a port from 0 to 65535');
  const why =
    bracketed !== undefined && !isIPv6(bracketed) ? 'must have an IPv6 address in brackets' : hostFault(host);
  return why === undefined ? { value: { kind: 'tcp', host, port } } : fault(why);
}

export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`;
}

/** A comma list of different addresses. */
export function parseAddresses(text: string): Parsed<readonly Address[]> {
  const values: Address[] = [];
  const faults: string[] = [];
  // Asked of the whole, for a comma inside a password cuts it in two.
  const shown = (item: string, at: number): string => (isShowable(text) ? `"${item}"` : `${at + 1}`);
  for (const [at, item] of text.split(',').entries()) {
    const parsed = parseAddress(item.trim());
    if ('faults' in parsed)
      faults.push(...parsed.faults.map((why) => `entry ${shown(item.trim(), at)} ${why}`));
    else values.push(parsed.value);
  }
  // Port 0 is a different free port each time.
  const fixed = values.filter((value) => value.kind === 'unix' || value.port !== 0).map(formatAddress);
  const twice = fixed.find((place, at) => fixed.indexOf(place) !== at);
  if (twice !== undefined) faults.push(`must not name ${twice} twice`);
  return faults.length === 0 ? { value: values } : { faults };
}

/** Only this machine can reach it. */
export function isLocal(address: Address): boolean {
  if (address.kind === 'unix') return true;
  const { host } = address;
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
