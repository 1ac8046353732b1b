/**
 * The fixed texts of the report: what the strategies do, how to read it, and what it does not show.
 */
import type { StrategyName } from '../../src/options/types.ts';

export const STRATEGY_TEXTS: Record<StrategyName, string> = {
  kthread: 'a thread for each connection',
  workqueue: 'a fixed set of workers, each with one connection until that closes',
  cmwq: 'a few workers for all connections; one that sleeps is replaced by another',
};

export const HOW_TO_READ = [
  'The table at the top has for each load the server to choose by the first figure of the experiment: one that is better than the reference, or else the reference and what equals it. Experiments with the same answer share a row. "(12 of 13)" counts points; a "but" names other figures that point the other way, or any way where the first is undecided or the same. The sentences at each experiment say by what factor servers differ, with its interval, and which has the highest rate, if the verdicts allow that.',
  'Workers are sized where those of a server with a handler are the limit (in its timeline, at least half of the time all are busy and connections wait) and the handler sleeps. It computes if CPU time is at least half of the time that a request takes a worker, or if cmwq usually has no more workers busy than there are processors, while there are more clients: then more workers do not raise the rate. Sleeps that are too short for its monitor count as computing there. Little\u2019s law sizes the workers: busy ones divided by the rate are the time that a request takes a worker; that time multiplied by the highest rate measured is their number, but never more than cmwq had busy. It is a lower bound, as requests take longer when more of them compete for the processors.',
  'Every point is the median of several rounds. A run is a fresh server and a fresh load generator and yields one value per metric; a round is one run of each server, one after another. The pale bar behind a point is the interval of the median, which covers the true one with 95 % if rounds are independent (five rounds: smallest to largest, 94 %; fewer give no interval). It says how stable a server is, not whether two differ.',
  'A hollow point had errors: timeouts, refused or reset connections, requests that were never sent. A request that timed out or was never sent counts with the time that the load generator waited for it; values that it may raise are lower bounds, marked \u2265 in the tables. Its verdict is "fails".',
  'Servers are compared by their ratio within each round, so that what the machine did to the whole round cancels out. The factor is the median of all averages of two such ratios on the log scale, the interval that of Wilcoxon\u2019s signed-rank test. Better or worse: the interval does not contain 1. Same: it lies within the margin. Undecided: neither; more rounds may decide. Fails: errors, timeouts, requests never sent.',
  'A report has many figures, and some would differ by chance. Better, worse and same must therefore pass the procedure of Benjamini and Hochberg at 5 %, by Student\u2019s t, among the primary figures of the report (the first of each experiment) or among the others: then at most one in twenty such verdicts is false on average, so that a report with many may well contain a false one. A verdict is firm if its p-value is at most 5 % divided by the number of these figures: then, with a probability of 95 %, none is false. The others have a dagger, and so has a result that includes one. Simulations confirm both.',
  'If the load generator ran or waited for a processor during more than 95 % of the time in any run, it was the bottleneck: the server may be better than its response times and rates, and is not worse. So the better of two servers may have such runs, and the difference is at least the factor; the worse one may not, and neither of two that are the same. Fairness is not judged then. CPU per request and memory are the server\u2019s own, and are judged as always.',
  'A value that cannot be told from zero (less than a microsecond, one request per s, 1 KiB for each connection) counts as that smallest one, and the report names the values instead of a factor.',
  'In a burst the first response time of each client begins at its connect: a server that accepts late, or whose backlog is so short that the kernel drops connection requests, is slow. "Connecting" is the part until the connection is established.',
  'The A/A control is the reference, run a second time under another name and judged by the same rule. If it differs from itself, the control fails, and so does the figure in question.',
  'A round that the machine disturbed (the hypervisor or other processes took more than their share of the processors) is run again, at most one round in four of a point; the report counts them.',
  'A ! marks a value with an outlier (test of Grubbs at 1 %, on the log scale: one clean cell in a hundred has one). It is counted like all others.',
  'Each timeline is from one extra run, which is not measured because logging its stats costs the server time. "Waiting" counts connections queued for a thread; cmwq has no such queue, and kthread only at its thread limit. "Threads" counts all threads of the process, including starting ones. "Busy workers" hold a connection or are on duty. "nr_running" counts running items under concurrency management; it exists only under cmwq. Timelines in which no figure takes three values during the load are left out, as are figures that are always zero.',
] as const;

/** What a report does not show; `hasWork`: it is on the operator's own work. */
export function notShown(hasWork: boolean): string[] {
  return [...NOT_SHOWN, ...(hasWork ? [] : [ECHO_ONLY])];
}

const ECHO_ONLY =
  'An echo is almost no work. With real work, differences between ways of waiting matter less and differences between dispatch strategies more: see the experiments "blocking" and "cpu-bound".';

const NOT_SHOWN = [
  'Client and server share the processors. A server that uses less CPU leaves more to the client, so response times and throughput describe the whole machine. CPU per request is the server\u2019s alone.',
  'Loopback only: no network card, no distance, no loss.',
  'Every burst starts with a cold server: its hot code is not compiled and its threads do not exist yet. The experiments with persistent connections have a warm-up.',
  'The worst response time of a run is that of one request; any pause of the machine can cause it.',
] as const;
