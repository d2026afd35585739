/** A grpc-js client as somebody outside would write it: generated types, promises, and refusals read from the details. */

import { fileURLToPath } from 'node:url';
import {
  type CallOptions,
  type ChannelOptions,
  type ClientUnaryCall,
  loadPackageDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType as AdminTypes } from '../../src/edge/gen/admin.ts';
import type { AcquireRequest } from '../../src/edge/gen/holdfast/v1/AcquireRequest.ts';
import type { AcquireResponse__Output } from '../../src/edge/gen/holdfast/v1/AcquireResponse.ts';
import type { ForceReleaseRequest } from '../../src/edge/gen/holdfast/v1/ForceReleaseRequest.ts';
import type { HistoryRequest } from '../../src/edge/gen/holdfast/v1/HistoryRequest.ts';
import type { Lease__Output as Lease } from '../../src/edge/gen/holdfast/v1/Lease.ts';
import type { ListRequest } from '../../src/edge/gen/holdfast/v1/ListRequest.ts';
import type { ProtoGrpcType as LockTypes } from '../../src/edge/gen/lock.ts';
import { decodeStatus } from '../unit/edge/rpc-status.ts';
import { channelOf, type Shown } from './shown.ts';

export { decodeStatus as decodeStatusDetails } from '../unit/edge/rpc-status.ts';
export type { Lease };

const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
const files = ['holdfast/v1/lock.proto', 'holdfast/v1/admin.proto'];
const includeDirs = [fileURLToPath(new URL('../../proto', import.meta.url))];
export const { v1 } = (
  loadPackageDefinition(loadSync(files, { ...options, includeDirs })) as unknown as LockTypes & AdminTypes
).holdfast;

/** What a refusal says, as plain values. */
export interface Refused {
  readonly code: number;
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fields: readonly string[];
  readonly retryAfter: boolean;
  readonly message: string;
}

export function refusedBy(error: ServiceError): Refused {
  const { ErrorInfo, BadRequest, RetryInfo } = decodeStatus(error.metadata).details;
  return {
    code: error.code,
    reason: ErrorInfo?.reason ?? '',
    metadata: ErrorInfo?.metadata ?? {},
    fields: (BadRequest?.field_violations ?? []).map(({ field }) => field),
    retryAfter: RetryInfo !== undefined,
    message: error.details,
  };
}

/** The refusal that `answer` ends in; throws when it is none. */
export async function refusal(answer: Promise<unknown>): Promise<Refused> {
  try {
    const given = await answer;
    throw new Error(`answered instead of refused: ${JSON.stringify(given)}`);
  } catch (error) {
    if ((error as Partial<ServiceError>).metadata === undefined) throw error;
    return refusedBy(error as ServiceError);
  }
}

type Told<Response> = (error: ServiceError | null, response?: Response) => void;

function promised<Response>(start: (told: Told<Response>) => void): Promise<Response> {
  return new Promise((resolve, reject) => {
    start((error, response) => (error === null ? resolve(response as Response) : reject(error)));
  });
}

export const span = (ms: number) => ({ seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 });

/** Until when the holder may count on its lease, in milliseconds since the Unix epoch. */
export function expireMs({ expire_time }: Lease): number {
  return Number(expire_time!.seconds) * 1000 + expire_time!.nanos / 1e6;
}

export class RpcClient {
  readonly #locks: InstanceType<typeof v1.LockService>;
  readonly #admin: InstanceType<typeof v1.AdminService>;

  constructor(address: string, channel: ChannelOptions = {}, shown: Shown = {}) {
    const { creds, options: more } = channelOf(shown);
    this.#locks = new v1.LockService(address, creds, { ...channel, ...more });
    this.#admin = new v1.AdminService(address, creds, { ...channel, ...more });
  }

  acquire(request: AcquireRequest, call: CallOptions = {}): Promise<AcquireResponse__Output> {
    return promised((told) => this.#locks.acquire({ owner: 'w1', ...request }, call, told));
  }

  /** The call itself, for those who cancel it; `ended` resolves however it ends. */
  acquireCall(request: AcquireRequest): { call: ClientUnaryCall; ended: Promise<ServiceError | undefined> } {
    let end: (error?: ServiceError) => void = () => {};
    const ended = new Promise<ServiceError | undefined>((resolve) => {
      end = resolve;
    });
    const call = this.#locks.acquire({ owner: 'w1', ...request }, (error) => end(error ?? undefined));
    return { call, ended };
  }

  /** The lease; throws when the answer is Busy. */
  async lock(resources: string | string[], more: AcquireRequest = {}): Promise<Lease> {
    const answer = await this.acquire({ resources: [resources].flat(), ...more });
    if (!answer.lease) throw new Error(`busy: ${JSON.stringify(answer.busy)}`);
    return answer.lease;
  }

  /** The lease, or undefined when the answer is Busy or no majority answered. */
  async tryLock(resources: string | string[], more: AcquireRequest = {}): Promise<Lease | undefined> {
    try {
      return (await this.acquire({ resources: [resources].flat(), ...more })).lease ?? undefined;
    } catch (error) {
      if (refusedBy(error as ServiceError).reason === 'NO_QUORUM') return undefined;
      throw error;
    }
  }

  async heartbeat(lease_id: string, ttlMs?: number, progress = ''): Promise<Lease> {
    const ttl = ttlMs === undefined ? null : span(ttlMs);
    const { lease } = await promised<{ lease: Lease | null }>((told) =>
      this.#locks.heartbeat({ lease_id, ttl, progress }, told),
    );
    return lease!;
  }

  async release(lease_id: string, reason = ''): Promise<boolean> {
    const told = promised<{ released: boolean }>((tell) => this.#locks.release({ lease_id, reason }, tell));
    return (await told).released;
  }

  inspect(resource: string, history_limit = 0) {
    type Answer = import('../../src/edge/gen/holdfast/v1/InspectResponse.ts').InspectResponse__Output;
    return promised<Answer>((told) => this.#locks.inspect({ resource, history_limit }, told));
  }

  list(request: ListRequest = {}) {
    type Answer = import('../../src/edge/gen/holdfast/v1/ListResponse.ts').ListResponse__Output;
    return promised<Answer>((told) => this.#locks.list(request, told));
  }

  history(request: HistoryRequest) {
    type Answer = import('../../src/edge/gen/holdfast/v1/HistoryResponse.ts').HistoryResponse__Output;
    return promised<Answer>((told) => this.#locks.history(request, told));
  }

  checkToken(resource: string, fencing_token: string) {
    type Answer = import('../../src/edge/gen/holdfast/v1/CheckTokenResponse.ts').CheckTokenResponse__Output;
    return promised<Answer>((told) => this.#locks.checkToken({ resource, fencing_token }, told));
  }

  force(request: ForceReleaseRequest) {
    type Answer =
      import('../../src/edge/gen/holdfast/v1/ForceReleaseResponse.ts').ForceReleaseResponse__Output;
    return promised<Answer>((told) => this.#admin.forceRelease(request, told));
  }

  reload() {
    type Answer = import('../../src/edge/gen/holdfast/v1/ReloadResponse.ts').ReloadResponse__Output;
    return promised<Answer>((told) => this.#admin.reload({}, told));
  }

  setLogLevel(level: string) {
    type Answer = import('../../src/edge/gen/holdfast/v1/SetLogLevelResponse.ts').SetLogLevelResponse__Output;
    return promised<Answer>((told) => this.#admin.setLogLevel({ level }, told));
  }

  janitor(dry_run: boolean) {
    type Answer = import('../../src/edge/gen/holdfast/v1/RunJanitorResponse.ts').RunJanitorResponse__Output;
    return promised<Answer>((told) => this.#admin.runJanitor({ dry_run }, told));
  }

  status() {
    type Answer = import('../../src/edge/gen/holdfast/v1/StatusResponse.ts').StatusResponse__Output;
    return promised<Answer>((told) => this.#admin.status({}, told));
  }

  close(): void {
    this.#locks.close();
    this.#admin.close();
  }
}
