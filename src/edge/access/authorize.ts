/** What an identity may do, by its rules: decided from names alone, before any node is asked. Pure. */
import { allows, anybody, type Identity, type Verb } from '../../domain/access.ts';
import { invalidField, type Refusal, refuse } from '../../domain/refusals.ts';
import type { WatchAsk, Watcher } from '../../locks/locks.ts';
import { looksLikeTenants } from './tenant-names.ts';

/** Names what was asked for, and nothing of what there is. */
function denied({ name }: Identity, verb: Verb, what: string): Refusal {
  return refuse('DENIED', `${name} may not ${verb} ${what}`, { metadata: { verb, resource: what } });
}

export function mayName(identity: Identity, verb: Verb, name: string): Refusal | undefined {
  return allows(identity, verb, name) ? undefined : denied(identity, verb, name);
}

/** All of them, also where any would do. */
export function mayAll(identity: Identity, verb: Verb, names: readonly string[]): Refusal | undefined {
  if (identity.rules === undefined) return undefined;
  const refused = names.find((name) => !allows(identity, verb, name));
  return refused === undefined ? undefined : denied(identity, verb, refused);
}

const notAnOwner = invalidField('owner', 'must not begin as the owners of a tenant do, with ~NAME/');

/** Nobody may stand among the owners of a tenant; where no caller is authenticated there are none. */
export function mayOwn(identity: Identity, owner: string): Refusal | undefined {
  return identity !== anybody && looksLikeTenants(owner) ? notAnOwner : undefined;
}

/** A whole prefix, which must lie within an allowed one. */
export function mayPrefix(identity: Identity, prefix: string): Refusal | undefined {
  return allows(identity, 'inspect', prefix) ? undefined : denied(identity, 'inspect', `${prefix}*`);
}

export function mayWatch(identity: Identity, { resources, prefix }: WatchAsk): Refusal | undefined {
  const byPrefix = prefix !== '' || resources.length === 0;
  return mayAll(identity, 'inspect', resources) ?? (byPrefix ? mayPrefix(identity, prefix) : undefined);
}

/** A watch stands for long: what a reload has forbidden meanwhile is missed. */
export function heardBy(identity: () => Identity, watcher: Watcher): Watcher {
  return {
    event: (event) => {
      if (allows(identity(), 'inspect', event.resource)) watcher.event(event);
      else watcher.missed(1);
    },
    missed: (count) => watcher.missed(count),
  };
}

/** The prefixes to which a question about an owner is confined; none: it is not. */
export function inspectable(identity: Identity, owner = ''): readonly string[] | Refusal {
  // Its events would be left out, but where a page of them ends would be told.
  const foreign = mayOwn(identity, owner);
  if (foreign !== undefined) return foreign;
  if (identity.rules === undefined) return [];
  const rules = identity.rules.filter(({ verbs }) => verbs.includes('inspect'));
  if (rules.length === 0) return denied(identity, 'inspect', '*');
  if (rules.some(({ prefixes }) => prefixes.length === 0)) return [];
  return [...new Set(rules.flatMap(({ prefixes }) => prefixes))];
}

/** The replica serves all tenants, so it is no tenant's to administer, whatever its rules say. */
export function mayAdmin(identity: Identity, call: string): Refusal | undefined {
  const may = identity.tenant === '' && allows(identity, 'admin', '');
  if (may) return undefined;
  return refuse('DENIED', `${identity.name} may not call ${call}`, { metadata: { verb: 'admin', call } });
}
