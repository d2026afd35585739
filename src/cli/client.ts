/** The one door of the commands to the TypeScript client. */
export {
  BusyError,
  Holdfast,
  HoldfastError,
  InvalidFieldError,
  type Lease,
  UnavailableError,
} from '../../clients/typescript/src/index.ts';
// Not part of the package's face.
export { bearer } from '../../clients/typescript/src/session/bearer.ts';
