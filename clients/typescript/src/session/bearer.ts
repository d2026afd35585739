/** The token of a client, sent with each of its calls: gRPC's own call credentials refuse to do so without TLS. */
import { InterceptingCall, type Interceptor, type Listener, type Metadata } from '@grpc/grpc-js';

type Next = (metadata: Metadata, listener: Listener) => void;

/** The token, or whoever has it: asked at each call, so that one that expires can be renewed. */
export type Token = string | (() => string | Promise<string>);

export function bearer(token: Token): Interceptor {
  return (options, nextCall) => {
    const start = (metadata: Metadata, listener: Partial<Listener>, next: Next): void => {
      const send = (text: string): void => {
        metadata.set('authorization', `Bearer ${text}`);
        next(metadata, listener);
      };
      if (typeof token === 'string') {
        send(token);
        return;
      }
      new Promise<string>((resolve) => resolve(token())).then(send).catch((cause: unknown) => {
        // Never what was thrown: it may quote the token. The service refuses the call, and its caller hears that.
        const why = cause instanceof Error ? cause.name : 'it threw';
        process.emitWarning(`no token could be had: ${why}`, 'HoldfastWarning');
        next(metadata, listener);
      });
    };
    return new InterceptingCall(nextCall(options), { start });
  };
}
