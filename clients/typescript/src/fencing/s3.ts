/** An object that refuses a stale lease: a conditional PUT with the token in its metadata, for S3 and what is alike. */
import { checkToken, FencingError, StaleTokenError } from './errors.ts';

/** What is needed of a client: `S3` of `@aws-sdk/client-s3` has it. */
export interface Objects<Body> {
  headObject(ask: { Bucket: string; Key: string }): Promise<{
    readonly ETag?: string | undefined;
    readonly Metadata?: Readonly<Record<string, string>> | undefined;
  }>;
  putObject(ask: {
    Bucket: string;
    Key: string;
    Body: Body;
    Metadata: Record<string, string>;
    IfMatch?: string;
    IfNoneMatch?: string;
  }): Promise<{ readonly ETag?: string | undefined }>;
}

export interface FencedPut<Body> {
  readonly bucket: string;
  readonly key: string;
  /** Sent again after a conflict, so not a stream. */
  readonly body: Body;
  readonly token: bigint;
  /** Kept beside the token. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The object's metadata key; a resource's own reader finds the token of what it reads there. */
export const TOKEN_METADATA = 'holdfast-token';
const TRIES = 10;

/**
 * Puts an object under a lease, if no newer lease has put it: reads its ETag and token, and writes on the condition that
 * the ETag is still that one (or that there is still no object). Equal tokens pass: the same lease writes again. Returns
 * the new ETag. Throws StaleTokenError, and nothing was changed; FencingError after ten conflicts in a row.
 *
 * An ETag tells contents apart, not writes: what is put must differ from write to write, else a stale PUT cannot see that
 * somebody has meanwhile put the same bytes again. Put the token into the body (a manifest that names it will do).
 */
export async function fencedPut<Body>(client: Objects<Body>, put: FencedPut<Body>): Promise<string> {
  checkToken(put.token);
  for (let tries = 0; tries < TRIES; tries += 1) {
    const seen = await headOf(client, put);
    const current = BigInt(seen?.token ?? 0);
    if (current > put.token) throw new StaleTokenError(`${put.bucket}/${put.key}`, put.token, current);
    const condition = seen === undefined ? { IfNoneMatch: '*' } : { IfMatch: seen.etag };
    const Metadata = { ...put.metadata, [TOKEN_METADATA]: put.token.toString() };
    try {
      const request = { Bucket: put.bucket, Key: put.key, Body: put.body, Metadata, ...condition };
      return (await client.putObject(request)).ETag ?? '';
    } catch (error) {
      // 412: changed since; 409: another conditional write is under way; 404: removed since.
      if (![404, 409, 412].includes(statusOf(error) ?? 0)) throw error;
    }
  }
  throw new FencingError(
    `${put.bucket}/${put.key} was changed by others ${TRIES} times in a row: nothing was put`,
  );
}

async function headOf<Body>(
  client: Objects<Body>,
  { bucket, key }: FencedPut<Body>,
): Promise<{ etag: string; token: string } | undefined> {
  try {
    const { ETag, Metadata } = await client.headObject({ Bucket: bucket, Key: key });
    if (ETag === undefined) throw new FencingError(`${bucket}/${key} has no ETag: it cannot be guarded`);
    return { etag: ETag, token: Metadata?.[TOKEN_METADATA] ?? '0' };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** The HTTP status where the SDK's errors carry it. */
function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}
