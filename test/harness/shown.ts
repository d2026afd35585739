/** What a client shows of itself, over TLS or in clear: a token in its header, a certificate, or nothing. */
import {
  type ChannelCredentials,
  type ClientOptions,
  credentials,
  InterceptingCall,
  type Interceptor,
} from '@grpc/grpc-js';

export interface Shown {
  /** PEM of whom it trusts; with it TLS is spoken. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The whole header, `Bearer ...`. */
  readonly authorization?: string;
  /** The trace that its calls are parts of. */
  readonly traceparent?: string;
}

export interface Channel {
  readonly creds: ChannelCredentials;
  readonly options: ClientOptions;
}

export function bearer(token: string): Shown {
  return { authorization: `Bearer ${token}` };
}

/** Not by call credentials: those of grpc-js are never sent in clear, as an attacker's are. */
function adding(name: string, value: string): Interceptor {
  return (options, next) =>
    new InterceptingCall(next(options), {
      start(metadata, listener, begin) {
        metadata.set(name, value);
        begin(metadata, listener);
      },
    });
}

export function channelOf({ ca, cert, key, authorization, traceparent }: Shown): Channel {
  const pem = (text: string | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text));
  const creds =
    ca === undefined ? credentials.createInsecure() : credentials.createSsl(pem(ca), pem(key), pem(cert));
  const interceptors = Object.entries({ authorization, traceparent }).flatMap(([name, value]) =>
    value === undefined ? [] : [adding(name, value)],
  );
  return { creds, options: interceptors.length === 0 ? {} : { interceptors } };
}
