/**
 * What one run of the load generator reports (the line of JSON that main.ts prints), and what `kecho-pool bench --json`
 * writes of it.
 *
 * The types, the published bench.schema.json (`npm run schemas`) and the check come from here. The generator uses the
 * types only.
 */
import { z } from 'zod';
import { count } from '../../src/schema/json.ts';
import { ERROR_CLASSES, MODES } from './result.ts';

export const ErrorCounts = z.record(z.enum(ERROR_CLASSES), count).meta({ id: 'errors' });

export const Distribution = z
  .object({
    count,
    averageMs: z.number(),
    worstMs: z.number(),
    p50Ms: z.number(),
    p90Ms: z.number(),
    p99Ms: z.number(),
    p999Ms: z.number(),
  })
  .meta({
    id: 'distribution',
    description: 'All 0 when count is. Average and worst are exact, the percentiles within 0.05 %.',
  });
export type Distribution = z.infer<typeof Distribution>;

export const LoadResult = z.object({
  mode: z.enum(MODES),
  clients: count.describe('Connections open at a time.'),
  requests: count.describe('Requests of each client; 0 when only the time bounded them.'),
  messageBytes: count,
  windowMs: z
    .number()
    .describe(
      'Length of the measured window; in burst mode from the first connect to the last echo, all bursts added.',
    ),
  completed: count.describe(
    'Samples completed within the window: echoes, or in churn mode whole connections.',
  ),
  perSecond: z.number(),
  response: Distribution.describe(
    'From request to whole echo; in open mode from the intended send, in churn mode connect and close included.',
  ),
  responseRaw: Distribution.describe('Open mode: from the actual send.').exactOptional(),
  due: count
    .describe(
      'Open mode: requests that were due in the window, rate times duration; fewer when the run was cut short.',
    )
    .exactOptional(),
  missedSends: count
    .describe('Open mode: those of them that were sent more than a little late, or never.')
    .exactOptional(),
  unsent: count
    .describe('Open mode: those that were never sent. No response time has them in it.')
    .exactOptional(),
  connect: Distribution,
  errors: ErrorCounts,
  errorTotal: count,
  errorDetails: z.array(z.string()).describe('The first few errors in words.'),
  serverCpuMs: z
    .number()
    .describe('CPU of the watched processes over the window, user and system. Absent when none was watched.')
    .exactOptional(),
  serverCpuPerSampleUs: z.number().exactOptional(),
  serverThreadsMax: count.describe('Most threads seen in the watched processes.').exactOptional(),
  generatorCpuShare: z
    .number()
    .describe('CPU seconds the generator spent per second of the window: 1 is one whole core.'),
  saturated: z.boolean().describe('The generator was the bottleneck.'),
  opened: count.describe('Connections opened over the whole run, warm-up included.'),
  partial: z.boolean().describe('The run was interrupted; the figures are those up to then.'),
  histogram: z
    .array(count)
    .describe('The response times as bucket, count, bucket, count, ...; only when asked for.')
    .exactOptional(),
});
export type LoadResult = z.infer<typeof LoadResult>;

export const BenchRun = LoadResult.extend({
  target: z.string(),
  repeat: count.describe('From 1.'),
  seed: count,
  rate: z.number().describe('Open mode: the rate asked for.').exactOptional(),
});
export type BenchRun = z.infer<typeof BenchRun>;

export const BenchLine = BenchRun.omit({ histogram: true }).meta({
  title: 'kecho-pool bench --json',
  description: 'One line for each measurement.',
});
