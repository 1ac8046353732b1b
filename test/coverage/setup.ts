/**
 * Writes the coverage of a test file's process when its tests have ended: vitest then kills the process, which
 * would write nothing. Worker threads write theirs when they end, terminated ones too.
 */
import { takeCoverage } from 'node:v8';
import { afterAll } from 'vitest';

afterAll(() => takeCoverage());
