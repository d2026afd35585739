/** The settings as usage text, out of the one table that also parses them. */
import { describeSettings } from '../config.ts';
import { columns } from './format.ts';

export function settingsUsage(): string {
  const rows = describeSettings().flatMap(({ flag, placeholder, meaning, allowed, fallback, secret }) => {
    const note = [fallback === undefined ? '' : `default ${fallback}`, secret ? `or ${flag}-file FILE` : '']
      .filter((part) => part !== '')
      .join('; ');
    return [
      [`  ${flag} ${placeholder}`, meaning],
      ['', `${allowed}${note === '' ? '' : ` (${note})`}`],
    ];
  });
  return `Settings, as flags or as environment variables (--node-timeout is
HOLDFAST_NODE_TIMEOUT); a flag beats the environment, which beats the file:

  --config FILE  lines of KEY=VALUE with the environment names, as for
                 docker run --env-file (HOLDFAST_CONFIG)
${columns(rows)}
OTEL_* turns tracing on, as the OpenTelemetry specification says.
`;
}
