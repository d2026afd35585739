/** How a client command proves who it is: its channel's credentials, and its token with every call. */
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import type { CallerSettings, CallerTls } from '../config/caller.ts';
import { SettingsError } from './command.ts';

export interface Credentials {
  readonly credentials: ChannelCredentials;
  readonly token: string | undefined;
}

/** Throws SettingsError. */
export function credentialsOf({ tls, token }: CallerSettings): Credentials {
  return {
    credentials: tls === undefined ? credentials.createInsecure() : secured(tls),
    token: token?.reveal(),
  };
}

function secured({ ca, cert, key }: CallerTls): ChannelCredentials {
  try {
    return credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SettingsError([`the certificates cannot be used: ${why}`]);
  }
}
