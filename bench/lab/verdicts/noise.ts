/**
 * How the runs of a simulated comparison differ, on the log scale: by the state of the machine, which changes from run to
 * run and is the same for all servers, and by noise of their own. Pure, by seed.
 */
import { standardNormal } from '../../random.ts';

export interface Noise {
  /** The state of the machine in the next run. */
  machine: () => number;
  /** Of one figure of one run; its median is `middle`. */
  own: () => number;
  middle: number;
}

const SPREAD = 0.12;

export const NOISES = {
  'independent, normal': (random) => steady(random, (normal) => SPREAD * normal()),
  'drift: a random walk': (random) => {
    const normal = standardNormal(random);
    let state = 0;
    return { machine: () => (state += 0.03 * normal()), own: () => SPREAD * normal(), middle: 0 };
  },
  'autocorrelation 0.9': (random) => {
    const normal = standardNormal(random);
    let state = 0.3 * normal();
    const next = () => (state = 0.9 * state + 0.3 * Math.sqrt(1 - 0.9 ** 2) * normal());
    return { machine: next, own: () => SPREAD * normal(), middle: 0 };
  },
  'heavy tails: t, 3 degrees': (random) =>
    steady(random, (normal) => {
      const chi = Math.hypot(normal(), normal(), normal());
      return (0.09 * normal()) / (chi / Math.sqrt(3));
    }),
  'heavy tails: one run in ten three times as long': (random) =>
    steady(random, (normal) => (random() < 0.1 ? Math.log(3) : 0) + 0.05 * normal()),
  'skewed: exponential': (random) => ({
    ...steady(random, () => -0.15 * Math.log(1 - random())),
    middle: 0.15 * Math.LN2,
  }),
} as const satisfies Record<string, (random: () => number) => Noise>;
export type NoiseName = keyof typeof NOISES;

function steady(random: () => number, own: (normal: () => number) => number): Noise {
  const normal = standardNormal(random);
  return { machine: () => 0, own: () => own(normal), middle: 0 };
}
