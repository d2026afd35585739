/** `holdfast serve`: runs a replica until it is told to stop. */
import { loadSettings } from '../config.ts';
import { theApp } from './app.ts';
import { type Command, SettingsError } from './command.ts';
import { settingsUsage } from './settings-usage.ts';

const usage = `Usage: holdfast serve [flags]

Serves locks over gRPC until SIGTERM or SIGINT, then drains: exit 0. Exit 2 when a
setting is wrong; every wrong one is named. SIGHUP reads the settings again: what
can change while it runs takes effect, all of it or, if anything is wrong, nothing.

${settingsUsage()}`;

export const command: Command = {
  usage,
  async run(args, io) {
    const loaded = loadSettings({ argv: args });
    if (!loaded.ok) throw new SettingsError(loaded.problems);
    for (const warning of loaded.warnings) io.err(`WARNING: ${warning}\n`);
    return (await theApp()).run(loaded.settings, () => loadSettings({ argv: args }));
  },
};
