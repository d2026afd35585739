/** One call to the service: loads the contract, dials, waits for one answer, and turns failure into an exit code. */
import { fileURLToPath } from 'node:url';
import {
  type ChannelCredentials,
  type ClientOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  loadPackageDefinition,
  type requestCallback,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import type { CallerFlags } from '../config/caller.ts';
import { loadAddress } from '../config.ts';
import type { ProtoGrpcType as AdminTypes } from '../edge/gen/admin.ts';
import type { AdminServiceClient } from '../edge/gen/holdfast/v1/AdminService.ts';
import type { LockServiceClient } from '../edge/gen/holdfast/v1/LockService.ts';
import type { ProtoGrpcType as LockTypes } from '../edge/gen/lock.ts';
import { systemClock } from '../std/clock.ts';
import { bearer } from './client.ts';
import { callerOf, durationFlag, type Io, SettingsError } from './command.ts';
import { credentialsOf } from './credentials.ts';
import { type CallError, callErrorOf, describeError, errorJson } from './errors.ts';
import { exitCodeOf } from './exit.ts';
import { protoJson } from './proto-json.ts';

/** The flags that every client command takes. */
export interface ClientFlags extends CallerFlags {
  readonly address?: string | undefined;
  readonly timeout?: string | undefined;
  readonly json?: boolean | undefined;
}

export class CallFailed extends Error {
  override name = 'CallFailed';
  readonly error: CallError;

  constructor(error: CallError) {
    super(error.message);
    this.error = error;
  }
}

const TIMEOUT_MS = 10_000;
/** grpc-js fails at once on deadlines beyond about 597 hours (2^31 ms). */
const TIMEOUT_MS_MAX = 7 * 86_400_000;
const PROTO_ROOT = fileURLToPath(new URL('../../proto/', import.meta.url));

/** The options that src/edge/gen was generated for. */
const LOADING = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true } as const;

/** An http_proxy in the environment is meant for the web; grpc-js would send even loopback calls through it. */
const CHANNEL = { 'grpc.enable_http_proxy': 0 } as const;

/** How a channel to the service is opened. */
export function dialling(flags: ClientFlags): { credentials: ChannelCredentials; options: ClientOptions } {
  const { credentials, token } = credentialsOf(callerOf(flags));
  const interceptors = token === undefined ? {} : { interceptors: [bearer(token)] };
  return { credentials, options: { ...CHANNEL, ...interceptors } };
}

let contract: PackageDefinition | undefined;

function loadContract(): PackageDefinition {
  contract ??= loadSync(['holdfast/v1/lock.proto', 'holdfast/v1/admin.proto'], {
    ...LOADING,
    includeDirs: [PROTO_ROOT],
  });
  return contract;
}

/** Checked before anything is sent, so that a wrong setting is never mistaken for a service that is away. */
export function addressOf(flags: ClientFlags): string {
  const loaded = loadAddress(flags.address);
  if (!loaded.ok) throw new SettingsError(loaded.problems);
  return loaded.address;
}

/** `extraMs`: what the request itself may take at the service, such as its wait in line. */
export function deadlineOf(flags: ClientFlags, extraMs = 0): Date {
  const ms = flags.timeout === undefined ? TIMEOUT_MS + extraMs : durationFlag('timeout', flags.timeout);
  return new Date(systemClock.wallMicros() / 1000 + Math.min(ms, TIMEOUT_MS_MAX));
}

type Callback<T> = requestCallback<T>;
type Start<T> = (done: Callback<T>) => ClientUnaryCall;

export async function ask<T>(start: Start<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error: ServiceError | null, value?: T) => {
      if (error !== null) reject(new CallFailed(callErrorOf(error)));
      else resolve(value as T);
    });
  });
}

/** Hears a stream until it ends, or until `enough`, which is no failure. */
export async function follow<T>(
  stream: ClientReadableStream<T>,
  enough: Promise<void>,
  hear: (message: T) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on('data', hear);
    stream.on('end', resolve);
    stream.on('error', (error: ServiceError) => reject(new CallFailed(callErrorOf(error))));
    void enough.then(() => {
      resolve();
      stream.cancel();
    });
  });
}

export interface Service {
  readonly lock: LockServiceClient;
  readonly admin: AdminServiceClient;
  ask<T>(start: Start<T>): Promise<T>;
}

/** Runs `work` with a connection that is closed whatever happens. */
export async function withService<T>(flags: ClientFlags, work: (service: Service) => Promise<T>): Promise<T> {
  const address = addressOf(flags);
  const { LockService, AdminService } = (
    loadPackageDefinition(loadContract()) as unknown as LockTypes & AdminTypes
  ).holdfast.v1;
  const { credentials, options } = dialling(flags);
  const lock = new LockService(address, credentials, options);
  const admin = new AdminService(address, credentials, options);
  try {
    return await work({ lock, admin, ask });
  } finally {
    lock.close();
    admin.close();
  }
}

export function printJson(io: Io, message: string, value: object): void {
  io.out(`${JSON.stringify(protoJson(loadContract(), `holdfast.v1.${message}`, value))}\n`);
}

/** Says what went wrong; the exit code. */
export function reportFailure(io: Io, error: CallError, json: boolean): number {
  if (json) io.out(`${JSON.stringify({ error: errorJson(error) })}\n`);
  io.err(describeError(error));
  return exitCodeOf(error.reason, error.status);
}
