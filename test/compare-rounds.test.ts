/**
 * Goal: servers are compared within rounds that are alike: their order is balanced, more rounds continue the plan, and
 * rounds that the machine disturbed are recognised and repeated within bounds.
 * Method: the plan, for two to six servers; CPU times of made-up processes and of a real one.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  isDisturbed,
  type MachineTimes,
  machineTimes,
  Repeats,
  sharesBetween,
  worst,
} from '../bench/compare/disturbance.ts';
import { chooseExperiments } from '../bench/compare/experiments.ts';
import { type Entrant, inRounds, LOOKS, planRuns, roundsAfter } from '../bench/compare/plan.ts';
import { until } from './support/wait.ts';

function entrants(count: number): Entrant[] {
  return Array.from({ length: count }, (_, i) => ({ label: `s${i}`, kind: 'target', strategy: null }));
}

function experiments(repeat: number) {
  return chooseExperiments(['response', 'churn'], { quick: false, idleMax: 100, repeat });
}

describe('a round', () => {
  it.each([2, 3, 4, 5, 6])(
    'has %i servers in an order in which each has each position, and follows each other, equally often',
    (count) => {
      const rounds = 2 * count; // a balanced set of them
      const plan = planRuns(experiments(rounds), entrants(count), 7);
      for (const { point } of plan) {
        const orders = inRounds(plan.filter((run) => run.point === point));
        expect(orders).toHaveLength(rounds);
        const [positions, pairs] = [new Map<string, number>(), new Map<string, number>()];
        const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
        for (const order of orders) {
          const labels = order.map(({ contestant }) => contestant.label);
          expect(new Set(labels).size).toBe(count);
          for (const [i, label] of labels.entries()) {
            add(positions, `${label} at ${i}`);
            if (i > 0) add(pairs, `${labels[i - 1]} before ${label}`);
          }
        }
        expect([positions.size, ...new Set(positions.values())]).toEqual([count * count, 2]);
        expect([pairs.size, ...new Set(pairs.values())]).toEqual([count * (count - 1), 2]);
      }
    },
  );

  it('runs its servers one after another', () => {
    const rounds = inRounds(planRuns(experiments(8), entrants(3), 5).filter(({ round }) => round > 0));
    expect(rounds.map((round) => round.length)).toEqual(Array.from({ length: 5 * 8 }, () => 3));
  });
});

describe('with --until', () => {
  it('further rounds continue the plan, at the points that need them', () => {
    const [first, second] = LOOKS;
    const chosen = experiments(first);
    const [wanted] = chosen[0]?.points ?? [];
    const rounds = roundsAfter(first, (point) => point === wanted);
    if (rounds === null || wanted === undefined) throw new Error('there is a look after the first');
    const more = planRuns(chosen, entrants(3), 5, rounds);
    const all = planRuns(chosen, entrants(3), 5, { from: 1, to: () => second });
    const labels = (plan: typeof more) => plan.map(({ round, contestant }) => `${round} ${contestant.label}`);
    expect(labels(more)).toEqual(labels(all.filter(({ point, round }) => point === wanted && round > first)));
    expect(more).toHaveLength(3 * (second - first));
  });

  it('end after the last look', () => {
    expect(roundsAfter(LOOKS.at(-1) ?? 0, () => true)).toBeNull();
  });
});

describe('a disturbance', () => {
  const times = (atMs: number, steal: number, processes: Record<string, number>): MachineTimes => {
    return { atMs, total: atMs, steal, processes: new Map(Object.entries(processes)) };
  };

  it('is the CPU time of processes that exist before and after', () => {
    const before = times(0, 0, { '10 1': 500, '11 2': 70 });
    const quiet = times(10_000, 0, { '10 1': 501, '12 9': 100_000 });
    expect(isDisturbed(sharesBetween(before, quiet))).toBe(false);
    const reused = times(10_000, 0, { '11 3': 100_000 });
    expect(sharesBetween(before, reused).othersShare).toBe(0);
    const busy = times(10_000, 0, { '10 1': 10_000_500 });
    expect(sharesBetween(before, busy).othersShare).toBe(1);
    expect(isDisturbed(sharesBetween(before, busy))).toBe(true);
  });

  it('is time that the hypervisor took', () => {
    const found = sharesBetween(times(0, 100, {}), times(1000, 150, {}));
    expect(found.stealShare).toBeCloseTo(0.05, 10);
    expect(isDisturbed(found)).toBe(true);
    const quiet = { stealShare: 0, othersShare: 0.05 };
    expect(worst(quiet, null)).toEqual(quiet);
    expect(worst(quiet, found)).toEqual({ stealShare: found.stealShare, othersShare: 0.05 });
  });

  /** The CPU time of a process; undefined when it is not among the others. */
  const timeOf = ({ processes }: MachineTimes, pid = 0) =>
    [...processes].find(([key]) => key.startsWith(`${pid} `))?.[1];

  it('is seen when a process computes, unless it is this one or its child, which serves the comparison', async () => {
    const child = spawn('/bin/sh', ['-c', 'while :; do :; done & echo $!; wait']);
    onTestFinished(() => void child.kill('SIGKILL'));
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const other = Number(line);
    onTestFinished(() => void process.kill(other, 'SIGKILL'));
    const before = machineTimes();
    const beganMs = timeOf(before, other) ?? Number.NaN;
    await until(() => (timeOf(machineTimes(), other) ?? 0) > beganMs + 20, 'it has computed');
    expect(sharesBetween(before, machineTimes()).othersShare).toBeGreaterThan(0);
    for (const pid of [process.pid, child.pid]) expect(timeOf(before, pid)).toBeUndefined();
  });

  it('makes one round in four of a point be repeated, at most', () => {
    const repeats = new Repeats<string>();
    const often = (point: string, rounds: number) =>
      Array.from({ length: 20 }, () => repeats.isNext(point, rounds)).filter(Boolean).length;
    expect([often('a', 8), often('b', 3), often('c', 12)]).toEqual([2, 0, 3]);
    expect(often('a', 12)).toBe(1); // further rounds, with --until
  });
});
