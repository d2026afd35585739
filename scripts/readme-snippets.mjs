/** Writes the examples of the TypeScript client into its README, or with `--check` fails where they differ. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../clients/typescript/', import.meta.url));
const path = `${folder}README.md`;
const readme = readFileSync(path, 'utf8');
const fresh = readme.replaceAll(
  /<!-- (examples\/[\w-]+\.ts) -->\n```ts\n[\s\S]*?```/g,
  (_, file) => `<!-- ${file} -->\n\`\`\`ts\n${readFileSync(folder + file, 'utf8')}\`\`\``,
);
if (process.argv[2] !== '--check') writeFileSync(path, fresh);
else if (fresh !== readme) {
  process.stderr.write('clients/typescript/README.md is not what its examples are; run: npm run snippets\n');
  process.exit(1);
}
