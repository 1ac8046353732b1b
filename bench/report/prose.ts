/**
 * What the report says in words, the same in every report: how to read it, and what it does not show.
 */

export const HOW_TO_READ = [
  'Every point is the median of several runs. A run is a fresh server and a fresh load generator; its average, its worst response time and so on are one value each. The pale bar behind a point is the 95 % interval of that median (bootstrap over the runs). With few runs it is somewhat too narrow, and from fewer than six there is none.',
  'A hollow point had errors: answers that did not come in time, connections that were refused or reset. Its figures are those of the requests that were answered, which can look better than they are. It is not ranked.',
  'Better and worse are said against one reference, and only if the intervals do not overlap, the difference is larger than the noise floor, there were at least six runs each without errors, and the load generator was not the bottleneck. Otherwise it says "no difference" or "not ranked", and why.',
  'The noise floor comes from an A/A control: the reference runs a second time under another name. What differs between these two is not the server. Differences up to the far end of the interval of their ratio count as none.',
  'A ! marks a figure with outlier runs (farther than 3.5 scaled median deviations from the median). They are counted like all others.',
  'The timelines are from one extra run each, which is not measured, because asking a server for its figures costs it time. "Waiting" are connections in the queue for a thread; cmwq has no such queue, and kthread only at its limit of threads. "Threads" are all of the process, those included that are starting. "Busy workers" hold a connection or are on duty. "nr_running" are items that run and are counted by the concurrency management; it exists under cmwq only.',
] as const;

export const NOT_SHOWN = [
  'Client and server share the processors. A server that needs less CPU leaves more to the client, so response times and throughput say how the whole machine did. CPU per request is the server\u2019s own.',
  'Loopback only: no network card, no distance, no loss.',
  'An echo is nearly no work. With real work the differences between the ways of waiting matter less, and the differences between the ways of dispatching more: see the experiments "blocking" and "cpu-bound".',
  'Every burst meets a server that has just started and has not compiled its hot code yet, and threads that do not exist yet, as in the studies, which loaded the module and measured. The experiments with open connections have a warm-up.',
  'The worst response time of a run is one request. Any pause of the machine can be it.',
  'With many servers, points and figures, some verdict will be wrong by chance. The rules above are stricter than one in twenty for each, not for all together.',
] as const;
