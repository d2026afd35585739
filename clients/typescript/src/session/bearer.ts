/** The token of a client, sent with each of its calls: gRPC's own call credentials refuse to do so without TLS. */
import { InterceptingCall, type Interceptor, status } from '@grpc/grpc-js';

/** The token, or whoever has it: asked at each call, so that one that expires can be renewed. */
export type Token = string | (() => string | Promise<string>);

export function bearer(token: Token): Interceptor {
  return (options, nextCall) => {
    const call: InterceptingCall = new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        const send = (text: string): void => {
          metadata.set('authorization', `Bearer ${text}`);
          next(metadata, listener);
        };
        if (typeof token === 'string') {
          send(token);
          return;
        }
        new Promise<string>((resolve) => resolve(token())).then(send).catch((cause: unknown) => {
          // Never what was thrown: it may quote the token.
          const why = cause instanceof Error ? cause.name : 'it threw';
          call.cancelWithStatus(status.UNAUTHENTICATED, `no token could be had: ${why}`);
        });
      },
    });
    return call;
  };
}
