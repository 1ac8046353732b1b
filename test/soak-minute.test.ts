/**
 * Goal: the soak test finds nothing wrong with the server, and its outputs agree.
 * Method: one minute of it, with nothing else running beside it.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import type { PartResult } from '../bench/lab/soak/types.ts';
import { Child } from './support/child.ts';
import { FULL } from './support/size.ts';

const PROGRAM = fileURLToPath(new URL('../bench/lab/soak.ts', import.meta.url));

it.runIf(FULL)(
  'finds no fault in a minute of load, a third for each strategy',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'soak-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const files = ['--output', join(folder, 'soak.txt'), '--json', '-'];
    const child = new Child(process.execPath, [PROGRAM, '--minutes', '1', ...files]);
    expect(await child.untilEnded(240_000), child.stdout + child.stderr).toMatchObject({ code: 0 });
    expect(readFileSync(join(folder, 'soak.txt'), 'utf8')).toMatch(
      /\n1[5-8] PASS, 0 FAIL, [3-6] too short to tell\n$/,
    );
    const { parts, environment } = JSON.parse(child.stdout);
    expect(environment.cores).toBeGreaterThan(0);
    expect(parts.map((part: { result: PartResult }) => part.result.strategy)).toEqual([
      'cmwq',
      'workqueue',
      'kthread',
    ]);
    for (const { result } of parts as { result: PartResult }[]) {
      const { counts: counted, figures, samples: taken, deathsOrdered } = result;
      expect(counted.opened).toBe(figures.accepted);
      expect(Math.min(...Object.values(counted.completed)), result.strategy).toBeGreaterThan(0);
      expect(taken.length).toBeGreaterThan(5);
      expect(figures.deaths).toBe(deathsOrdered);
    }
  },
  270_000,
);
