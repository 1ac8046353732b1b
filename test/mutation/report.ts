/**
 * Writes bench/results/mutation.txt from Stryker's result, with a reason from reasons.json for each survivor.
 * Exit code 1 when a score is below the threshold or a survivor has no reason.
 *
 * A reason is found by the file and the line's text before and after, so it survives when lines move.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { environmentLines } from '../../bench/environment.ts';

interface Mutant {
  mutatorName: string;
  replacement: string;
  statusReason?: string;
  status: 'Killed' | 'Timeout' | 'Survived' | 'NoCoverage' | 'CompileError' | 'RuntimeError' | 'Ignored';
  location: { start: { line: number; column: number }; end: { line: number; column: number } };
}

interface MutatedFile {
  source: string;
  mutants: Mutant[];
}

interface Reason {
  file: string;
  /** The line, trimmed. */
  line: string;
  /** The line in the mutant. */
  becomes: string;
  why: string;
}

const THRESHOLD_PERCENT = 85;
const ROOT = new URL('../../', import.meta.url);
const RESULT = new URL('bench/results/mutation.txt', ROOT);

function read<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(path, ROOT), 'utf8')) as T;
}

/** The mutant's line before and after, trimmed; the first line of a change over several. */
function change(
  { source }: MutatedFile,
  { location, replacement }: Mutant,
): { line: string; becomes: string } {
  const lines = source.split('\n');
  const { start, end } = location;
  const first = lines[start.line - 1] ?? '';
  const tail = (lines[end.line - 1] ?? '').slice(end.column - 1);
  return {
    line: first.trim(),
    becomes: `${first.slice(0, start.column - 1)}${replacement}${tail}`.replaceAll(/\s+/g, ' ').trim(),
  };
}

function count(mutants: readonly Mutant[], status: Mutant['status']): number {
  return mutants.filter((mutant) => mutant.status === status).length;
}

function score(mutants: readonly Mutant[]): number {
  const noticed = count(mutants, 'Killed') + count(mutants, 'Timeout');
  const missed = count(mutants, 'Survived') + count(mutants, 'NoCoverage');
  return (100 * noticed) / (noticed + missed);
}

function row(name: string, mutants: readonly Mutant[]): string {
  const cells = [
    mutants.length,
    count(mutants, 'Killed'),
    count(mutants, 'Timeout'),
    count(mutants, 'Survived'),
    count(mutants, 'NoCoverage'),
  ].map((n) => String(n).padStart(9));
  return `${name.padEnd(28)}${cells.join('')}${`${score(mutants).toFixed(1)} %`.padStart(10)}`;
}

const reasons = read<Reason[]>('test/mutation/reasons.json');
const used = new Set<Reason>();
let unexplained = 0;

function survivor(name: string, file: MutatedFile, mutant: Mutant): string[] {
  const { line, becomes } = change(file, mutant);
  const reason = reasons.find((r) => r.file === name && r.line === line && r.becomes === becomes);
  if (reason === undefined) unexplained++;
  else used.add(reason);
  return [
    `${name}:${mutant.location.start.line}  ${mutant.mutatorName}${mutant.status === 'NoCoverage' ? ', no test reaches it' : ''}`,
    `  - ${line}`,
    `  + ${becomes}`,
    `  ${reason?.why ?? 'NO REASON GIVEN in test/mutation/reasons.json'}`,
    '',
  ];
}

const files = Object.entries(
  read<{ files: Record<string, MutatedFile> }>('coverage/mutation.json').files,
).sort(([a], [b]) => (a < b ? -1 : 1));
const all = files.flatMap(([, file]) => file.mutants);
const survivors = files.flatMap(([name, file]) =>
  file.mutants
    .filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
    .flatMap((mutant) => survivor(name, file, mutant)),
);
const endless = files.flatMap(([name, file]) =>
  file.mutants
    .filter(({ status, statusReason }) => status === 'Timeout' && !statusReason?.startsWith('Hit limit'))
    .map((mutant) => `${name}:${mutant.location.start.line}  ${change(file, mutant).becomes}`),
);
const stale = reasons.filter((reason) => !used.has(reason));
const low = files.filter(([, file]) => score(file.mutants) < THRESHOLD_PERCENT).map(([name]) => name);

const text = [
  'Mutation testing: npm run mutation',
  '',
  ...environmentLines(['@stryker-mutator/core', 'vitest']),
  '',
  'Each mutant is one small change of the code. Killed: a test failed. Timeout: an endless loop, which is',
  'also detected. Survived: all tests passed. The score is (killed + timeout) / all.',
  '',
  `${'file'.padEnd(28)}${['mutants', 'killed', 'timeout', 'survived', 'untested'].map((h) => h.padStart(9)).join('')}${'score'.padStart(10)}`,
  ...files.map(([name, file]) => row(name, file.mutants)),
  row('all', all),
  '',
  'Survivors, and why they survive',
  '',
  ...survivors,
  'Detected only by the time limit: these loop forever without passing a mutated place again',
  '',
  ...endless,
].join('\n');
writeFileSync(RESULT, `${text.trimEnd()}\n`);
process.stdout.write(`${text.trimEnd()}\n`);
for (const { file, line, becomes } of stale) {
  process.stdout.write(`reasons.json: no such survivor: ${file}: ${line} -> ${becomes}\n`);
}
for (const name of low) process.stdout.write(`${name}: below ${THRESHOLD_PERCENT} %\n`);
if (unexplained > 0)
  process.stdout.write(`${unexplained} survivors without a reason in test/mutation/reasons.json\n`);
process.exitCode = unexplained > 0 || low.length > 0 ? 1 : 0;
