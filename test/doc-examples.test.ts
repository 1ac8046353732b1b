/**
 * Goal: the examples in the documentation are programs that compile against the package, and docs/api.md has every export.
 * Method: each block of TypeScript becomes a module of a project that finds the package's exports in the sources, and the
 * compiler checks them all at once. The names of exports are read from the sources.
 */
import { execFile } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const EXPORTS = {
  'kecho-pool': 'src/index.ts',
  'kecho-pool/admin': 'src/admin/index.ts',
  'kecho-pool/bench': 'bench/load/index.ts',
  'kecho-pool/handler': 'src/handler.ts',
};

interface Example {
  name: string;
  code: string;
}

const EXAMPLES: Example[] = globSync(['README.md', 'docs/*.md'], { cwd: ROOT }).flatMap((page) => {
  const blocks = readFileSync(join(ROOT, page), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm);
  return [...blocks].map(([, code = ''], i) => ({ name: `${page.replace(/\W/g, '-')}-${i + 1}.ts`, code }));
});

/** Compiles examples in a project of their own. Returns the compiler's complaints. */
async function complaintsAbout(examples: readonly Example[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'kecho-pool-examples-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const paths = Object.fromEntries(Object.entries(EXPORTS).map(([name, file]) => [name, [join(ROOT, file)]]));
  const config = { extends: join(ROOT, 'tsconfig.json'), include: ['*.ts'] };
  const compilerOptions = { paths, noUnusedLocals: false, noUnusedParameters: false };
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ ...config, compilerOptions }));
  for (const { name, code } of examples) writeFileSync(join(folder, name), `${code}export {};\n`);
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  const failed = (error: { stdout: string }) => error;
  const { stdout } = await promisify(execFile)(tsc, ['--project', folder], { cwd: folder }).catch(failed);
  return stdout;
}

/** The names that a module exports. */
function exportsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const declared = text.matchAll(/^export (?:async )?(?:class|const|function|interface|type) (\w+)/gm);
  const listed = text.matchAll(/^export (?:type )?\{([^}]*)\}/gm);
  const names = [...listed].flatMap(([, list = '']) => list.split(','));
  return [...[...declared].map(([, name = '']) => name), ...names]
    .map((name) => name.trim().replace(/^type /, ''))
    .filter((name) => name !== '');
}

it.each(Object.entries(EXPORTS))('of %s are all in docs/api.md', (module, file) => {
  const page = readFileSync(join(ROOT, 'docs/api.md'), 'utf8');
  const [, section = ''] = page.split(`\n## \`${module}\`\n`);
  const names = exportsOf(file);
  expect(names.length).toBeGreaterThan(1);
  const [described = ''] = section.split('\n## ');
  expect(names.filter((name) => !new RegExp(`\`${name}\\b`).test(described))).toEqual([]);
});

/** Shows that the compiler sees the examples. */
const WRONG: Example = {
  name: 'wrong.ts',
  code: `import { createEchoServer } from 'kecho-pool';\ncreateEchoServer({ strategie: 'cmwq' });\n`,
};

it('compile', async () => {
  const pages = new Set(EXAMPLES.map(({ name }) => name.replace(/-\d+\.ts$/, '')));
  expect([...pages]).toEqual(expect.arrayContaining(['README-md', 'docs-api-md', 'docs-handlers-md']));
  const complaints = (await complaintsAbout([...EXAMPLES, WRONG])).split(/\n(?=\S)/);
  expect(complaints).toEqual([expect.stringMatching(/^wrong\.ts\(2,.*'strategie'/)]);
});
