/**
 * Procedures that accept the p-values of many figures, beside that of the product, to be compared by simulation. Pure.
 */
import { ALPHA } from '../../stats/intervals.ts';
import { ascending } from '../../stats/summary.ts';
import { acceptedUpTo, type Procedure } from '../../stats/verdict.ts';

/** Holm's: with a probability of at least 95 % no accepted claim of the family is false, however claims depend. */
export const holm: Procedure = (pValues) => {
  const sorted = pValues.toSorted(ascending);
  const refused = sorted.findIndex((p, i) => p > ALPHA / (sorted.length - i));
  const accepted = refused === -1 ? sorted : sorted.slice(0, refused);
  return accepted.at(-1) ?? -1;
};

export const PROCEDURES = {
  'Benjamini-Hochberg, 5 %': acceptedUpTo,
  'Benjamini-Hochberg, 1 %': (pValues) => acceptedUpTo(pValues, 0.01),
  'Holm, 5 %': holm,
} as const satisfies Record<string, Procedure>;
export type ProcedureName = keyof typeof PROCEDURES;
