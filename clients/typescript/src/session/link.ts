/** One connection to one address: dialled once, and given up rather than repaired. */
import { type ChannelCredentials, Client, connectivityState } from '@grpc/grpc-js';
import { bearer, type Token } from './bearer.ts';

export interface Keepalive {
  /** Silence of so many milliseconds is asked about. */
  readonly timeMs: number;
  /** And an answer awaited for so many. */
  readonly timeoutMs: number;
}

export interface LinkOptions {
  readonly credentials: ChannelCredentials;
  readonly token?: Token | undefined;
  readonly keepalive: Keepalive;
}

export class Link {
  readonly address: string;
  readonly client: Client;
  closed = false;

  constructor(address: string, { credentials, keepalive, token }: LinkOptions) {
    this.address = address;
    this.client = new Client(address, credentials, {
      // A proxy of the environment is meant for the web; even loopback calls would go through it.
      'grpc.enable_http_proxy': 0,
      'grpc.keepalive_time_ms': keepalive.timeMs,
      'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
      'grpc.keepalive_permit_without_calls': 0,
      // Its own connection: what another client knows of this address, and its waits after failures, are not ours.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.enable_retries': 0,
      ...(token === undefined ? {} : { interceptors: [bearer(token)] }),
    });
  }

  /** Calls back once: with nothing when it stands, with why not when it failed or did not stand by `deadline`. */
  dial(deadline: Date, done: (failure: string | undefined) => void): void {
    const channel = this.client.getChannel();
    const look = (): void => {
      if (this.closed) {
        done('closed');
        return;
      }
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) done(undefined);
      else if (state === connectivityState.TRANSIENT_FAILURE) done('the connection was refused or broke');
      else {
        channel.watchConnectivityState(state, deadline, (late) => {
          if (late !== undefined && late !== null) done(this.closed ? 'closed' : 'it did not answer in time');
          else look();
        });
      }
    };
    look();
  }

  /** What is under way on it comes to its end. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.client.close();
  }
}
