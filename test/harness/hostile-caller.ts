/** Sends any bytes to any method and judges what comes back: an answer, or a refusal with a reason of ours. */
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { type Reason, refusals } from '../../src/domain/refusals.ts';
import { decodeStatusDetails, v1 } from './rpc-client.ts';

export const methods = { ...v1.LockService.service, ForceRelease: v1.AdminService.service.ForceRelease };
export type MethodName =
  | 'Acquire'
  | 'Heartbeat'
  | 'Release'
  | 'Inspect'
  | 'List'
  | 'CheckToken'
  | 'ForceRelease';
export type StreamName = 'Hold' | 'Watch';

export interface Outcome {
  /** Undefined if it was answered. */
  readonly reason: Reason | undefined;
  /** Those that a refusal names. */
  readonly fields: readonly string[];
  /** What it was answered with; of a stream its first message, if one came. */
  readonly message: unknown;
}

/** Throws unless it is typed as docs/errors.md says. */
function refused(error: ServiceError): Outcome {
  const { ErrorInfo, BadRequest } = decodeStatusDetails(error.metadata).details;
  const reason = ErrorInfo?.reason as Reason;
  const fields = (BadRequest?.field_violations ?? []).map(({ field }) => field);
  const told = `${status[error.code]} ${error.details}`;
  if (ErrorInfo?.domain !== 'holdfast' || refusals[reason]?.code !== status[error.code]) {
    throw new Error(`not a refusal of ours: ${told}`);
  }
  if (reason === 'INTERNAL') throw new Error(`a defect: ${told}`);
  if ((reason === 'INVALID_FIELD') !== fields.length > 0) throw new Error(`names no field: ${told}`);
  return { reason, fields, message: undefined };
}

export function encoded(method: MethodName | StreamName, request: object): Buffer {
  return (methods[method].requestSerialize as (message: object) => Buffer)(request);
}

const asItIs = (bytes: Buffer): Buffer => bytes;

export class HostileCaller {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  }

  call(method: MethodName, bytes: Buffer): Promise<Outcome> {
    const { path, responseDeserialize } = methods[method];
    return new Promise((resolve, reject) => {
      const told = (error: ServiceError | null, message: unknown): void => {
        try {
          resolve(error === null ? { reason: undefined, fields: [], message } : refused(error));
        } catch (defect) {
          reject(defect);
        }
      };
      this.#client.makeUnaryRequest(
        path,
        asItIs,
        responseDeserialize as (bytes: Buffer) => unknown,
        bytes,
        told,
      );
    });
  }

  /** Up to the first sign that it was accepted; then the stream is cancelled, and `over` tells when that is done. */
  stream(method: StreamName, bytes: Buffer): Promise<Outcome> {
    const { path, responseDeserialize } = methods[method];
    const call = this.#client.makeServerStreamRequest(
      path,
      asItIs,
      responseDeserialize as (bytes: Buffer) => unknown,
      bytes,
    );
    return new Promise((resolve, reject) => {
      const accept = (message?: unknown): void => {
        resolve({ reason: undefined, fields: [], message });
        call.cancel();
      };
      call.on('data', accept);
      if (method === 'Watch') call.on('metadata', () => accept());
      call.on('error', (error: ServiceError) => {
        try {
          if (error.code !== status.CANCELLED) resolve(refused(error));
        } catch (defect) {
          reject(defect);
        }
      });
    });
  }

  close(): void {
    this.#client.close();
  }
}

/** `labels["a"]` and `ttl.seconds` are about `labels` and `ttl`. */
export const topOf = (field: string): string => /^[a-z_]+/.exec(field)?.[0] ?? field;
