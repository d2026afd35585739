/** All scenarios, in the order in which they are played. */
import type { Scenario } from '../model.ts';
import { errors } from './errors.ts';
import { faults } from './faults.ts';
import { grants } from './grants.ts';
import { leases } from './leases.ts';
import { line } from './line.ts';
import { loss } from './loss.ts';
import { files } from './making.ts';
import { scopes } from './scopes.ts';
import { views } from './views.ts';

export const scenarios: readonly Scenario[] = [
  ...grants,
  ...leases,
  ...line,
  ...errors,
  ...views,
  ...scopes,
  ...files,
  ...loss,
  ...faults,
];
