/**
 * Parses and checks single values, and describes what is allowed. Pure.
 */
import { inspect } from 'node:util';
import { ADMIN_ADDRESS_ALLOWED, parseAdminAddress } from './admin-address.ts';
import { absoluteHandler, HANDLER_ALLOWED, isHandler } from './handler-spec.ts';
import { parseService, ServiceSyntaxError } from './service-spec.ts';
import type { OptionSpec } from './specs.ts';
import type { OptionKind } from './types.ts';
import { durationText, parseDurationMs, parseSizeBytes, sizeText } from './units.ts';

/**
 * A value that is not allowed: `option` is the name as the user wrote it, `value` as given, `allowed` in words.
 * `problem` replaces the default text, which shows the value.
 */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly option: string;
  readonly value: unknown;
  readonly allowed: string;

  constructor(option: string, value: unknown, allowed: string, problem = `${shown(value)} is not allowed`) {
    super(`${printable(shortened(option))}: ${problem}: ${allowed}`);
    this.option = option;
    this.value = value;
    this.allowed = allowed;
  }
}

/** Longest part of a value that a message repeats, in characters. */
const SHOWN_MAX = 80;

/** Cuts `text` to `most` characters. */
export function shortened(text: string, most = SHOWN_MAX): string {
  return text.length <= most ? text : `${text.slice(0, most)}...`;
}

/** Any value on one line, without the contents of arrays and objects. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return printable(JSON.stringify(shortened(value)));
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value))
    return value.length === 1 ? 'an array of 1 value' : `an array of ${value.length} values`;
  return typeof value === 'object' && value !== null ? 'an object' : printable(shortened(inspect(value)));
}

/** Escapes line breaks and characters that control a terminal, as \u001b and the like. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u${(character.codePointAt(0) as number).toString(16).padStart(4, '0')}`; // never empty
  });
}

/** Kinds of values: those of the server's options, and those that only tools have. */
export type ValueKind =
  | OptionKind
  /** Decimals allowed. */
  | { type: 'number'; min: number; max: number }
  /** One or more of these, separated by commas. */
  | { type: 'names'; among: readonly string[] }
  /** A file or a folder. */
  | { type: 'path' }
  /** A file, or `-` for standard output. */
  | { type: 'destination' };

type SingleKind = Exclude<ValueKind, { type: 'services' | 'names' }>;

/** Parses the value of the option named `source`. Throws UsageError. */
export type Parser<T> = (text: string, source: string) => T;

export function parser<T>(kind: ValueKind): Parser<T> {
  return (text, source) => parseValue(kind, text, source) as T;
}

export const integer = (min: number, max: number) => parser<number>({ type: 'integer', min, max });
export const number = (min: number, max: number) => parser<number>({ type: 'number', min, max });
/** Milliseconds. */
export const duration = (minMs: number, maxMs: number) => parser<number>({ type: 'duration', minMs, maxMs });
/** Bytes. */
export const size = (minBytes: number, maxBytes: number) =>
  parser<number>({ type: 'size', minBytes, maxBytes });
export const choice = <T extends string>(among: readonly T[]) => parser<T>({ type: 'choice', among });
/** Returns each name once, in the order of `among`. */
export const names = <T extends string>(among: readonly T[]) => parser<T[]>({ type: 'names', among });
export const adminAddress = parser<string>({ type: 'adminAddress' });
export const path = parser<string>({ type: 'path' });
/** The destination that means standard output. */
export const STDOUT = '-';
export const destination = parser<string>({ type: 'destination' });

/** Parses the value of a server option from a flag or variable. Throws UsageError. */
export function parseOption({ kind }: OptionSpec, text: string, source: string): unknown {
  return parseValue(kind, text, source);
}

function parseValue(kind: ValueKind, text: string, source: string): unknown {
  if (kind.type === 'services') return checkServices(text.split(';'), source);
  if (kind.type === 'names') return parseNames(kind.among, text, source);
  const value = convert(kind, text);
  if (fits(kind, value)) return value;
  throw new UsageError(source, text, allowed(kind, true));
}

/** Converts without a range check; null if the text has the wrong form. */
function convert({ type }: ValueKind, text: string): unknown {
  switch (type) {
    case 'integer':
      return /^\d{1,10}$/.test(text) ? Number(text) : null;
    case 'number':
      return /^\d{1,10}(?:\.\d{1,9})?$/.test(text) ? Number(text) : null;
    case 'duration':
      return parseDurationMs(text);
    case 'size':
      return parseSizeBytes(text);
    case 'boolean':
      if (/^(1|true|yes|on)$/i.test(text)) return true;
      return /^(0|false|no|off)$/i.test(text) ? false : null;
    default:
      return text;
  }
}

function parseNames(among: readonly string[], text: string, source: string): string[] {
  const found = text.split(',').map((name) => name.trim());
  const unknown = found.find((name) => !among.includes(name));
  if (unknown === undefined) return among.filter((name) => found.includes(name));
  throw new UsageError(source, unknown, allowed({ type: 'names', among }, true));
}

/** Returns `value` if it is allowed for the option; throws UsageError otherwise. */
export function checkOption(spec: OptionSpec, value: unknown, source: string): unknown {
  const { kind } = spec;
  if (kind.type === 'services') return checkServices(value, source);
  checkValue(kind, value, source);
  return kind.type === 'module' ? absoluteHandler(value as string) : value; // a string, by its check
}

/** Throws UsageError unless a program may pass `value`. */
export function checkValue(kind: SingleKind, value: unknown, source: string): void {
  if (!fits(kind, value)) throw new UsageError(source, value, allowed(kind, false));
}

/** Throws UsageError unless `value` is an object of options. */
export function checkObject(value: unknown, source: string): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new UsageError(source, value, 'an object of options');
}

/**
 * Throws UsageError unless `options` is an object with `allowed` or `undocumented` names only. The message does not
 * list the undocumented ones.
 */
export function checkNames(
  options: object,
  allowed: readonly string[],
  undocumented: readonly string[] = [],
): void {
  checkObject(options, 'options'); // a program may pass anything
  for (const [name, value] of Object.entries(options)) {
    if (allowed.includes(name) || undocumented.includes(name)) continue;
    throw new UsageError(name, value, `one of the options ${allowed.join(', ')}`);
  }
}

/** Throws UsageError unless `value` has these methods; `allowed` describes such an object. */
export function checkMethods(
  value: unknown,
  source: string,
  methods: readonly string[],
  allowed: string,
): void {
  const has = (name: string) => typeof (value as Record<string, unknown>)[name] === 'function';
  if (typeof value === 'object' && value !== null && methods.every(has)) return;
  throw new UsageError(source, value, `${allowed}: an object with the methods ${methods.join(', ')}`);
}

function isWithin(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}

function fits(kind: SingleKind, value: unknown): boolean {
  switch (kind.type) {
    case 'integer':
      return isWithin(value, kind.min, kind.max);
    case 'number':
      return typeof value === 'number' && value >= kind.min && value <= kind.max;
    case 'duration':
      return isWithin(value, kind.minMs, kind.maxMs) && value % (kind.stepMs ?? 1) === 0;
    case 'size':
      return isWithin(value, kind.minBytes, kind.maxBytes);
    case 'choice':
      return kind.among.includes(value as string);
    case 'boolean':
      return typeof value === 'boolean';
    case 'adminAddress':
      return typeof value === 'string' && parseAdminAddress(value) !== null;
    case 'text':
      return typeof value === 'string' && /^[^\s\p{Cc}\p{Cf}\p{Cs}]{1,255}$/u.test(value);
    case 'module':
      return typeof value === 'string' && isHandler(value);
    case 'path':
      return typeof value === 'string' && value.trim() !== '' && value !== STDOUT;
    case 'destination':
      return typeof value === 'string' && value.trim() !== '';
  }
}

const MAX_SERVICES = 64;

/** Throws UsageError with the position of the first mistake. */
function checkServices(value: unknown, source: string): readonly string[] {
  const allowed = `at most ${MAX_SERVICES} specs like burn:5ms,sleep:10ms`;
  if (!Array.isArray(value)) throw new UsageError(source, value, `an array of ${allowed}`);
  if (value.length > MAX_SERVICES) {
    throw new UsageError(source, value, allowed, `${value.length} specs are not allowed`);
  }
  for (const text of value) {
    if (typeof text !== 'string') throw new UsageError(source, text, 'a spec like burn:5ms,sleep:10ms');
    try {
      parseService(text);
    } catch (error) {
      if (!(error instanceof ServiceSyntaxError)) throw error;
      throw new UsageError(source, text, error.message);
    }
  }
  return [...value]; // the caller keeps the array
}

/** Describes the allowed values, as text or as values of the API. */
export function allowed(kind: ValueKind, asText: boolean): string {
  switch (kind.type) {
    case 'integer':
      return `an integer from ${kind.min} to ${kind.max}`;
    case 'number':
      return `a number from ${kind.min} to ${kind.max}`;
    case 'duration':
      return asText ? durationAllowed(kind) : millisecondsAllowed(kind);
    case 'size':
      return asText
        ? `a size like 64, 512KiB or 64MiB, from ${sizeText(kind.minBytes)} to ${sizeText(kind.maxBytes)}`
        : `bytes as an integer from ${kind.minBytes} to ${kind.maxBytes}`;
    case 'choice':
      return `one of ${kind.among.join(', ')}`;
    case 'names':
      return `one or more of ${kind.among.join(', ')}, separated by commas`;
    case 'boolean':
      return 'true or false';
    case 'text':
      return 'an address or a name of 1 to 255 characters without spaces or control characters';
    case 'module':
      return HANDLER_ALLOWED;
    case 'path':
      return 'a path';
    case 'destination':
      return 'a path, or - for standard output';
    case 'adminAddress':
      return ADMIN_ADDRESS_ALLOWED;
    case 'services':
      return 'specs like burn:5ms,sleep:10ms';
  }
}

interface DurationKind {
  minMs: number;
  maxMs: number;
  stepMs?: number;
}

function durationAllowed({ minMs, maxMs, stepMs }: DurationKind): string {
  const form = stepMs === undefined ? 'milliseconds like 250ms, 10s or 5m' : 'seconds like 10s or 5m';
  return `a duration in whole ${form}, from ${durationText(minMs)} to ${durationText(maxMs)}`;
}

function millisecondsAllowed({ minMs, maxMs, stepMs }: DurationKind): string {
  const multiple = stepMs === undefined ? '' : `, a multiple of ${stepMs}`;
  return `milliseconds as an integer from ${minMs} to ${maxMs}${multiple}`;
}
