/**
 * The result of one run of the load generator (the line of JSON that main.ts prints), and the lines of
 * `kecho-pool bench --json`.
 *
 * Source of the types, of the published bench.schema.json (`npm run schemas`) and of the validation. The generator uses
 * only the types.
 */
import { z } from 'zod';
import { count } from '../../src/schema/json.ts';
import { ARRIVALS, CPU_SOURCES, ERROR_CLASSES, MODES } from './result.ts';

export const ErrorCounts = z.record(z.enum(ERROR_CLASSES), count).meta({ id: 'errors' });

const DISTRIBUTION_FIGURES = ['averageMs', 'worstMs', 'p50Ms', 'p90Ms', 'p95Ms', 'p99Ms', 'p999Ms'] as const;
export type DistributionFigure = (typeof DISTRIBUTION_FIGURES)[number];

export const Distribution = z
  .object({
    count: count.describe('Times that were measured.'),
    censored: count.describe(
      'Times of which only a lower bound is known: of requests that timed out or were never sent.',
    ),
    averageMs: z.number(),
    worstMs: z.number(),
    p50Ms: z.number(),
    p90Ms: z.number(),
    p95Ms: z.number(),
    p99Ms: z.number(),
    p999Ms: z.number(),
    atLeast: z
      .array(z.enum(DISTRIBUTION_FIGURES))
      .describe('Figures that are lower bounds, because the censored times may raise them.'),
  })
  .meta({
    id: 'distribution',
    description:
      'All 0 when count and censored are 0. Average and worst are exact, percentiles within 0.05 %, unless in atLeast.',
  });
export type Distribution = z.infer<typeof Distribution>;

const HistogramParts = z
  .object({
    buckets: z
      .array(count)
      .describe(
        'Bucket, count, bucket, count, ...; empty buckets are left out. Bucket b begins at 2^(b div 2048 - 14) * (1 + (b ' +
          'mod 2048) / 2048) ms; the first and the last also have the times below and above.',
      ),
    sumNs: count.describe('Sum of the times.'),
    worstNs: count.describe('The longest time; 0 without any.'),
  })
  .meta({
    id: 'histogram',
    description:
      'The histogram of all times of several runs has the sums of counts and sumNs and the maximum of worstNs.',
  });
export type HistogramParts = z.infer<typeof HistogramParts>;

const TimesParts = z
  .object({ known: HistogramParts, censored: HistogramParts })
  .meta({ id: 'times', description: 'Times that were measured, and the lower bounds of the censored ones.' });
export type TimesParts = z.infer<typeof TimesParts>;

const Histograms = z
  .object({
    response: TimesParts,
    connect: TimesParts,
    responseRaw: TimesParts.exactOptional(),
    lateness: TimesParts.exactOptional(),
  })
  .describe('All times behind the distributions of the same names.');
export type Histograms = z.infer<typeof Histograms>;

export const LoadResult = z.object({
  mode: z.enum(MODES),
  clients: count.describe('Connections open at a time.'),
  requests: count.describe('Requests per client; 0 when only the duration bounded them.'),
  messageBytes: count,
  windowMs: z
    .number()
    .describe(
      'Length of the measured window; in burst mode from the first connect to the last echo, summed over bursts.',
    ),
  completed: count.describe('Samples completed in the window: echoes, or in churn mode whole connections.'),
  perSecond: z.number(),
  goodPerSecond: z
    .number()
    .describe(
      'Goodput: requests begun in the window (open mode: due in it) and answered within a stated time, per second.',
    )
    .exactOptional(),
  response: Distribution.describe(
    'From request to complete echo; in open mode from the intended send, in churn mode including connect and close, in ' +
      'burst mode the first of each client from its connect.',
  ),
  responseRaw: Distribution.describe('Open mode: from the actual send.').exactOptional(),
  lateness: Distribution.describe(
    'Open mode: how late the generator itself sent, from when a request was due and a connection free for it.',
  ).exactOptional(),
  late: z
    .boolean()
    .describe(
      'Open mode: the average, p50, p90 or p99 of the lateness is more than a tenth of that of the response times.',
    )
    .exactOptional(),
  due: count
    .describe('Open mode: requests due in the window, rate times duration; fewer when the run was cut short.')
    .exactOptional(),
  missedSends: count
    .describe('Open mode: due requests that were sent more than 2 ms late, or never.')
    .exactOptional(),
  unsent: count
    .describe('Open mode: due requests that were never sent; censored in the response times.')
    .exactOptional(),
  fairness: z
    .number()
    .describe(
      "Persistent connections: Jain's index of their answers per time waited, 1 = all equal, 1/n = one of n is served.",
    )
    .exactOptional(),
  worstClientMs: z
    .number()
    .describe('Persistent connections: average response time of the one for which it is longest.')
    .exactOptional(),
  connect: Distribution.describe('From connect() to the established connection.'),
  errors: ErrorCounts,
  errorTotal: count,
  errorDetails: z.array(z.string()).describe('Messages of the first few errors.'),
  serverCpuMs: z
    .number()
    .describe(
      'User and system CPU time of the watched processes in the window, or of the server by its admin endpoint. Absent ' +
        'when none was watched.',
    )
    .exactOptional(),
  serverCpuPerSampleUs: z.number().exactOptional(),
  serverCpuFrom: z
    .enum(CPU_SOURCES)
    .describe(
      'cgroup: of all processes that ran in the control group of the server. processes: of those that existed, and of the ' +
        'children that they waited for.',
    )
    .exactOptional(),
  settledAfterMs: z
    .number()
    .nullable()
    .describe(
      'How much longer the warm-up took until the CPU time of the server per request had settled; null when it had not at ' +
        'the bound. Absent when that was not asked for.',
    )
    .exactOptional(),
  serverThreadsMax: count
    .describe('Maximum number of threads seen in the watched processes.')
    .exactOptional(),
  generatorCpuShare: z
    .number()
    .describe('CPU seconds the generator used per second of the window: 1 is one whole core.'),
  generatorRunDelayShare: z
    .number()
    .describe(
      'Seconds per second of the window that the generator was ready to run and waited for a processor. Absent when the ' +
        'kernel does not count them.',
    )
    .exactOptional(),
  saturated: z
    .boolean()
    .describe(
      'The generator was the bottleneck: it ran or waited for a processor in more than 95 % of the window.',
    ),
  opened: count.describe('Connections opened in the whole run, warm-up included.'),
  partial: z.boolean().describe('The run was interrupted; these are the results until then.'),
  histograms: Histograms.exactOptional(),
});
export type LoadResult = z.infer<typeof LoadResult>;

export const SelfCheck = z
  .object({
    against: z.enum(['C client', 'measured']),
    generatorMs: z
      .number()
      .describe('Median response time that the generator measures with an echo of its own.'),
    otherMs: z
      .number()
      .describe('What the C client measures with the same echo; or the median of the server under test.'),
    ratio: z.number().describe('Of the generator to the other; against the C client, 1 is as good.'),
  })
  .meta({ id: 'selfCheck', description: 'How good the load generator is at this load.' });
export type SelfCheck = z.infer<typeof SelfCheck>;

export const BenchRun = LoadResult.extend({
  target: z.string(),
  stage: count.describe('With --stages: from 1.').exactOptional(),
  repeat: count.describe('From 1.'),
  seed: count,
  durationMs: count.describe('Intended length of the window; 0 when requests bound it.'),
  startedAt: z.iso.datetime().describe('When the generator was started.'),
  roundTripMs: z
    .number()
    .describe('The shortest of a few connects to a server on another machine, before the load.')
    .exactOptional(),
  histograms: Histograms,
  rate: z.number().describe('Open mode: the intended rate.').exactOptional(),
  arrivals: z.enum(ARRIVALS).describe('Open mode: how requests are spread over time.').exactOptional(),
  generatorCpus: z
    .array(count)
    .nullable()
    .describe('The processors of the generator with --pin; null without.'),
  selfCheck: SelfCheck.nullable()
    .describe('Once for each number of clients; null when it failed. Absent with --warmup 0.')
    .exactOptional(),
});
export type BenchRun = z.infer<typeof BenchRun>;

export const BenchLine = BenchRun.meta({
  title: 'kecho-pool bench --json',
  description: 'One line for each measurement. Numbers that are not whole have six significant digits.',
});
