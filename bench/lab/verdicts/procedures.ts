/**
 * Procedures that accept the p-values of many figures, beside that of the product, to be compared by simulation. Pure.
 */
import { ALPHA } from '../../stats/intervals.ts';
import { ascending } from '../../stats/summary.ts';
import { acceptedUpTo, firmUpTo, type Procedure } from '../../stats/verdict.ts';

/** Holm's: with a probability of at least 1 - alpha no accepted claim of one kind is false, however claims depend. */
export function holm(pValues: readonly number[], alpha = ALPHA): number {
  const sorted = pValues.toSorted(ascending);
  const refused = sorted.findIndex((p, i) => p > alpha / (sorted.length - i));
  const accepted = refused === -1 ? sorted : sorted.slice(0, refused);
  return accepted.at(-1) ?? -1;
}

export const PROCEDURES = {
  'Benjamini-Hochberg, 5 %': acceptedUpTo,
  'Benjamini-Hochberg, 1 %': (pValues) => acceptedUpTo(pValues, 0.01),
  'firm verdicts': ({ length }) => firmUpTo(length),
  'Holm, 2.5 % for each kind': (pValues) => holm(pValues, ALPHA / 2),
} as const satisfies Record<string, Procedure>;
export type ProcedureName = keyof typeof PROCEDURES;
