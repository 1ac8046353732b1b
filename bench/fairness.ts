/**
 * How evenly clients are served: Jain's fairness index, and the client served worst. Pure.
 */

/** (sum of x)^2 / (n * sum of x^2): 1 when all values are equal, 1/n when all but one are 0. */
export function jainIndex(values: readonly number[]): number {
  const sum = values.reduce((all, value) => all + value, 0);
  const squares = values.reduce((all, value) => all + value * value, 0);
  return squares === 0 ? 1 : sum ** 2 / (values.length * squares);
}

/** What one client of a load has seen. */
export interface Served {
  answers: number;
  /** Time waited for answers, also for those that did not come. */
  spentMs: number;
}

export interface Fairness {
  /** Jain's index of the clients' answers per time waited. */
  fairness: number;
  /** Average response time of the client for which it is longest. */
  worstClientMs: number;
}

/** Null without an answer. A client without one has the rate 0. */
export function fairnessOf(clients: readonly Served[]): Fairness | null {
  if (clients.every(({ answers }) => answers === 0)) return null;
  const rates = clients.map(({ answers, spentMs }) => (answers === 0 ? 0 : answers / spentMs));
  const averages = clients.map(({ answers, spentMs }) => spentMs / Math.max(1, answers));
  return { fairness: jainIndex(rates), worstClientMs: Math.max(...averages) };
}
