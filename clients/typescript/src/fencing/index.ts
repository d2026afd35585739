/** `@holdfast/client/fencing`: guards by which a protected resource refuses a lease that has ended. */
export {
  FencingError,
  MissingTargetError,
  PublishError,
  StaleTokenError,
  VersionConflictError,
} from './errors.ts';
export { FencedFile, type PublishedFile, type PublishOptions, publishedFile } from './fenced-file.ts';
export {
  type FencedUpdate,
  fencedUpdate,
  fencedUpdateStatement,
  type Queries,
  type Statement,
} from './postgres.ts';
export { type FencedSet, fencedSet, type Scripts, tokenKeyOf } from './redis.ts';
export { type FencedPut, fencedPut, type Objects, TOKEN_METADATA } from './s3.ts';
