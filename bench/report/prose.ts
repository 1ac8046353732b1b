/**
 * The fixed texts of the report: how to read it, and what it does not show.
 */

export const HOW_TO_READ = [
  'Every point is the median of several runs. A run is a fresh server and a fresh load generator and yields one value per metric. The pale bar behind a point is the 95 % interval of the median (bootstrap over the runs). With few runs it is somewhat too narrow; with fewer than six there is no interval.',
  'A hollow point had errors: timeouts, refused or reset connections, requests that were never sent. A request that timed out or was never sent counts with the time that the load generator waited for it; values that it may raise are lower bounds, marked \u2265 in the tables. It is not ranked.',
  'Better and worse are relative to one reference, and only if the intervals do not overlap, the difference exceeds the noise floor, both have at least six runs without errors, and the load generator was not the bottleneck: if it ran or waited for a processor during more than 95 % of the time, only the server\u2019s CPU per request and memory are ranked. Otherwise the verdict is "no difference" or "not ranked", with the reason.',
  'In a burst the first response time of each client begins at its connect: a server that accepts late, or whose backlog is so short that the kernel drops connection requests, is slow. "Connecting" is the part until the connection is established.',
  'The noise floor comes from an A/A control: the reference runs a second time under another name, so any difference between the two is noise. Differences up to the far end of the interval of their ratio count as none.',
  'A ! marks a value with outlier runs (farther than 3.5 scaled median deviations from the median). They are counted like all others.',
  'Each timeline is from one extra run, which is not measured because logging its stats costs the server time. "Waiting" counts connections queued for a thread; cmwq has no such queue, and kthread only at its thread limit. "Threads" counts all threads of the process, including starting ones. "Busy workers" hold a connection or are on duty. "nr_running" counts running items under concurrency management; it exists only under cmwq.',
] as const;

export const NOT_SHOWN = [
  'Client and server share the processors. A server that uses less CPU leaves more to the client, so response times and throughput describe the whole machine. CPU per request is the server\u2019s alone.',
  'Loopback only: no network card, no distance, no loss.',
  'An echo is almost no work. With real work, differences between ways of waiting matter less and differences between dispatch strategies more: see the experiments "blocking" and "cpu-bound".',
  'Every burst starts with a cold server: its hot code is not compiled and its threads do not exist yet, as in the studies, which loaded the module and measured. The experiments with persistent connections have a warm-up.',
  'The worst response time of a run is that of one request; any pause of the machine can cause it.',
  'With many servers, points and metrics, some verdicts will be wrong by chance. The rules above keep this below one in twenty for each verdict, not for all together.',
] as const;
