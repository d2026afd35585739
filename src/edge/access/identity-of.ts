/** Who made a call, for its handler: found before the handler runs, kept by what the interceptor made of the call. */
import type { Identity } from '../../domain/access.ts';

/** What the interceptor knows of a call's maker. */
export interface Caller {
  readonly identity: Identity;
  /** `host:port`; empty for a unix socket. */
  readonly peer: string;
}

export const CALLER = Symbol('caller');

/** May do nothing: a caller that was lost on the way must not become one that may do everything. */
export const nobody: Identity = { name: '', tenant: '', rules: [], quota: {} };

interface Intercepted {
  readonly call?: { readonly [CALLER]?: Caller };
}

/** `call`: what grpc-js hands to a handler. */
export function identityOf(call: object): Identity {
  return (call as Intercepted).call?.[CALLER]?.identity ?? nobody;
}

export function peerOf(call: object): string {
  return (call as Intercepted).call?.[CALLER]?.peer ?? '';
}
