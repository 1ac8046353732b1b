/**
 * The head of a text in bench/results: where and with what it was made.
 */
import { readFileSync } from 'node:fs';
import { environment } from '../../bench/environment.ts';

function versionOf(name: string): string {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Lines that name the time, the machine, the versions and the commit. */
export function environmentLines(packages: readonly string[]): string[] {
  const { date, kernel, arch, cpu, cores, node, commit } = environment(null);
  const tools = packages.map((name) => `${name} ${versionOf(name)}`);
  return [
    `date      ${date}`,
    `commit    ${commit ?? 'unknown'}`,
    `machine   ${cpu}, ${cores} cores, Linux ${kernel} ${arch}`,
    `versions  Node ${node}, ${tools.join(', ')}`,
  ];
}
