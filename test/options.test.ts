/**
 * Goal: an option means the same as a flag, as a variable and in the API; the error for a wrong one names it and what is
 * allowed. Defaults, types and documentation follow from the table of options, limits from the descriptor limit.
 * Method: pure functions, no server.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { GENERATED } from '../docs/options.ts';
import { environmentName, gatherOptions, unusedVariables } from '../src/cli/environment.ts';
import type { EchoServerOptions } from '../src/index.ts';
import {
  type EffectiveOptions,
  OPTION_SPECS,
  parseOption,
  resolveOptions,
  STRATEGIES,
  UsageError,
} from '../src/options/index.ts';
import { computeLimits, DESCRIPTORS_PER_THREAD } from '../src/options/limits.ts';
import { parseDurationMs, parseSizeBytes, parseTimeMs } from '../src/options/units.ts';
import { checkOption } from '../src/options/values.ts';
import { usageError } from './support/option-checks.ts';

describe('durations', () => {
  it('accept us, ms, s and m', () => {
    expect(parseDurationMs('5000us')).toBe(5);
    expect(parseDurationMs('250ms')).toBe(250);
    expect(parseDurationMs('10s')).toBe(10_000);
    expect(parseDurationMs('5m')).toBe(300_000);
    expect(parseDurationMs('1.5s')).toBe(1500);
    expect(parseDurationMs('1.001s')).toBe(1001);
    expect(parseDurationMs('0')).toBe(0);
    expect([parseTimeMs('0.5ms'), parseDurationMs('0.5ms')]).toEqual([0.5, null]);
  });

  it.each(['', '10', 's', '-1s', '1h', '1 s', '1e3ms', '10sec', '٣s'])('reject %j', (text) => {
    expect(parseDurationMs(text)).toBeNull();
  });
});

describe('sizes', () => {
  it('accept B, KiB, MiB, GiB, k, m, g and plain bytes', () => {
    expect(parseSizeBytes('65536B')).toBe(65_536);
    expect(parseSizeBytes('512KiB')).toBe(524_288);
    expect(parseSizeBytes('64MiB')).toBe(67_108_864);
    expect(parseSizeBytes('4GiB')).toBe(2 ** 32);
    expect(['64', '4k', '4K', '1m', '2g'].map(parseSizeBytes)).toEqual([64, 4096, 4096, 2 ** 20, 2 ** 31]);
    expect(parseSizeBytes('0')).toBe(0);
  });

  it.each(['', 'k', 'MiB', '-1MiB', '1.5MiB', '1 MiB', '64mib', '64MB', '1e3KiB'])('reject %j', (text) => {
    expect(parseSizeBytes(text)).toBeNull();
  });

  it('are checked against their range', () => {
    const { given } = gatherOptions({ maxSpill: '128MiB' }, {});
    expect(given.maxSpillBytes).toBe(2 ** 27);
    expect(usageError(() => gatherOptions({ maxSpill: '5GiB' }, {})).message).toBe(
      '--max-spill: "5GiB" is not allowed: a size like 64, 512KiB or 64MiB, from 0 to 4GiB',
    );
    expect(usageError(() => resolveOptions({ maxSpillBytes: 2 ** 33 })).allowed).toContain(
      'bytes as an integer',
    );
  });
});

describe('resolveOptions', () => {
  it('fills in the documented defaults', () => {
    expect(resolveOptions({})).toMatchObject({
      strategy: 'cmwq',
      port: 12345,
      host: '127.0.0.1',
      backlog: 4096,
      idleTimeoutMs: 300_000,
      maxQueue: 65536,
      drainTimeoutMs: 10_000,
      logLevel: 'info',
    });
  });

  it('refuses a value out of range, and names the range', () => {
    const error = usageError(() => resolveOptions({ port: 65536 }));
    expect(error.message).toBe('port: 65536 is not allowed: an integer from 0 to 65535');
    expect(usageError(() => resolveOptions({ port: 1.5 })).value).toBe(1.5);
    expect(usageError(() => resolveOptions({ host: '' })).option).toBe('host');
    expect(usageError(() => resolveOptions({ idleTimeoutMs: 0 })).option).toBe('idleTimeoutMs');
  });

  it('refuses an option of another strategy', () => {
    expect(usageError(() => resolveOptions({ workers: 2 })).message).toBe(
      'workers: 2 is not allowed: only with strategy workqueue, not cmwq',
    );
    for (const spec of OPTION_SPECS.filter((s) => s.only !== undefined)) {
      for (const strategy of STRATEGIES) {
        const { kind } = spec;
        const value = kind.type === 'boolean' ? false : kind.type === 'choice' ? kind.among[0] : 5;
        const given = { strategy, [spec.key]: value };
        if (spec.only?.includes(strategy)) expect(resolveOptions(given)).toMatchObject(given);
        else expect(usageError(() => resolveOptions(given)).option).toBe(spec.key);
      }
    }
  });

  it('accepts keepalive times in whole seconds only', () => {
    expect(resolveOptions({ keepaliveTimeMs: 2000 }).keepaliveTimeMs).toBe(2000);
    expect(usageError(() => resolveOptions({ keepaliveTimeMs: 1500 })).allowed).toContain(
      'a multiple of 1000',
    );
    expect(usageError(() => gatherOptions({ keepaliveInterval: '1500ms' }, {})).message).toBe(
      '--keepalive-interval: "1500ms" is not allowed: a duration in whole seconds like 10s or 5m, from 1s to 32767s',
    );
  });

  it('refuses an option without the other option that it requires', () => {
    expect(usageError(() => resolveOptions({ hangKill: true })).allowed).toContain('hangTimeoutMs');
    expect(resolveOptions({ hangKill: true, hangTimeoutMs: 5 }).hangKill).toBe(true);
  });

  it('refuses too many services, and values that are not specs', () => {
    const service = new Array(65).fill('burn:1ms');
    expect(resolveOptions({ service: service.slice(1) }).service).toHaveLength(64);
    expect(usageError(() => resolveOptions({ service })).message).toBe(
      'service: 65 specs are not allowed: at most 64 specs like burn:5ms,sleep:10ms',
    );
    for (const [flags, environment, name] of [
      [{ service }, {}, '--service'],
      [{}, { KECHO_POOL_SERVICE: service.join(';') }, 'KECHO_POOL_SERVICE'],
    ] as const) {
      const call = () => {
        const { given, nameOf, writtenOf } = gatherOptions(flags, environment);
        resolveOptions(given, nameOf, writtenOf);
      };
      expect(usageError(call).message).toMatch(
        new RegExp(`^${name}: 65 specs are not allowed: at most 64 specs [^\\[\\\\]*$`),
      );
    }
    expect(usageError(() => resolveOptions({ service: [5] as never })).option).toBe('service');
  });

  it.each([
    [new Array(1000).fill('x'.repeat(50)), 'an array of 1000 values'],
    [Array.from({ length: 200 }, (_, i) => i), 'an array of 200 values'],
    [[1], 'an array of 1 value'],
    [Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`key${i}`, i])), 'an object'],
    [new Map([['a', 1]]), 'an object'],
    ['9'.repeat(500), `"${'9'.repeat(80)}..."`],
    [10n ** 200n, `1${'0'.repeat(79)}...`],
    [null, 'null'],
  ])('describes a value in a few words: %#', (port, shown) => {
    const { message } = usageError(() => resolveOptions({ port } as never));
    expect(message).toBe(`port: ${shown} is not allowed: an integer from 0 to 65535`);
    const unknown = usageError(() => resolveOptions({ ['p'.repeat(500)]: 1 } as never));
    expect(unknown.message.startsWith(`${'p'.repeat(80)}...: 1 is not allowed: `)).toBe(true);
  });

  it('shows a value on one line, shortened', () => {
    const { message } = usageError(() => resolveOptions({ host: `a\u202eb\n${'c'.repeat(500)}` }));
    expect(message).toMatch(/^host: "a\\u202eb\\n/);
    expect(message.length).toBeLessThan(250);
  });

  it('refuses an option that does not exist', () => {
    expect(usageError(() => resolveOptions({ prot: 1 } as never)).option).toBe('prot');
  });
});

describe('gatherOptions', () => {
  it('ignores unknown variables, and reports them', () => {
    const environment = { KECHO_POOL_PROT: '1', KECHO_POOL_PORT: '2', KECHO: '3', PATH: '/bin' };
    expect(gatherOptions({}, environment).given).toEqual({ port: 2 });
    expect(unusedVariables(environment)).toEqual({ unknown: ['KECHO_POOL_PROT'], serviceLinks: [] });
  });

  /** As kubelet sets them (Kubernetes, "Accessing the Service", environment variables). */
  function serviceLinks(service: string, protocol: string, address: string): Record<string, string> {
    const host = address.includes(':') ? `[${address}]` : address;
    const port = `${service}_PORT_12345_${protocol.toUpperCase()}`;
    const url = `${protocol}://${host}:12345`;
    return {
      [`${service}_SERVICE_HOST`]: address,
      [`${service}_SERVICE_PORT`]: '12345',
      [`${service}_SERVICE_PORT_ECHO`]: '12345',
      [`${service}_PORT`]: url,
      [port]: url,
      [`${port}_PROTO`]: protocol,
      [`${port}_PORT`]: '12345',
      [`${port}_ADDR`]: address,
    };
  }

  it.each([
    ['KECHO_POOL', 'tcp', '10.96.12.7'],
    ['KECHO_POOL', 'udp', 'fd00:10:96::7'],
    ['KECHO_POOL', 'sctp', '10.96.12.7'],
    ['KECHO_POOL_ADMIN', 'tcp', '10.96.12.7'],
    ['KECHO_POOL_SERVICE', 'tcp', '10.96.12.7'],
    ['KECHO_POOL_REUSE', 'tcp', '10.96.12.7'], // KECHO_POOL_REUSE_PORT is an option
  ])('ignores the variables of a Kubernetes service %s (%s, %s)', (service, protocol, address) => {
    const links = serviceLinks(service, protocol, address);
    const environment = { ...links, KECHO_POOL_PROT: '1', KECHO_POOL_SERVICE: 'sleep:1ms' };
    expect(gatherOptions({}, environment).given).toEqual({ service: ['sleep:1ms'] });
    expect(unusedVariables(environment)).toEqual({
      unknown: ['KECHO_POOL_PROT'],
      serviceLinks: Object.keys(links),
    });
    expect(gatherOptions({ port: '7' }, environment).given).toMatchObject({ port: 7 });
  });

  it.each(['tcp://10.96.12.7', 'http://10.96.12.7:12345', 'tcp://a:b', '12345/tcp', ' tcp://10.96.12.7:1'])(
    'refuses KECHO_POOL_PORT=%s',
    (text) => {
      expect(usageError(() => gatherOptions({}, { KECHO_POOL_PORT: text })).option).toBe('KECHO_POOL_PORT');
    },
  );

  it('never mistakes an option for a variable of Kubernetes by its name', () => {
    const environment = Object.fromEntries(OPTION_SPECS.map((spec) => [environmentName(spec), '1']));
    expect(unusedVariables(environment)).toEqual({ unknown: [], serviceLinks: [] });
  });

  it('reads every option from the environment too, and a flag wins', () => {
    expect(environmentName(OPTION_SPECS.find((s) => s.key === 'maxWorkers') as never)).toBe(
      'KECHO_POOL_MAX_WORKERS',
    );
    const environment = { KECHO_POOL_PORT: '1', KECHO_POOL_DRAIN_TIMEOUT: '5m', KECHO_POOL_PRETTY: 'no' };
    const { given } = gatherOptions({ port: '2' }, environment);
    expect(given).toEqual({ port: 2, drainTimeoutMs: 300_000, pretty: false });
  });

  it('names the source of a wrong value', () => {
    expect(usageError(() => gatherOptions({ port: 'x' }, {})).option).toBe('--port');
    expect(usageError(() => gatherOptions({}, { KECHO_POOL_PORT: 'x' })).option).toBe('KECHO_POOL_PORT');
    const { given, nameOf } = gatherOptions({}, { KECHO_POOL_WORKERS: '3' });
    expect(usageError(() => resolveOptions(given, nameOf)).option).toBe('KECHO_POOL_WORKERS');
  });

  it.each([
    [{ strategy: 'kthread', hangTimeout: '5s' }, {}, '--hang-timeout: "5s" is not allowed: only with'],
    [{}, { KECHO_POOL_MAX_QUEUE_AGE: '2m' }, 'KECHO_POOL_MAX_QUEUE_AGE: "2m" is not allowed: only with'],
    [{ maxQueueAge: '3s' }, { KECHO_POOL_MAX_QUEUE_AGE: '2m' }, '--max-queue-age: "3s" is not allowed'],
    [{ hangKill: true }, {}, '--hang-kill: true is not allowed: only with --hang-timeout'],
    [
      {},
      { KECHO_POOL_HANG_KILL: 'yes' },
      'KECHO_POOL_HANG_KILL: "yes" is not allowed: only with --hang-timeout',
    ],
  ])(
    '%j and %j: shows a value that conflicts with another option as it was written',
    (flags, env, message) => {
      const { given, nameOf, writtenOf } = gatherOptions(flags, env);
      expect(usageError(() => resolveOptions(given, nameOf, writtenOf)).message).toContain(message);
    },
  );

  it('either accepts a text or names the option in an error of one line', () => {
    fc.assert(
      fc.property(fc.constantFrom(...OPTION_SPECS), fc.string({ unit: 'binary' }), (spec, text) => {
        const variable = environmentName(spec);
        try {
          gatherOptions({}, { [variable]: text });
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect((error as UsageError).option).toBe(variable);
          expect((error as UsageError).message).not.toMatch(/[\n\r]/);
        }
      }),
    );
  });
});

describe('the table of options', () => {
  it.each(OPTION_SPECS)('$key: the default is allowed, and shown as an option would be written', (spec) => {
    const { key, kind, default: value, defaultText } = spec;
    const effective = resolveOptions({})[key];
    if (effective !== undefined) expect(checkOption(spec, effective, key)).toEqual(effective);
    if (kind.type !== 'services' && value === effective && value !== undefined)
      expect(parseOption(spec, defaultText, key)).toBe(value);
  });

  it('has types that follow from it', () => {
    type Key = keyof EffectiveOptions;
    type OfAnyStrategy = { [K in Key]: Exclude<EchoServerOptions[K], undefined> };
    expectTypeOf<OfAnyStrategy>().toEqualTypeOf<{ [K in Key]: Exclude<EffectiveOptions[K], undefined> }>();
    expectTypeOf<EffectiveOptions['strategy']>().toEqualTypeOf<'kthread' | 'workqueue' | 'cmwq'>();
    expectTypeOf<EffectiveOptions['maxWorkers']>().toEqualTypeOf<number | undefined>();
    expectTypeOf<EffectiveOptions['pretty']>().toEqualTypeOf<boolean>();
  });

  it.each(Object.entries(GENERATED))('%s is current; if not: npm run docs:options', (name, content) => {
    const text = readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
    expect(content()).toBe(text);
  });
});

describe('computeLimits', () => {
  const limitsOf = (given: object, descriptors: number) =>
    computeLimits(resolveOptions(given), descriptors, given);

  it('reserves descriptors for the maximum number of threads', () => {
    const limits = limitsOf({ cpus: 2 }, 20_000);
    expect(limits.maxWorkers).toBe(512);
    expect(limits.reserve).toBe(64 + 2 * 2 + (512 + 1) * DESCRIPTORS_PER_THREAD);
    expect(limits.maxConnections).toBe(20_000 - limits.reserve);
  });

  it('lowers the default number of threads if descriptors are few, never a given one', () => {
    expect(limitsOf({ cpus: 2 }, 1024).maxWorkers).toBe(59);
    expect(limitsOf({ strategy: 'kthread' }, 1024).maxWorkers).toBe(106);
    expect(usageError(() => limitsOf({ cpus: 2, maxWorkers: 512 }, 1024)).option).toBe('maxWorkers');
    expect(usageError(() => limitsOf({ strategy: 'workqueue', workers: 512 }, 1024)).option).toBe('workers');
    expect(usageError(() => limitsOf({ cpus: 2 }, 80)).option).toContain('descriptor limit');
  });

  it('reduces the connections to what fits', () => {
    expect(limitsOf({ strategy: 'workqueue', workers: 2, maxConnections: 5 }, 1024).maxConnections).toBe(5);
    expect(limitsOf({ strategy: 'workqueue', workers: 2, maxConnections: 5000 }, 1024).maxConnections).toBe(
      944,
    );
  });

  it('never exceeds the descriptor limit', () => {
    const given = fc.record({ strategy: fc.constantFrom(...STRATEGIES) });
    fc.assert(
      fc.property(given, fc.integer({ min: 1, max: 1 << 21 }), (options, descriptors) => {
        let limits: ReturnType<typeof computeLimits>;
        try {
          limits = computeLimits(resolveOptions(options), descriptors);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          return;
        }
        expect(limits.maxConnections).toBeGreaterThan(0);
        expect(limits.maxConnections + limits.reserve).toBeLessThanOrEqual(descriptors);
      }),
    );
  });
});
