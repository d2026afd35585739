/** The operations of a session that keep nothing: each is decoded, asked and answered as its own call is. */
import type { Refusal } from '../domain/refusals.ts';
import type { HeartbeatAsk, Locks, ReleaseAsk, Renewed, TokenCheck } from '../locks/locks.ts';
import type { Claims } from './claims.ts';
import { type CheckTokenAsk, decodeCheckToken, decodeHeartbeat, decodeRelease } from './decode.ts';
import { encodeRenewed } from './encode.ts';
import type { TtlSettings } from './fields.ts';
import { bytesOfLease } from './fit.ts';
import type { CheckTokenRequest__Output } from './gen/holdfast/v1/CheckTokenRequest.ts';
import type { HeartbeatRequest__Output } from './gen/holdfast/v1/HeartbeatRequest.ts';
import type { ReleaseRequest__Output } from './gen/holdfast/v1/ReleaseRequest.ts';
import type { SessionResult } from './gen/holdfast/v1/SessionResult.ts';
import type { Outbox } from './outbox.ts';

type WireSeq = NonNullable<SessionResult['seq']>;

export interface PlainOp<Request, Ask extends object, Answer extends object> {
  /** As in the message, and as the counters name it. */
  readonly name: 'heartbeat' | 'release' | 'check_token';
  decode(request: Request, settings: TtlSettings, claims: Claims): Ask | Refusal;
  /** What the session forgets as it asks. */
  readonly before?: (claims: Claims, ask: Ask) => void;
  ask(locks: Locks, ask: Ask): Promise<Answer | Refusal>;
  tell(outbox: Outbox, seq: WireSeq, answer: Answer): void;
}

export const HEARTBEAT: PlainOp<HeartbeatRequest__Output, HeartbeatAsk, Renewed> = {
  name: 'heartbeat',
  decode: decodeHeartbeat,
  ask: (locks, ask) => locks.heartbeat(ask),
  tell: (outbox, seq, answer) => {
    outbox.result({ seq, heartbeat: encodeRenewed(answer) }, bytesOfLease(answer.lease));
  },
};

export const RELEASE: PlainOp<ReleaseRequest__Output, ReleaseAsk, { readonly released: boolean }> = {
  name: 'release',
  decode: (request, _, claims) => decodeRelease(request, claims.nameOf(request.lease_id)),
  before: (claims, ask) => claims.letGo(ask.lease.value),
  ask: (locks, ask) => locks.release(ask),
  tell: (outbox, seq, { released }) => outbox.result({ seq, release: { released } }, 0),
};

export const CHECK_TOKEN: PlainOp<CheckTokenRequest__Output, CheckTokenAsk, TokenCheck> = {
  name: 'check_token',
  decode: decodeCheckToken,
  ask: (locks, { resource, token }) => locks.checkToken(resource, token),
  tell: (outbox, seq, { current, lastToken }) => {
    outbox.result({ seq, check_token: { current, last_token: lastToken.toString() } }, 0);
  },
};
