/**
 * `npm run soak -- --minutes N`: does anything grow, leak or fail under a sustained mixed load?
 *
 * Each strategy gets an equal share of the time: a fresh server, a fresh load with every byte checked, killed workers,
 * samples of the server's resources, and verdicts. The main thread only waits; it owns the order of the parts and the
 * output. Ctrl-C ends all processes. Exit codes: 0 nothing failed, 1 something did, 2 wrong usage, 130 interrupted.
 */
import { writeFileSync } from 'node:fs';
import { STDOUT } from '../../src/options/values.ts';
import { Interruption } from '../child-process.ts';
import { environment } from '../environment.ts';
import { putJson, runProgram } from '../flags.ts';
import { type PartPlan, runPart } from './soak/part.ts';
import { headReport, partReport, verdictLines } from './soak/report.ts';
import { type SoakOptions, soakOptions, USAGE } from './soak/soak-options.ts';
import type { PartResult } from './soak/types.ts';
import { type Growth, growthOf, type Verdict, verdictsOn } from './soak/verdict.ts';

const EXIT_INTERRUPTED = 130;

interface Part {
  result: PartResult | null;
  growth: Growth | null;
  verdicts: Verdict[];
}

class Output {
  private readonly lines: string[] = [];
  private readonly isShown: boolean;

  constructor(isShown: boolean) {
    this.isShown = isShown;
  }

  print(lines: readonly string[]): void {
    this.lines.push(...lines);
    if (this.isShown) process.stdout.write(`${lines.join('\n')}\n`);
  }

  get text(): string {
    return `${this.lines.join('\n')}\n`;
  }
}

/** Runs one part; one that does not complete is a FAIL, and the next still runs. Null when interrupted. */
async function attemptPart(plan: PartPlan, output: Output, interruption: Interruption): Promise<Part | null> {
  try {
    const result = await runPart(plan);
    const verdicts = verdictsOn(result);
    output.print(partReport(result, verdicts));
    return { result, growth: growthOf(result), verdicts };
  } catch (error) {
    if (interruption.isInterrupted) return null;
    const what = `the part completes: ${error instanceof Error ? error.message : String(error)}`;
    const verdicts: Verdict[] = [{ outcome: 'FAIL', what }];
    output.print([`${plan.strategy}:`, ...verdictLines(verdicts), '']);
    return { result: null, growth: null, verdicts };
  }
}

function summary(verdicts: readonly Verdict[]): string {
  const count = (outcome: Verdict['outcome']) => verdicts.filter((each) => each.outcome === outcome).length;
  return `${count('PASS')} PASS, ${count('FAIL')} FAIL, ${count('too short to tell')} too short to tell`;
}

async function soak(options: SoakOptions): Promise<number> {
  const { minutes, strategies, seed, watched } = options;
  using interruption = new Interruption();
  const env = environment();
  const output = new Output(options.json !== STDOUT);
  output.print(headReport(env, options));
  const parts: Part[] = [];
  for (const strategy of strategies) {
    const durationMs = (minutes * 60_000) / strategies.length;
    const part = await attemptPart({ strategy, durationMs, seed, watched }, output, interruption);
    if (part === null) break;
    parts.push(part);
  }
  const verdicts = parts.flatMap((part) => part.verdicts);
  const partly = interruption.isInterrupted ? 'interrupted; ' : '';
  output.print([`${partly}${summary(verdicts)}`]);
  if (options.output !== null) writeFileSync(options.output, output.text);
  if (options.json !== null) {
    const all = { environment: env, minutes, seed, watched, interrupted: interruption.isInterrupted, parts };
    putJson(options.json, all);
  }
  if (interruption.isInterrupted) return EXIT_INTERRUPTED;
  return verdicts.some(({ outcome }) => outcome === 'FAIL') ? 1 : 0;
}

await runProgram('soak', USAGE, () => soak(soakOptions(process.argv.slice(2))));
