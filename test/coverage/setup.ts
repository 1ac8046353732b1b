/**
 * Writes the coverage of a test file's process when its tests have ended: vitest then kills it, and it would write
 * nothing. Worker threads write theirs when they end, even when terminated.
 */
import { takeCoverage } from 'node:v8';
import { afterAll } from 'vitest';

afterAll(() => takeCoverage());
