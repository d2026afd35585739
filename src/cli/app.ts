/** The composition root as the commands see it, imported only when a command needs the whole service. */

/** What `config bootstrap` and `config adopt` did, for people. */
export interface Report {
  readonly ok: boolean;
  readonly lines: readonly string[];
}

export function theApp(): Promise<typeof import('../app.ts')> {
  return import('../app.ts');
}
